//! The time of an alert's last *replay*: an operator has sent the alert again from the poison queue. A run
//! reads this time from the alert's record before it moves the alert to the poison queue. When the run then
//! records the status `dead`, the ledger compares the time with the time in the record. If an operator has
//! replayed the alert in between, the ledger does not record `dead`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The time of an alert's last replay, from the alert's record: milliseconds since 1970, or zero if there was
/// no replay. Each replay has a later time than the previous one, so a changed time shows that there was
/// another replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastReplay(i64);

impl LastReplay {
    /// The value for an unknown last replay: a run could not read the record before it moved a message to the
    /// poison queue. When the run then records the status `dead`, the ledger looks for the id of this message
    /// in the record. If the record says that an operator has replayed the alert from this message, the
    /// ledger does not record `dead`.
    pub(super) const UNKNOWN: Self = Self(-1);

    /// Makes the value from the time of the last replay. `replayed_at` is `None` if the alert was not
    /// replayed.
    pub(super) fn at(replayed_at: Option<DateTime<Utc>>) -> Self {
        Self(replayed_at.map_or(0, |at| at.timestamp_millis()))
    }
}
