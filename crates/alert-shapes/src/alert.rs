//! The alert that the crate makes from a payload (the body of a sender's request).

use serde_json::Value;

/// One alert, made from the payload that a sender posted.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapedAlert {
    /// One line of plain text, such as the text of the notification on a phone. The line is never empty.
    pub summary: String,
    /// An Adaptive Card of at most [`MAX_CARD_BYTES`](crate::MAX_CARD_BYTES). If the payload has an Adaptive
    /// Card of a lower version than 1.5, the alert's card has the same version. Otherwise, the version is
    /// 1.5.
    pub card: Value,
    /// The alert key, which the sender chooses. Its length is at most
    /// [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES). A later alert with the same alert key changes the chat
    /// message of the earlier alert.
    pub key: Option<String>,
    /// The state of the problem that the alert reports.
    pub state: State,
    /// The id of the event that the alert reports. If the sender sends the same event again, the id is the
    /// same. The length of the id is at most [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES). `None` if the payload
    /// and the headers contain no such id.
    pub idempotency_key: Option<String>,
    /// Whether the sender marks the alert as critical.
    pub importance_high: bool,
    /// The names of the parts of the payload that the card leaves out. For example, the card leaves out a
    /// button that sends data. The card shows these names.
    pub left_out: Vec<String>,
}

/// The state of the problem that an alert reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The problem still exists, or the work (such as a CI run) is not done.
    Firing,
    /// The problem has ended, or the work (such as a CI run) is done.
    Resolved,
    /// The sender reports no state.
    None,
}
