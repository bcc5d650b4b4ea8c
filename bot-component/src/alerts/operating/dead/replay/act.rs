//! Replays the messages that a walk through the poison queue has found.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use platform::{Deadline, Host, Level};
use serde_json::json;
use state::ledger::{Ledger, Origin, RecordKey, Reopened, Replay};
use state::runs::{DeadLetterId, DeadLetters};
use storage_table::TableError;

use crate::alerts::caller::Caller;
use crate::alerts::operating::dead::Named;
use crate::alerts::operating::dead::search::Job;
use crate::alerts::operating::dead::why::Why;
use crate::alerts::poison_walk::PoisonWalk;
use crate::outbox::{Message, Outbox, log_failed_put, put_options};
use crate::rejection::AlertRejection;
use crate::settings::BotSettings;

/// How many conversations the bot works on in parallel.
const CONVERSATIONS_AT_ONCE: usize = 8;

/// The results of a replay.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// The dead letters whose messages are on the queue again, with the ids of their alerts.
    pub(super) replayed: Vec<(Named, String)>,
    pub(super) refused: Vec<(Named, Why)>,
    /// Whether the caller has to send the call again, because the replay has not reached all dead letters.
    pub(super) has_more: bool,
}

impl Results {
    pub(super) fn refuse(&mut self, named: &Named, why: Why) {
        self.refused.push((named.clone(), why));
    }
}

/// The result for one message.
enum Done {
    Replayed { alert: String },
    Refused(Why),
}

/// The results so far. The bot works on several conversations in parallel, and collects the results of all
/// these conversations here.
struct Progress {
    results: RefCell<Results>,
    /// The first failure.
    failure: RefCell<Option<AlertRejection>>,
    /// Whether the replay of a message has failed. The bot then starts no work on another message.
    is_stopped: Cell<bool>,
    /// The ids of the rows whose messages are on the queue again.
    rows: RefCell<BTreeSet<DeadLetterId>>,
}

pub(super) struct Replayer<'a, H> {
    pub(super) host: &'a H,
    pub(super) settings: &'a BotSettings,
    pub(super) caller: &'a Caller,
    pub(super) ledger: Ledger<'a, H>,
    pub(super) dead: DeadLetters<'a, H>,
    pub(super) outbox: Outbox<'a, H>,
    pub(super) act_until: Deadline,
}

impl<H: Host> Replayer<'_, H> {
    /// Replays the messages of `jobs`. The bot works on several conversations in parallel, and keeps the
    /// order of the messages of one conversation. After a failure, the bot starts no work on another message.
    /// If the API call has then replayed no message and refused no message, the function returns the failure.
    /// Otherwise, the function returns the results.
    pub(super) async fn act(
        &self,
        walk: &PoisonWalk<'_, H>,
        jobs: Vec<Job>,
        results: Results,
    ) -> Result<Results, AlertRejection> {
        let mut lanes: BTreeMap<String, Vec<Job>> = BTreeMap::new();
        for job in jobs {
            lanes.entry(job.letter.conversation()).or_default().push(job);
        }
        let progress = Progress {
            results: RefCell::new(results),
            failure: RefCell::default(),
            is_stopped: Cell::new(false),
            rows: RefCell::default(),
        };
        let progress = &progress;
        let work = async |lane: Vec<Job>| {
            for job in lane {
                self.work(walk, &job, progress).await;
            }
        };
        let work = &work;
        stream::iter(lanes.into_values()).for_each_concurrent(CONVERSATIONS_AT_ONCE, work).await;
        let results = progress.results.take();
        match progress.failure.take() {
            Some(failure) if results.replayed.is_empty() && results.refused.is_empty() => Err(failure),
            _ => Ok(results),
        }
    }

    /// Replays one message, and adds the result to `progress`. If the message stays on the poison queue, the
    /// bot makes the message visible.
    async fn work(&self, walk: &PoisonWalk<'_, H>, job: &Job, progress: &Progress) {
        // If the bot has already replayed a message with the same row, the poison queue held the message
        // twice. So the bot only deletes this second message.
        if job.row.as_ref().is_some_and(|row| progress.rows.borrow().contains(row)) {
            return self.delete(walk, job).await;
        }
        let done = if progress.is_stopped.get() || self.act_until.has_passed(self.host) {
            progress.results.borrow_mut().has_more = true;
            None
        } else {
            match self.replay_one(walk, job).await {
                Ok(done) => Some(done),
                Err(failure) => {
                    progress.is_stopped.set(true);
                    progress.results.borrow_mut().has_more = true;
                    progress.failure.borrow_mut().get_or_insert(failure);
                    None
                }
            }
        };
        match done {
            Some(Done::Replayed { alert }) => {
                progress.rows.borrow_mut().extend(job.row.clone());
                progress.results.borrow_mut().replayed.push((job.named(), alert));
            }
            Some(Done::Refused(why)) => {
                progress.results.borrow_mut().refuse(&job.named(), why);
                if !matches!(why, Why::Ended(_)) {
                    walk.release(&job.message.id, &job.message.pop_receipt).await;
                }
            }
            None => walk.release(&job.message.id, &job.message.pop_receipt).await,
        }
    }

    async fn replay_one(&self, walk: &PoisonWalk<'_, H>, job: &Job) -> Result<Done, AlertRejection> {
        let (message, record) = match self.message(job) {
            Ok(made) => made,
            Err(why) => return Ok(Done::Refused(why)),
        };
        let envelope = &message.envelope;
        let conversation = job.letter.conversation();
        let replay = Replay {
            conversation: &conversation,
            accepted_at: envelope.enqueued_at,
            until: envelope.not_before.max(envelope.expires),
            by: &self.caller.key,
            message: job.row.as_ref().map(DeadLetterId::message_id),
        };
        match self.reopen(job, &record, &replay).await? {
            Reopened::Yes | Reopened::Missing => {}
            Reopened::Newer => return Ok(Done::Refused(Why::Newer)),
            Reopened::Ended(status) => {
                self.delete(walk, job).await;
                return Ok(Done::Refused(Why::Ended(status)));
            }
        }
        let put = self.outbox.put(&message).await;
        if let Err(error) = put.result {
            log_failed_put(self.host, envelope, &error, put.is_doubtful);
            return Err(AlertRejection::ReplayNotQueued);
        }
        self.delete(walk, job).await;
        Ok(Done::Replayed { alert: envelope.id.excerpt().into_owned() })
    }

    /// Gives the alert's record the status `queued`. If the ledger no longer has the record, the function
    /// makes a new record. The new record gets the sender and the tag from the row of the dead letter.
    async fn reopen(
        &self,
        job: &Job,
        record: &RecordKey,
        replay: &Replay<'_>,
    ) -> Result<Reopened, TableError> {
        match self.ledger.reopen(record, replay).await? {
            Reopened::Missing => {}
            reopened => return Ok(reopened),
        }
        let row = match &job.row {
            Some(row) => self.dead.read(row).await?,
            None => None,
        };
        let origin = row.map_or_else(Origin::default, |row| row.origin);
        self.ledger.remake(record, replay, &origin).await
    }

    /// Makes the message for the queue, and finds the key of the alert's record. Returns an error if the bot
    /// refuses the replay.
    fn message(&self, job: &Job) -> Result<(Message, RecordKey), Why> {
        let now = self.host.now();
        let envelope = job.letter.to_replay(now)?;
        let record = job.letter.record(job.row.as_ref()).ok_or(Why::Unreadable)?;
        let text = envelope.encode(self.settings.seal_key.as_ref()).map_err(|_| Why::TooLarge)?;
        let options = put_options(&envelope, now);
        Ok((Message { envelope, text, options }, record))
    }

    /// Deletes a message that must not be replayed again, and then the message's row. If the bot cannot
    /// delete the message, a later replay can find the message again. In this case, the alert's record in the
    /// ledger prevents a second delivery.
    async fn delete(&self, walk: &PoisonWalk<'_, H>, job: &Job) {
        if let Err(error) = walk.delete(&job.message).await {
            let fields = json!({"dead": job.named().to_text(), "reason": error.to_string()});
            self.host.event(Level::Warn, "poison.not-deleted", fields);
            return;
        }
        if let Some(row) = &job.row {
            self.remove_row(row).await;
        }
    }

    pub(super) async fn remove_row(&self, id: &DeadLetterId) {
        if let Err(error) = self.dead.remove(id).await {
            let fields = json!({"dead": id.as_str(), "reason": error.to_string()});
            self.host.event(Level::Warn, "dead.not-removed", fields);
        }
    }
}
