//! The alert that a reader makes of a payload.

use serde_json::Value;

/// One alert, made of the payload that a sender posted.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapedAlert {
    /// One line of plain text, for example for the notification on a phone. It is never empty.
    pub summary: String,
    /// An Adaptive Card of at most [`MAX_CARD_BYTES`](crate::MAX_CARD_BYTES). Its version is 1.5, or the
    /// version of the sender's own card if that is lower.
    pub card: Value,
    /// The sender's key, at most [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES). A later alert with the same key
    /// changes the message of the earlier alert.
    pub key: Option<String>,
    /// Whether the problem lasts.
    pub state: State,
    /// The sender's own id of this delivery, at most [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES). If the sender
    /// repeats the delivery, the id is the same.
    pub idempotency_key: Option<String>,
    /// Whether the sender marks the alert as critical.
    pub importance_high: bool,
    /// The names of the parts of the payload that the card leaves out, such as a button that posts. The card
    /// shows these names.
    pub left_out: Vec<String>,
}

/// The state of the problem that an alert reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The problem lasts, or the work (such as a CI run) is not done.
    Firing,
    /// The problem has ended, or the work (such as a CI run) is done.
    Resolved,
    /// The sender reports no state.
    None,
}
