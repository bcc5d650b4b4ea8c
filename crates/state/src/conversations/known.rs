//! The facts that decide whether a conversation gets an alert.

use chrono::{DateTime, Utc};

use super::record::{Conversation, Rows};
use super::rows::hook::Hook;
use super::rows::quiet::Quiet;

/// Whether the bot is allowed to send alerts to a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryState {
    /// The person has sent `stop`. So the poller delivers no alerts of programs. It still delivers the
    /// person's reminders. With `replies=echo`, the poller also still echoes the person's own texts.
    pub stopped: bool,
    /// The conversation is paused, because the channel reported that the person cannot be reached.
    pub paused: bool,
    /// When the conversation was forgotten, because the person or a program asked for it. Alerts that the bot
    /// accepted at this time or earlier are not delivered.
    pub forgotten_at: Option<DateTime<Utc>>,
    /// The person's quiet hours.
    pub quiet: Option<Quiet>,
}

/// The stored facts about a conversation that decide whether it gets an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Whether the bot is allowed to send alerts to the conversation. The rows of the `stop`, of the
    /// tombstone (the time at which the conversation was forgotten) and of the quiet hours are read even if
    /// the record is missing.
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
