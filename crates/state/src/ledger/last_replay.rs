//! The time of an alert's last *replay*. In a replay, an operator sends the alert again from the poison
//! queue.
//!
//! A run (an execution of the poller) reads this time from the alert's record before it moves the alert to
//! the poison queue. When the run then records the status `dead`, the ledger first checks whether the record
//! still has the same time. If not, an operator has replayed the alert in the meantime, and the ledger does
//! not record `dead`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The time of an alert's last replay, from the alert's record: milliseconds since 1970, or zero if there was
/// no replay. Each replay has a later time than the replay before it. So a changed time shows that there was
/// another replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastReplay(i64);

impl LastReplay {
    /// The value for an unknown last replay: a run could not read the record before it moved a message to the
    /// poison queue. When the run then records the status `dead`, the ledger reads the record again. The
    /// record of a replayed alert usually holds a message id (`replayedFrom`): the id that the replayed
    /// message had on the queue before a run moved the message to the poison queue. If `replayedFrom` is the
    /// id of the run's message, the ledger does not record `dead`.
    pub(super) const UNKNOWN: Self = Self(-1);

    /// Makes the value from the time of the last replay. `replayed_at` is `None` if the alert was not
    /// replayed.
    pub(super) fn at(replayed_at: Option<DateTime<Utc>>) -> Self {
        Self(replayed_at.map_or(0, |at| at.timestamp_millis()))
    }
}
