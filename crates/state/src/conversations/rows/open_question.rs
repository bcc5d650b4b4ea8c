//! The open question of a conversation: a question that a person's next text answers.

use chrono::{DateTime, Utc};
use storage_table::{Entity, Key};

const ASKED: &str = "asked";
pub(in crate::conversations) const ASKED_UNTIL: &str = "askedUntil";

/// A question that waits for a person's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::conversations) struct OpenQuestion {
    /// The id of the alert that asks the question.
    pub(in crate::conversations) alert: String,
    pub(in crate::conversations) until: DateTime<Utc>,
}

impl OpenQuestion {
    /// Reads the question from a row. Values that cannot be read count as missing.
    pub(in crate::conversations) fn of(entity: &Entity) -> Option<Self> {
        let alert = entity.str(ASKED).filter(|alert| !alert.is_empty())?.to_owned();
        Some(Self { alert, until: DateTime::from_timestamp_millis(entity.int(ASKED_UNTIL)?)? })
    }

    /// The id of the alert; `None` if the question has ended.
    pub(in crate::conversations) fn open(&self, now: DateTime<Utc>) -> Option<&str> {
        (now < self.until).then_some(self.alert.as_str())
    }

    pub(in crate::conversations) fn entity(key: Key, alert: &str, until: DateTime<Utc>) -> Entity {
        Entity::new(key).with(ASKED, alert).with_int64(ASKED_UNTIL, until.timestamp_millis())
    }
}
