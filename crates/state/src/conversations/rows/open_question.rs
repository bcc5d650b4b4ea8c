//! The open question of a conversation: an alert has asked the question, and the next text of a person is the
//! answer.

use chrono::{DateTime, Utc};
use storage_table::{Entity, Key};

const ASKED: &str = "asked";
pub(in crate::conversations) const ASKED_UNTIL: &str = "askedUntil";

/// The open question, and the time at which the question ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::conversations) struct OpenQuestion {
    /// The id of the alert that asks the question.
    pub(in crate::conversations) alert: String,
    pub(in crate::conversations) until: DateTime<Utc>,
}

impl OpenQuestion {
    /// Reads the question from a row; `None` if a value is missing or cannot be read.
    pub(in crate::conversations) fn of(entity: &Entity) -> Option<Self> {
        let alert = entity.str(ASKED).filter(|alert| !alert.is_empty())?.to_owned();
        Some(Self { alert, until: DateTime::from_timestamp_millis(entity.int(ASKED_UNTIL)?)? })
    }

    /// The id of the alert that asks the question; `None` if the question has ended by `now`.
    pub(in crate::conversations) fn alert_if_open(&self, now: DateTime<Utc>) -> Option<&str> {
        (now < self.until).then_some(self.alert.as_str())
    }

    pub(in crate::conversations) fn entity(key: Key, alert: &str, until: DateTime<Utc>) -> Entity {
        Entity::new(key).with(ASKED, alert).with_int64(ASKED_UNTIL, until.timestamp_millis())
    }
}
