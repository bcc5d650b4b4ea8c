//! Claims on alerts that reach the bot in *triggers*. A trigger is an activity that contains an envelope. A
//! program sends the trigger to the bot. The bot claims the alert before it sends the alert. If the claim
//! does not succeed, the bot does not send the alert.
//!
//! If the bot claimed an alert after the send, two copies that arrive at the same moment would both be sent.
//! A second copy would also be sent if the bot was killed between the send and the claim of the first copy.

use chrono::{DateTime, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Conditional, Entity, Inserted, TableError};

use super::record::{Record, Status, ends_at};
use super::{Ledger, RecordKey, contended};

/// The result of claiming an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The caller is allowed to send the alert. After the attempt, the caller has to record the result or
    /// release the claim.
    Yes,
    /// The alert was claimed before, at this time, and no result was recorded yet.
    Before(DateTime<Utc>),
    /// The alert already has this final status. If the sender has cancelled the alert, the status is
    /// [`Status::Cancelled`].
    Ended(Status),
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Claims an alert. If the alert has no record, inserts one. An alert in the poison queue can be claimed,
    /// because it was not delivered.
    pub async fn claim(&self, key: &RecordKey) -> Result<Claim, TableError> {
        let now = self.host.now();
        let mut claim = Entity::new(key.to_key());
        claim.int64("takenAt", now.timestamp_millis());
        // If another writer changes the record between the read and the write, the record is read again.
        for _ in 0..3 {
            let Some(found) = self.table.get(&key.to_key()).await? else {
                let new = claim.clone().with("version", super::record::VERSION);
                let new =
                    new.with("status", Status::Queued.as_str()).with_int64("endsAt", ends_at(now, None));
                match self.table.insert(&new).await? {
                    Inserted::New(_) => return Ok(Claim::Yes),
                    Inserted::Exists => continue,
                }
            };
            let record = Record::read(&found.entity);
            match record.shown_status() {
                Status::Dead => {}
                status if status.is_final() => return Ok(Claim::Ended(status)),
                _ => {}
            }
            if let Some(taken_at) = record.taken_at {
                return Ok(Claim::Before(taken_at));
            }
            if let Conditional::Done(_) = self.table.merge(&claim, Some(&found.etag)).await? {
                return Ok(Claim::Yes);
            }
        }
        Err(contended())
    }

    /// Releases the claim on an alert, so that the alert can be claimed and sent again. The caller releases
    /// the claim in two cases:
    ///
    /// - The Connector certainly did not deliver the alert.
    /// - A gateway failed (status 408, 502 or 504), and `onUncertain` in the envelope is not `drop`. Then the
    ///   person perhaps gets the alert twice.
    pub async fn release_claim(&self, key: &RecordKey) -> Result<(), TableError> {
        let mut released = Entity::new(key.to_key());
        released.int64("takenAt", 0);
        self.table.put_merge(&released).await.map(drop)
    }
}
