//! Claims on alerts that reach the bot in *triggers*. A trigger is an activity that contains an envelope (one
//! alert as JSON). A program sends the trigger to the bot. The bot itself sends the alert to the Connector,
//! without the queue. Before this, the bot claims the alert in the ledger. If the claim does not succeed, the
//! bot does not send the alert.
//!
//! The bot makes the claim before the send, for two reasons:
//!
//! - If two copies of a trigger arrive at the same moment, only one claim succeeds.
//! - If the bot is killed after the send, the claim remains. So the bot does not send a later copy.

use chrono::{DateTime, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Conditional, Entity, Inserted, TableError};

use super::record::{Record, Status, ends_at};
use super::{Ledger, RecordKey, contended};

/// The result of [`Ledger::claim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The caller is allowed to send the alert. After the attempt, the caller has to record the result or
    /// release the claim.
    Yes,
    /// The alert has an earlier claim, from this time. No result of the earlier claim is recorded yet.
    Before(DateTime<Utc>),
    /// The alert already has this final status. If the sender has cancelled the alert, the status is
    /// [`Status::Cancelled`].
    Ended(Status),
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Claims an alert. If the alert has no record, inserts a record. An alert in the poison queue
    /// ([`Status::Dead`]) can be claimed. This status is final, but does not mean that the alert was
    /// delivered.
    pub async fn claim(&self, key: &RecordKey) -> Result<Claim, TableError> {
        let now = self.host.now();
        let mut claim = Entity::new(key.to_key());
        claim.int64("takenAt", now.timestamp_millis());
        // An attempt fails if another writer changes the record between the read and the write.
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
            if let Some(claimed_at) = record.claimed_at {
                return Ok(Claim::Before(claimed_at));
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
    /// - A gateway failed (HTTP status 408, 502 or 504), and `onUncertain` in the envelope is `retry`.
    ///   Perhaps the Connector has delivered the alert. Then the person gets the alert twice.
    pub async fn release_claim(&self, key: &RecordKey) -> Result<(), TableError> {
        let mut released = Entity::new(key.to_key());
        released.int64("takenAt", 0);
        self.table.put_merge(&released).await.map(drop)
    }
}
