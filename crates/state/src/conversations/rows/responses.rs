//! People's feedback in the rows of a conversation: read receipts, reactions and replies.

use chrono::{DateTime, Utc};
use storage_table::Entity;

use super::open_question::OpenQuestion;
use crate::conversations::message_number::MessageNumber;

pub(in crate::conversations) const READ_ID: &str = "readId";
pub(in crate::conversations) const READ_AT: &str = "readAt";
pub(in crate::conversations) const REACTIONS: &str = "reactions";
pub(in crate::conversations) const REPLIES: &str = "replies";
pub(in crate::conversations) const CAUSE: &str = "cause";
pub(in crate::conversations) const ENDS_AT: &str = "endsAt";

/// The last chat message that the person has read, and when the bot received the read receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::conversations) struct LastRead {
    pub(in crate::conversations) message: MessageNumber,
    pub(in crate::conversations) at: DateTime<Utc>,
}

impl LastRead {
    /// Reads the read receipt from the record of a conversation. Values that cannot be read count as missing.
    pub(in crate::conversations) fn of(entity: &Entity) -> Option<Self> {
        let message = entity.int(READ_ID).filter(|number| *number > 0).map(MessageNumber)?;
        Some(Self { message, at: DateTime::from_timestamp_millis(entity.int(READ_AT)?)? })
    }
}

/// The counts of reactions and replies to one chat message of the bot, and when the row with these counts
/// expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::conversations) struct Responses {
    pub(in crate::conversations) message: MessageNumber,
    pub(in crate::conversations) reactions: u32,
    pub(in crate::conversations) replies: u32,
    pub(in crate::conversations) ends_at: DateTime<Utc>,
    /// If the message asks a question, the time at which the question ends.
    pub(in crate::conversations) asked_until: Option<DateTime<Utc>>,
}

impl Responses {
    /// Reads a row. A value that cannot be read counts as zero. So a row without a valid `endsAt` has
    /// expired.
    pub(in crate::conversations) fn of(message: MessageNumber, entity: &Entity) -> Self {
        let count = |name| entity.int(name).and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
        let ends_at = entity.int(ENDS_AT).and_then(DateTime::from_timestamp_millis).unwrap_or_default();
        let asked_until = OpenQuestion::of(entity).map(|question| question.until);
        Self { message, reactions: count(REACTIONS), replies: count(REPLIES), ends_at, asked_until }
    }

    /// Whether the message asks a question that has not ended.
    pub(in crate::conversations) fn is_asking(&self, now: DateTime<Utc>) -> bool {
        self.asked_until.is_some_and(|until| now < until)
    }

    pub(in crate::conversations) fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.ends_at <= now
    }
}
