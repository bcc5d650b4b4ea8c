//! An alert that an operator replays or drops after it was moved to the poison queue.

use chrono::{DateTime, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Conditional, Entity, Inserted, TableError};

use super::record::{VERSION, ends_at};
use super::{Ledger, Record, RecordKey, Status, contended};

/// How often a change is tried if other writers change the record in between.
const ATTEMPTS: usize = 3;
/// The beginning of the reason of a dropped alert.
const DROPPED: &str = "dropped by ";

/// The alert that is to be replayed.
#[derive(Debug, Clone, Copy)]
pub struct Replay<'a> {
    /// The key of the conversation.
    pub conversation: &'a str,
    /// When the alert was accepted.
    pub accepted_at: DateTime<Utc>,
    /// When the alert is due or expires, whichever is later.
    pub until: Option<DateTime<Utc>>,
    /// The name of the operator's key.
    pub by: &'a str,
}

/// The result of [`Ledger::reopen`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reopened {
    /// The record has the status `queued`, or a status that an earlier replay led to. The caller puts the
    /// message on the queue, with the mark `once`.
    Yes,
    /// The alert has ended in another way, and must not be sent again.
    Ended(Status),
    /// A newer version of this program wrote the record.
    Newer,
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Gives a dead alert the status `queued`, with fresh tries. If the replay is killed afterwards, the next
    /// replay finds the record and continues. If the record has been deleted, a new one is inserted.
    pub async fn reopen(&self, key: &RecordKey, replay: &Replay<'_>) -> Result<Reopened, TableError> {
        for _ in 0..ATTEMPTS {
            let Some(found) = self.table.get(&key.to_key()).await? else {
                let mut entity = self.reopened(key, replay, None);
                entity.properties.insert("conversation".into(), replay.conversation.into());
                entity.int64("acceptedAt", replay.accepted_at.timestamp_millis());
                match self.table.insert(&entity).await? {
                    Inserted::New(_) => return Ok(Reopened::Yes),
                    Inserted::Exists => continue,
                }
            };
            let record = Record::read(&found.entity);
            if record.is_newer {
                return Ok(Reopened::Newer);
            }
            match record.status {
                _ if record.cancelled_at.is_some() => return Ok(Reopened::Ended(Status::Cancelled)),
                Status::Dead => {}
                status if status.is_final() => return Ok(Reopened::Ended(status)),
                _ if record.replayed_at.is_some() => return Ok(Reopened::Yes),
                // The run could not record that the alert is dead.
                _ => {}
            }
            let change = self.reopened(key, replay, Some(&record));
            if let Conditional::Done(_) = self.table.merge(&change, Some(&found.etag)).await? {
                return Ok(Reopened::Yes);
            }
        }
        Err(contended())
    }

    /// Records that an operator has dropped a dead alert. The status stays `dead`.
    pub async fn note_dropped(&self, key: &RecordKey, by: &str) -> Result<(), TableError> {
        for _ in 0..ATTEMPTS {
            let Some(found) = self.table.get(&key.to_key()).await? else { return Ok(()) };
            let record = Record::read(&found.entity);
            let reason = found.entity.str("reason").unwrap_or_default();
            if record.is_newer || record.status != Status::Dead || reason.starts_with(DROPPED) {
                return Ok(());
            }
            let reason = format!("{DROPPED}{by}; {reason}");
            let change =
                Entity::new(key.to_key()).with("reason", reason.chars().take(1000).collect::<String>());
            match self.table.merge(&change, Some(&found.etag)).await? {
                Conditional::Done(_) | Conditional::Gone => return Ok(()),
                Conditional::Changed => {}
            }
        }
        Err(contended())
    }

    fn reopened(&self, key: &RecordKey, replay: &Replay<'_>, record: Option<&Record>) -> Entity {
        let now = self.host.now();
        let mut entity = Entity::new(key.to_key())
            .with("version", VERSION)
            .with("status", Status::Queued.as_str())
            .with("reason", format!("replayed by {}", replay.by));
        // Without these, the next run would take the message for the dead one, or would continue its tries.
        for (name, is_set) in [
            ("message", record.is_some_and(|record| record.message.is_some())),
            ("tried", record.is_some_and(|record| record.tried.is_some())),
        ] {
            if is_set {
                entity.properties.insert(name.to_owned(), "".into());
            }
        }
        // The queue had taken the message, so an earlier doubt about the Put has ended.
        for (name, is_set) in [
            ("failedAt", record.is_some_and(|record| record.failed_at.is_some())),
            ("unconfirmedAt", record.is_some_and(|record| record.unconfirmed_at.is_some())),
        ] {
            if is_set {
                entity.int64(name, 0);
            }
        }
        entity.int64("changedAt", now.timestamp_millis());
        entity.int64("replayedAt", now.timestamp_millis());
        entity.int64("endsAt", ends_at(now, replay.until));
        entity
    }
}
