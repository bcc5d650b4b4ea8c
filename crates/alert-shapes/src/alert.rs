//! An alert, made from a payload.

use serde_json::Value;

/// One alert, made from a payload.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapedAlert {
    /// One line of plain text, which a phone shows in its notification. It is never empty.
    pub summary: String,
    /// An Adaptive Card 1.5 of at most [`MAX_CARD_BYTES`](crate::MAX_CARD_BYTES).
    pub card: Value,
    /// The sender's key. A later alert with the same key changes the message of the earlier one. At most
    /// [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    pub key: Option<String>,
    /// Whether the problem goes on.
    pub state: State,
    /// The sender's own id of this delivery. A repeated delivery has the same id. At most
    /// [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    pub idempotency_key: Option<String>,
    /// Whether the sender calls the alert critical.
    pub importance_high: bool,
    /// The names of the parts of the payload that the card leaves out, e.g. a button that posts. The card
    /// shows these names.
    pub left_out: Vec<String>,
}

/// The state of the problem that an alert reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The problem goes on, or the work runs.
    Firing,
    /// The problem has ended, or the work is done.
    Resolved,
    /// The sender reports no state.
    None,
}
