//! The ids of chat messages on Teams.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::ledger::KEPT;

/// The most digits of a message's number. Every number of 18 digits fits into an Int64.
const MAX_DIGITS: usize = 18;

/// The id of a chat message on Teams, as a number. A later message of the same conversation has a greater
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageNumber(pub(super) i64);

impl MessageNumber {
    /// Parses a positive decimal number of at most 18 digits, without leading zeros. Returns `None` for every
    /// other text.
    pub fn parse(id: &str) -> Option<Self> {
        let is_number = id.len() <= MAX_DIGITS && id.bytes().all(|byte| byte.is_ascii_digit());
        let number = id.parse().ok().filter(|_| is_number && !id.starts_with('0'))?;
        Some(Self(number))
    }

    /// Whether the ledger (the table with a record of each alert) can still have the record of the alert that
    /// the poller sent as this chat message. The number is the time of the chat message, in milliseconds
    /// since 1970.
    pub fn is_recent(self, now: DateTime<Utc>) -> bool {
        self.0 >= (now - KEPT).timestamp_millis()
    }
}

impl fmt::Display for MessageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
