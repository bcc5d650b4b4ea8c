//! The time of an alert's last replay. The ledger compares it with the replay that a run knew, so that the
//! run cannot overwrite the status of a later replay.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The last replay of an alert, as a record shows it: in milliseconds since 1970; zero if there is none. Each
/// replay has a later time than the one before, so that a caller can tell whether there was another replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastReplay(i64);

impl LastReplay {
    /// The value if the last replay is unknown, because the record could not be read. In this case, the
    /// ledger does not record a transition whose own message the last replay has sent again.
    pub(super) const UNKNOWN: Self = Self(-1);

    /// The last replay of an alert. `replayed_at` is its time; `None` if the alert was not replayed.
    pub(super) fn at(replayed_at: Option<DateTime<Utc>>) -> Self {
        Self(replayed_at.map_or(0, |at| at.timestamp_millis()))
    }
}
