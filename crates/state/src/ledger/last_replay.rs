//! The time of an alert's last *replay*: an operator has sent the alert again from the poison queue. The
//! ledger compares this time in the record with the time that a run knows. So the run cannot overwrite the
//! status of a later replay.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The time of an alert's last replay, from the alert's record: milliseconds since 1970, or zero if there was
/// no replay. Each replay has a later time than the previous one, so a changed time shows that there was
/// another replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastReplay(i64);

impl LastReplay {
    /// The value for an unknown last replay, if a run could not read the record. With this value, the ledger
    /// ignores the run's change of the status if the last replay has sent the same message again.
    pub(super) const UNKNOWN: Self = Self(-1);

    /// Makes the value from the time of the last replay. `replayed_at` is `None` if the alert was not
    /// replayed.
    pub(super) fn at(replayed_at: Option<DateTime<Utc>>) -> Self {
        Self(replayed_at.map_or(0, |at| at.timestamp_millis()))
    }
}
