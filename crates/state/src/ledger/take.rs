//! Taking an alert that a trigger brings: whoever has taken it may send it, and nobody else.
//!
//! The mark is written before the alert is sent. If it were written after, two copies that come at the same moment would
//! both be sent, and so would a copy that comes after a sender was cut off.

use chrono::{DateTime, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Conditional, Entity, Inserted, TableError};

use super::record::{Record, Status, ends_at};
use super::{Ledger, RecordKey, contended};

/// What became of the wish to send an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The caller may send the alert, and has to note what became of it, or to give it back.
    Yes,
    /// Another sender has taken it at this time, and has noted nothing since.
    Before(DateTime<Utc>),
    /// Something became of it before, or its sender has cancelled it.
    Ended(Status),
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Takes an alert, whether it has a record or not. One in the poison queue was not delivered, so it may be taken.
    pub async fn take(&self, key: &RecordKey) -> Result<Taken, TableError> {
        let now = self.host.now();
        let mut mark = Entity::new(key.to_key());
        mark.int64("takenAt", now.timestamp_millis());
        // Another write may come between: then the record is read once more.
        for _ in 0..3 {
            let Some(found) = self.table.get(&key.to_key()).await? else {
                let new = mark.clone().with("version", super::record::VERSION);
                let new =
                    new.with("status", Status::Queued.as_str()).with_int64("endsAt", ends_at(now, None));
                match self.table.insert(&new).await? {
                    Inserted::New(_) => return Ok(Taken::Yes),
                    Inserted::Exists => continue,
                }
            };
            let record = Record::read(&found.entity);
            match record.shown_status() {
                Status::Dead => {}
                status if status.is_final() => return Ok(Taken::Ended(status)),
                _ => {}
            }
            if let Some(taken_at) = record.taken_at {
                return Ok(Taken::Before(taken_at));
            }
            if let Conditional::Done(_) = self.table.merge(&mark, Some(&found.etag)).await? {
                return Ok(Taken::Yes);
            }
        }
        Err(contended())
    }

    /// Gives back an alert that was taken and certainly not sent, so that it may be taken again.
    pub async fn give_back(&self, key: &RecordKey) -> Result<(), TableError> {
        let mut mark = Entity::new(key.to_key());
        mark.int64("takenAt", 0);
        self.table.put_merge(&mark).await.map(drop)
    }
}
