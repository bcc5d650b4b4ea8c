//! This module records in the ledger (the table with one record for each alert) that a queue message of an
//! alert is missing. A *run* is one execution of the poller. A run has a message *in hand* from the dequeue
//! until the run deletes the message, or hides the message until the next try. Each run stores a list of its
//! messages in hand, with their pop receipts.
//!
//! A run deletes a message right after the Connector has accepted the alert. To save storage calls, the run
//! records several deliveries together, up to half a second later. If the run is killed in this half second,
//! the alert's record says `queued`, although the alert was delivered.
//!
//! The next run finds the message in the killed run's list, but the queue refuses the message's pop receipt.
//! Such a message is *missing*. There are two possible causes:
//!
//! - The killed run has delivered the alert and deleted the message.
//! - The killed run has failed to deliver the alert, and has hidden the message until the next try. A run
//!   dequeues the message soon after the message becomes visible.
//!
//! The next run cannot tell these two cases apart. So the next run records that the message is missing, and
//! computes a time by which a run probably dequeues a hidden message. If no run has dequeued the message by
//! this time, the alert counts as delivered.

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Conditional, Entity, TableError};

use super::shown::later;
use super::{Ledger, Record, RecordKey, Status, contended};

/// A run probably dequeues a hidden message within this time after the message has become visible.
const DEQUEUED_AGAIN_WITHIN: TimeDelta = TimeDelta::minutes(2);

/// The result of recording that an alert's message is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The alert had ended, so nothing was recorded. Or an operator had *replayed* the alert (sent the alert
    /// again in a new message), and the old message is missing; in this case, too, nothing was recorded.
    Ended {
        /// The final status of the alert; [`Status::Dead`] for the old message of a replayed alert.
        status: Status,
        /// True if the alert had two queue messages, and the final status came from the other message. The
        /// missing message was then a copy.
        is_copy: bool,
    },
    /// The alert had not ended. The record now says that the alert's message is missing.
    Recorded,
    /// The ledger has no record of the alert.
    Unknown,
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Records that a queue message of an alert is missing. `message` is the id of the queue message. If the
    /// killed run has hidden the message, the message becomes visible by `visible_at`.
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
                // The killed run had moved this message to the poison queue (the queue for the messages of
                // dead alerts). Then an operator replayed the alert, and the alert got a new message. The
                // record now describes the new message, so this method does not change the record. The old
                // message has ended as `dead`.
                return Ok(Missed::Ended { status: Status::Dead, is_copy: false });
            }
            if record.status.is_final() {
                return Ok(Missed::Ended { status: record.status, is_copy });
            }
            // If the alert is not due yet, a run can have hidden the message until the alert is due.
            let missing_from = later(visible_at.max(record.due()).max(now), DEQUEUED_AGAIN_WITHIN);
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
