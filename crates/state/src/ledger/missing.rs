//! Queue messages that are missing: a killed run had the message in hand, and the queue does not seem to hold
//! the message any more. The next run records this in the ledger.
//!
//! A run deletes a message right after the Connector has accepted the alert, and records the delivery in the
//! ledger up to half a second later. If the run is killed between the two steps, the alert's record says
//! `queued`, although the alert was delivered. The next run finds the message in the killed run's list of
//! messages in hand, but the queue refuses the message's pop receipt. So the killed run has deleted the
//! message, or has hidden it until the next try. In both cases, the pop receipt in the list is no longer
//! valid.
//!
//! If the killed run has deleted the message, no run dequeues it again. If the killed run has hidden the
//! message, a run dequeues the message soon after the message becomes visible. The next run cannot tell these
//! two cases apart. So it records a time by which a hidden message should have been dequeued. If no run has
//! dequeued the message by this time, the alert counts as delivered.

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Conditional, Entity, TableError};

use super::shown::later;
use super::{Ledger, Record, RecordKey, Status, contended};

/// A run should dequeue a message within this time after the message has become visible.
const MET_WITHIN: TimeDelta = TimeDelta::minutes(2);

/// The result of recording that an alert's message is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The alert had ended, so nothing was recorded.
    Ended {
        /// The final status.
        status: Status,
        /// True if the missing message was a copy: the alert had two queue messages, and the run that
        /// recorded the final status had the other message in hand.
        is_copy: bool,
    },
    /// The alert had not ended. The record now says that the alert's message is missing.
    Recorded,
    /// The ledger has no record of the alert.
    Unknown,
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Records that a queue message of an alert is missing. `message` is the id of this queue message. If the
    /// killed run has hidden the message, the message becomes visible at `visible_at` at the latest.
    pub async fn record_missing(
        &self,
        key: &RecordKey,
        message: &str,
        visible_at: DateTime<Utc>,
    ) -> Result<Missed, TableError> {
        let now = self.host.now();
        // If another writer changes the record between the read and the write, the record is read again.
        for _ in 0..3 {
            let Some(found) = self.table.get(&key.to_key()).await? else { return Ok(Missed::Unknown) };
            let record = Record::read(&found.entity);
            let is_copy = record.message.as_deref().is_some_and(|other| other != message);
            if record.replayed_from.as_deref() == Some(message) && record.message.as_deref() != Some(message)
            {
                // The killed run had moved the message to the poison queue, and an operator has replayed the
                // alert from there.
                return Ok(Missed::Ended { status: Status::Dead, is_copy: false });
            }
            if record.status.is_final() {
                return Ok(Missed::Ended { status: record.status, is_copy });
            }
            // An alert that is not due yet is hidden until it is due.
            let missing_from = later(visible_at.max(record.due()).max(now), MET_WITHIN);
            let mut change = Entity::new(key.to_key());
            change.int64("missedAt", now.timestamp_millis());
            change.int64("missingFrom", missing_from.timestamp_millis());
            if let Conditional::Done(_) = self.table.merge(&change, Some(&found.etag)).await? {
                return Ok(Missed::Recorded);
            }
        }
        Err(contended())
    }
}
