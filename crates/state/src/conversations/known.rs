//! The facts that decide whether a conversation gets an alert.

use chrono::{DateTime, Utc};

use super::record::{Conversation, Rows};
use super::rows::hook::Hook;
use super::rows::quiet::Quiet;

/// Whether the bot is allowed to send alerts to a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryState {
    /// The person has sent `stop`. So the poller does not deliver the alerts that programs send. The poller
    /// still delivers the reminders that the person has set. With the variable `replies=echo`, the poller
    /// also sends the person's own texts back.
    pub stopped: bool,
    /// The conversation is paused, because the channel reported that the person cannot be reached.
    pub paused: bool,
    /// The time at which the bot forgot the conversation, because the person or a program asked the bot to
    /// forget the conversation. The poller does not deliver alerts that the bot accepted at this time or
    /// earlier.
    pub forgotten_at: Option<DateTime<Utc>>,
    /// The person's quiet hours. Most alerts of programs wait until the quiet hours end.
    pub quiet: Option<Quiet>,
}

/// The stored facts about a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Whether the bot is allowed to send alerts to the conversation. The `stop`, the tombstone (the time at
    /// which the bot forgot the conversation) and the quiet hours are known even if the record is missing.
    pub standing: DeliveryState,
    /// The conversation; `None` if its record is missing, or if this version cannot read the record.
    pub conversation: Option<Conversation>,
    /// The number (*generation*) of the webhook address that works; `None` if no webhook address works.
    pub hook: Option<u16>,
}

impl Known {
    pub(super) fn of(rows: Rows, now: DateTime<Utc>) -> Self {
        let (stopped, forgotten_at, quiet) = (rows.stopped, rows.forgotten_at, rows.quiet());
        let hook = rows.hook.and_then(Hook::working);
        let conversation = rows.conversation(now);
        let paused = conversation.as_ref().is_some_and(|conversation| conversation.paused);
        Self { standing: DeliveryState { stopped, paused, forgotten_at, quiet }, conversation, hook }
    }
}
