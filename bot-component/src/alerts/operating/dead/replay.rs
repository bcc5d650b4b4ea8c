//! `POST /api/dead/replay`: puts dead letters on the queue again. The person sees each alert once, even if
//! the replay is killed at any moment, or two replays run at once:
//!
//! 1. The bot finds the messages by a walk through the poison queue.
//! 2. It gives the alert's record the status `queued`, on the condition that the record is unchanged.
//! 3. It puts the message on the queue with the mark `once`. A run reads the record before it sends a marked
//!    message.
//! 4. It deletes the message from the poison queue, and then the row.
//!
//! The next replay finds what a killed one has left, and continues there.

mod act;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bot_framework::json::Fields;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Request, StatusCode};
use platform::{Deadline, Host, Level, RequestBody, answer};
use serde_json::json;
use state::ledger::Ledger;
use state::runs::{DeadLetter, DeadLetterId, DeadLetters};
use storage_queue::QueueMessage;
use storage_table::TableError;

use super::body::Selection;
use super::drop::PUT_WITHIN;
use super::letter::Letter;
use super::why::Why;
use super::{Named, WITHIN, dead_letters, not_reached};
use crate::alerts::caller::Caller;
use crate::alerts::grant::Scope;
use crate::alerts::poison_walk::PoisonWalk;
use crate::answered::Answered;
use crate::limits::MAX_BODY_BYTES;
use crate::outbox::Outbox;
use crate::rejection::{AlertRejection, Rejection};
use crate::request::expect_json;
use crate::settings::{BotSettings, CallerSettings};
use act::Results;

/// The walk begins no Get after this time.
const SEARCH_WITHIN: Duration = Duration::from_secs(8);
/// No replay of a message begins after this time.
const ACT_WITHIN: Duration = Duration::from_secs(14);
/// The walk ends when it has found this many messages.
const MAX_JOBS: usize = 512;
/// How many rows are read at once.
const READS_AT_ONCE: usize = 8;
/// The most pages of a thousand rows that are read to find the rows of messages that name none.
const MAX_DIGEST_PAGES: u32 = 4;

pub(in crate::alerts) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    caller.require(Scope::Operate)?;
    let deadline = Deadline::after(host, WITHIN);
    let (search_until, act_until) = (Deadline::after(host, SEARCH_WITHIN), Deadline::after(host, ACT_WITHIN));
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let (head, body) = request.into_parts();
    expect_json(&head.headers)?;
    let fields = Fields::of_request(&body.read(MAX_BODY_BYTES).await?).map_err(AlertRejection::from)?;
    let selection = Selection::read(fields)?;
    let replayer = Replayer {
        host,
        settings: &settings,
        caller,
        ledger: Ledger::new(host, &settings.queue.account, &settings.tables, deadline),
        dead: dead_letters(host, &settings, deadline),
        outbox: Outbox::new(host, &settings, deadline),
        act_until,
    };
    let poison = settings.queue.name.poison();
    let mut walk = PoisonWalk::new(host, &settings, &poison, deadline, search_until);
    let results = replayer.replay(&mut walk, selection).await;
    // If the walk did not reach the end, the next call has to find the messages that this one has not seen.
    if walk.is_at_end() || results.as_ref().is_ok_and(|results| !results.has_more) {
        walk.end().await;
    }
    Ok(replayer.answer(results?))
}

struct Replayer<'a, H> {
    host: &'a H,
    settings: &'a BotSettings,
    caller: &'a Caller,
    ledger: Ledger<'a, H>,
    dead: DeadLetters<'a, H>,
    outbox: Outbox<'a, H>,
    act_until: Deadline,
}

/// A message to replay.
struct Job {
    message: QueueMessage,
    letter: Letter,
    row: Option<DeadLetterId>,
}

impl Job {
    fn named(&self) -> Named {
        self.row.clone().map_or_else(|| self.letter.without_row(), Named::Row)
    }
}

/// The dead letters that a call names by their ids, and the walk has not found yet.
#[derive(Default)]
struct Pending {
    rows: BTreeMap<DeadLetterId, DeadLetter>,
    /// The rows, by their digests.
    digests: BTreeMap<String, DeadLetterId>,
    messages: BTreeSet<String>,
    /// The rows that a message names whose seal is not valid.
    tampered: BTreeSet<DeadLetterId>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.messages.is_empty()
    }

    /// Removes the dead letter that this message is, and returns its row.
    fn take(&mut self, letter: &Letter) -> Option<Option<DeadLetterId>> {
        let by_digest = self.digests.get(&letter.digest).cloned();
        if let Some(row) = by_digest.or_else(|| letter.row()).filter(|row| self.rows.contains_key(row)) {
            self.rows.remove(&row);
            return Some(Some(row));
        }
        let Some(id) = self.messages.iter().find(|id| letter.is_message(id)).cloned() else {
            // The walk goes on, because the message of the row may follow.
            self.tampered.extend(letter.named_row().filter(|row| self.rows.contains_key(row)));
            return None;
        };
        self.messages.remove(&id);
        Some(letter.row())
    }
}

impl<H: Host> Replayer<'_, H> {
    async fn replay(
        &self,
        walk: &mut PoisonWalk<'_, H>,
        selection: Selection,
    ) -> Result<Results, AlertRejection> {
        let mut results = Results::default();
        let mut jobs = match selection {
            Selection::Matching(condition) => {
                let jobs = self.find(
                    walk,
                    &mut results,
                    |letter| condition.fits(letter).then(|| letter.row()),
                    || false,
                );
                let mut jobs = jobs.await?;
                self.find_rows(&mut jobs).await;
                jobs
            }
            Selection::Ids(ids) => {
                let pending = std::cell::RefCell::new(self.pending(ids, &mut results).await?);
                let take = |letter: &Letter| pending.borrow_mut().take(letter);
                let jobs = self.find(walk, &mut results, take, || pending.borrow().is_empty()).await?;
                self.refuse_missing(walk, pending.into_inner(), &mut results).await?;
                jobs
            }
        };
        // Messages of one conversation keep their order.
        jobs.sort_by_key(|job| job.letter.enqueued_at());
        self.act(walk, jobs, results).await
    }

    /// Reads the rows of these dead letters.
    async fn pending(&self, ids: BTreeSet<Named>, results: &mut Results) -> Result<Pending, TableError> {
        let mut pending = Pending::default();
        let mut rows = Vec::new();
        for named in ids {
            match named {
                Named::Row(id) => rows.push(id),
                Named::Message(id) => _ = pending.messages.insert(id),
            }
        }
        let read = async |id: DeadLetterId| Ok::<_, TableError>((self.dead.read(&id).await?, id));
        let read: Vec<_> =
            stream::iter(rows.into_iter().map(read)).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        for (row, id) in read {
            match row {
                None => results.refuse(&Named::Row(id), Why::Unknown),
                Some(row) => {
                    pending.digests.insert(row.digest.clone(), id.clone());
                    pending.rows.insert(id, row);
                }
            }
        }
        Ok(pending)
    }

    /// Finds the messages that `take` takes, until `is_done`.
    async fn find(
        &self,
        walk: &mut PoisonWalk<'_, H>,
        results: &mut Results,
        take: impl Fn(&Letter) -> Option<Option<DeadLetterId>>,
        is_done: impl Fn() -> bool,
    ) -> Result<Vec<Job>, AlertRejection> {
        let mut jobs: Vec<Job> = Vec::new();
        while !is_done() {
            if jobs.len() >= MAX_JOBS {
                results.has_more = true;
                return Ok(jobs);
            }
            let messages = match walk.next().await {
                Ok(Some(messages)) => messages,
                Ok(None) => {
                    results.has_more = !walk.is_at_end();
                    return Ok(jobs);
                }
                Err(error) if jobs.is_empty() => return Err(not_reached(self.host, &error)),
                // The messages that were found are replayed.
                Err(error) => {
                    not_reached(self.host, &error);
                    results.has_more = true;
                    return Ok(jobs);
                }
            };
            for message in messages {
                let seal_key = self.settings.seal_key.as_ref();
                let letter = Letter::open(&message.id, message.insertion_time, &message.text, seal_key);
                let Some(row) = take(&letter) else {
                    walk.leave(&message);
                    continue;
                };
                let job = Job { message, letter, row };
                match job.letter.to_replay(self.host.now()) {
                    Ok(_) => jobs.push(job),
                    // The message stays hidden until the walk ends, so that the walk goes on behind it.
                    Err(why) => {
                        results.refuse(&job.named(), why);
                        walk.leave(&job.message);
                    }
                }
            }
        }
        Ok(jobs)
    }

    /// Finds the rows of messages that do not name their rows. A row that is not found stays in the list. The
    /// next call that names the row removes it.
    async fn find_rows(&self, jobs: &mut [Job]) {
        let digests: BTreeSet<_> =
            jobs.iter().filter(|job| job.row.is_none()).map(|job| job.letter.digest.clone()).collect();
        if digests.is_empty() {
            return;
        }
        match self.dead.with_digests(&digests, MAX_DIGEST_PAGES).await {
            Ok((found, _)) => {
                for job in jobs.iter_mut().filter(|job| job.row.is_none()) {
                    job.row = found.get(&job.letter.digest).cloned();
                }
            }
            Err(error) => self.host.event(Level::Warn, "dead.not-read", json!({"reason": error.to_string()})),
        }
    }

    /// Refuses the dead letters that the walk has not found. It removes a row if the poison queue certainly
    /// no longer holds its message.
    async fn refuse_missing(
        &self,
        walk: &PoisonWalk<'_, H>,
        pending: Pending,
        results: &mut Results,
    ) -> Result<(), AlertRejection> {
        if pending.is_empty() || !walk.is_at_end() {
            return Ok(());
        }
        let has_seen_all = walk.has_seen_all(0).await.map_err(|error| not_reached(self.host, &error))?;
        for id in pending.messages {
            results.refuse(&Named::Message(id), if has_seen_all { Why::Unknown } else { Why::Hidden });
        }
        for (id, row) in pending.rows {
            if pending.tampered.contains(&id) {
                results.refuse(&Named::Row(id), Why::Tampered);
                continue;
            }
            let is_gone = has_seen_all && self.host.now() - row.died_at >= PUT_WITHIN;
            if is_gone {
                self.remove_row(&id).await;
            }
            results.refuse(&Named::Row(id), if is_gone { Why::Missing } else { Why::Hidden });
        }
        Ok(())
    }

    async fn remove_row(&self, id: &DeadLetterId) {
        if let Err(error) = self.dead.remove(id).await {
            let fields = json!({"dead": id.as_str(), "reason": error.to_string()});
            self.host.event(Level::Warn, "dead.not-removed", fields);
        }
    }

    fn answer(&self, results: Results) -> Answered {
        let Results { replayed, refused, has_more, .. } = results;
        let alerts: Vec<_> = replayed.iter().map(|(_, alert)| alert.as_str()).collect();
        let ids: Vec<_> = replayed.iter().map(|(named, _)| named.to_text()).collect();
        let refusals: Vec<_> = refused
            .iter()
            .map(|(named, why)| json!({"dead": named.to_text(), "why": why.as_str()}))
            .collect();
        let fields = json!({"dead": ids, "alerts": alerts, "refused": refusals, "more": has_more});
        self.caller.event(self.host, Level::Info, "dead.replayed", fields);
        let refused: Vec<_> = refused
            .iter()
            .map(|(named, why)| json!({"id": named.to_text(), "why": why.as_str(), "message": why.message()}))
            .collect();
        let body = json!({"replayed": ids, "refused": refused, "more": has_more});
        let kick = self.settings.kick.clone().filter(|_| self.outbox.has_due());
        Answered::with_kick(answer::json(StatusCode::OK, &body), kick)
    }
}
