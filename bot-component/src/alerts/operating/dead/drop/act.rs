//! Drops the messages that a walk through the poison queue has found. Also drops rows without a message.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use platform::{Deadline, Host};
use state::ledger::{AlertId, Ledger, RecordKey};
use state::runs::{DeadLetter, DeadLetterId, DeadLetters};

use crate::alerts::caller::Caller;
use crate::alerts::operating::dead::search::Job;
use crate::alerts::operating::dead::why::Why;
use crate::alerts::operating::dead::{Named, not_reached};
use crate::alerts::poison_walk::PoisonWalk;
use crate::rejection::AlertRejection;
use crate::settings::BotSettings;

/// How many dead letters the bot drops in parallel.
const AT_ONCE: usize = 8;
/// The highest number of dead letters in a group. The bot first deletes the messages of a group. Then the bot
/// deletes the rows of the group with one storage call. If the bot is killed between these two steps, the
/// rows stay in the table without a message. A later drop of the same dead letters deletes these rows.
const ROWS_OF_A_CALL: usize = 100;

/// The results of a drop.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) dropped: Vec<Named>,
    pub(super) refused: Vec<(Named, Why)>,
    /// Whether the caller has to send the call again, because the drop has not reached all dead letters.
    pub(super) has_more: bool,
    /// How many messages this API call has deleted.
    pub(super) deleted: u64,
}

pub(super) struct Dropper<'a, H> {
    pub(super) host: &'a H,
    pub(super) settings: &'a BotSettings,
    pub(super) caller: &'a Caller,
    pub(super) ledger: Ledger<'a, H>,
    pub(super) dead: DeadLetters<'a, H>,
    pub(super) act_until: Deadline,
}

impl<H: Host> Dropper<'_, H> {
    /// Drops the messages of `jobs`, in groups of at most 100. For each message, the bot records the drop in
    /// the ledger, and then deletes the message. After each group, the bot deletes the rows of the group.
    ///
    /// If the bot is killed, a later drop finishes the work. After a failure, the bot starts no work on
    /// another message. If the API call has then dropped no dead letter, the function returns the failure.
    /// Otherwise, the function returns the results.
    pub(super) async fn act(
        &self,
        walk: &PoisonWalk<'_, H>,
        jobs: Vec<Job>,
        mut results: Results,
    ) -> Result<Results, AlertRejection> {
        let failure = RefCell::new(None);
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() && failure.borrow().is_none() && !self.act_until.has_passed(self.host) {
            let some: Vec<Job> = jobs.by_ref().take(ROWS_OF_A_CALL).collect();
            let is_stopped = Cell::new(false);
            let deleted = RefCell::new(Vec::new());
            let (failure, is_stopped, deleted) = (&failure, &is_stopped, &deleted);
            let work = async |job: Job| {
                if is_stopped.get() {
                    return walk.release(&job.message.id, &job.message.pop_receipt).await;
                }
                match self.delete(walk, &job).await {
                    Ok(()) => deleted.borrow_mut().push((job.named(), job.row)),
                    Err(error) => {
                        is_stopped.set(true);
                        failure.borrow_mut().get_or_insert(error);
                        walk.release(&job.message.id, &job.message.pop_receipt).await;
                    }
                }
            };
            let work = &work;
            stream::iter(some).for_each_concurrent(AT_ONCE, work).await;
            let deleted = deleted.take();
            results.deleted += deleted.len() as u64;
            let (named, rows): (BTreeSet<Named>, BTreeSet<Option<DeadLetterId>>) =
                deleted.into_iter().unzip();
            let rows: Vec<DeadLetterId> = rows.into_iter().flatten().collect();
            match self.dead.remove_all(&rows).await {
                Ok(()) => results.dropped.extend(named),
                // The rows stay in the table until a later drop.
                Err(error) => _ = failure.borrow_mut().get_or_insert(error.into()),
            }
        }
        if jobs.peek().is_some() || failure.borrow().is_some() {
            results.has_more = true;
        }
        // The remaining messages become visible, so that the next API call finds these messages.
        let release = async |job: Job| walk.release(&job.message.id, &job.message.pop_receipt).await;
        let release = &release;
        stream::iter(jobs).for_each_concurrent(AT_ONCE, release).await;
        match failure.into_inner() {
            Some(failure) if results.dropped.is_empty() => Err(failure),
            _ => Ok(results),
        }
    }

    /// Records the drop in the ledger, and then deletes the message.
    async fn delete(&self, walk: &PoisonWalk<'_, H>, job: &Job) -> Result<(), AlertRejection> {
        if let Some(record) = job.letter.record(job.row.as_ref()) {
            self.ledger.note_dropped(&record, &self.caller.key).await?;
        }
        walk.delete(&job.message).await.map_err(|error| not_reached(self.host, &error))
    }

    /// Deletes rows whose messages are not on the poison queue. Before that, records the drops in the ledger.
    pub(super) async fn drop_rows(
        &self,
        rows: Vec<DeadLetter>,
        mut results: Results,
    ) -> Result<Results, AlertRejection> {
        for some in rows.chunks(ROWS_OF_A_CALL) {
            if self.act_until.has_passed(self.host) {
                results.has_more = true;
                return Ok(results);
            }
            for row in some {
                if let Some(record) = record_of(row) {
                    self.ledger.note_dropped(&record, &self.caller.key).await?;
                }
            }
            let ids: Vec<_> = some.iter().map(|row| row.id.clone()).collect();
            self.dead.remove_all(&ids).await?;
            results.dropped.extend(ids.into_iter().map(Named::Row));
        }
        Ok(results)
    }
}

/// Returns the key of the alert's record in the ledger, for a row without a message. Returns `None` if the
/// bot cannot be sure that it made the alert itself.
fn record_of(row: &DeadLetter) -> Option<RecordKey> {
    let is_ours = row.is_genuine && AlertId::parse(&row.alert).is_some();
    is_ours.then(|| RecordKey::of_message(&row.alert, true, row.id.inserted_at()))
}
