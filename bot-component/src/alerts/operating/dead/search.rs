//! Searches the poison queue for the messages that an API call replays (puts on the main queue again) or
//! drops (deletes). A message of the poison queue is also called a *dead letter*.
//!
//! The search is a *walk*: the bot leases one batch of messages after another. The *row* of a message is the
//! message's entry in the table of dead letters. The row contains a *digest* (a hash) of the message's text.
//! Some messages have no row. Some rows have no message, and such a row also counts as a dead letter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use platform::{Host, Level};
use serde_json::json;
use state::runs::{DeadLetter, DeadLetterId, DeadLetters};
use storage_queue::QueueMessage;
use storage_table::TableError;

use super::letter::Letter;
use super::{Named, not_reached};
use crate::alerts::poison_walk::PoisonWalk;
use crate::rejection::AlertRejection;
use crate::settings::BotSettings;

/// The walk leases no further messages after this time, counted from the beginning of the API call.
pub(super) const SEARCH_WITHIN: Duration = Duration::from_secs(8);
/// After this time, counted from the beginning of the API call, a replay starts no work on another message,
/// and a drop starts no work on another group of up to 100 dead letters.
pub(super) const ACT_WITHIN: Duration = Duration::from_secs(14);
/// The search ends when it has found this many messages.
const MAX_JOBS: usize = 512;
/// How many rows the bot reads in parallel.
const READS_AT_ONCE: usize = 8;
/// How many pages of the table [`find_rows`] reads at most. A page has up to a thousand rows.
const MAX_DIGEST_PAGES: u32 = 4;

/// A message that an API call replays or drops, and the message's row.
pub(super) struct Job {
    pub(super) message: QueueMessage,
    pub(super) letter: Letter,
    pub(super) row: Option<DeadLetterId>,
}

impl Job {
    pub(super) fn named(&self) -> Named {
        self.letter.named(self.row.as_ref())
    }
}

/// The messages that a search has found.
pub(super) struct Found {
    pub(super) jobs: Vec<Job>,
    /// Whether the search stopped early. If so, the poison queue perhaps holds further messages that the API
    /// call wants.
    pub(super) has_more: bool,
}

/// Finds messages in the poison queue, until `is_done` returns true.
///
/// The function calls `take` for each message. `take` returns:
///
/// - `Some(Some(row))` if the API call wants the message, and `take` knows the message's row;
/// - `Some(None)` if the API call wants the message, and `take` does not know the message's row;
/// - `None` if the API call does not want the message. The message then stays hidden until the walk ends, so
///   that the walk does not get it again.
pub(super) async fn find<H: Host>(
    (host, settings): (&H, &BotSettings),
    walk: &mut PoisonWalk<'_, H>,
    mut take: impl FnMut(&Letter) -> Option<Option<DeadLetterId>>,
    is_done: impl Fn() -> bool,
) -> Result<Found, AlertRejection> {
    let mut jobs: Vec<Job> = Vec::new();
    while !is_done() {
        if jobs.len() >= MAX_JOBS {
            return Ok(Found { jobs, has_more: true });
        }
        let messages = match walk.next().await {
            Ok(Some(messages)) => messages,
            Ok(None) => return Ok(Found { jobs, has_more: !walk.is_at_end() }),
            Err(error) if jobs.is_empty() => return Err(not_reached(host, &error)),
            // The API call still works on the messages that were found before the error.
            Err(error) => {
                not_reached(host, &error);
                return Ok(Found { jobs, has_more: true });
            }
        };
        for message in messages {
            let seal_key = settings.seal_key.as_ref();
            let letter = Letter::open(&message.id, message.insertion_time, &message.text, seal_key);
            match take(&letter) {
                Some(row) => jobs.push(Job { message, letter, row }),
                None => walk.leave(&message),
            }
        }
    }
    Ok(Found { jobs, has_more: false })
}

/// The dead letters that an API call names by their ids, and that the walk has not found yet. The id of a
/// dead letter is the id of its row. If the dead letter has no row, its id is the id of its message.
#[derive(Default)]
pub(super) struct Pending {
    /// The dead letters with a row.
    pub(super) rows: BTreeMap<DeadLetterId, DeadLetter>,
    /// The ids of these rows, by the digests in the rows.
    digests: BTreeMap<String, DeadLetterId>,
    /// The ids of the messages without a row.
    pub(super) messages: BTreeSet<String>,
    /// The ids of rows that the table does not have.
    pub(super) unknown: Vec<Named>,
}

impl Pending {
    /// Reads the rows that `ids` names.
    pub(super) async fn read<H: Host>(
        dead: &DeadLetters<'_, H>,
        ids: BTreeSet<Named>,
    ) -> Result<Self, TableError> {
        let mut pending = Self::default();
        let mut rows = Vec::new();
        for named in ids {
            match named {
                Named::Row(id) => rows.push(id),
                Named::Message(id) => _ = pending.messages.insert(id),
            }
        }
        let read = async |id: DeadLetterId| Ok::<_, TableError>((dead.read(&id).await?, id));
        let read: Vec<_> =
            stream::iter(rows.into_iter().map(read)).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        for (row, id) in read {
            match row {
                None => pending.unknown.push(Named::Row(id)),
                Some(row) => {
                    pending.digests.insert(row.digest.clone(), id.clone());
                    pending.rows.insert(id, row);
                }
            }
        }
        Ok(pending)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.messages.is_empty()
    }

    /// Returns the pending row that has the digest of this message. The row is then no longer pending.
    pub(super) fn take_exact(&mut self, letter: &Letter) -> Option<DeadLetterId> {
        let row = self.digests.get(&letter.digest).filter(|row| self.rows.contains_key(*row)).cloned()?;
        self.rows.remove(&row);
        Some(row)
    }

    /// Returns the id of this message, if the API call names this id. The id is then no longer pending.
    pub(super) fn take_message(&mut self, letter: &Letter) -> Option<Named> {
        let id = self.messages.iter().find(|id| letter.is_message(id)).cloned()?;
        self.messages.remove(&id);
        Some(Named::Message(id))
    }
}

/// Finds the rows of the messages whose rows are not known yet, by the digests of the messages. The function
/// reads only the first pages of the table. If a row is on a later page, the bot deletes only the message. A
/// later drop then deletes the row.
pub(super) async fn find_rows<H: Host>(host: &H, dead: &DeadLetters<'_, H>, jobs: &mut [Job]) {
    let digests: BTreeSet<_> =
        jobs.iter().filter(|job| job.row.is_none()).map(|job| job.letter.digest.clone()).collect();
    if digests.is_empty() {
        return;
    }
    match dead.with_digests(&digests, MAX_DIGEST_PAGES).await {
        Ok((found, _)) => {
            for job in jobs.iter_mut().filter(|job| job.row.is_none()) {
                job.row = found.get(&job.letter.digest).cloned();
            }
        }
        Err(error) => host.event(Level::Warn, "dead.not-read", json!({"reason": error.to_string()})),
    }
}
