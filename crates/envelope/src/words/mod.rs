//! The words that people see, in one table, so that another language or another bot can replace them.

/// Answers a message that stands on the queue now.
pub fn queued(text: &str) -> String {
    format!("Queued: {text}")
}

/// The alert itself. It comes later, from the queue, and says so by its first word.
pub fn alert(text: &str) -> String {
    format!("Alert: {text}")
}

/// The queue did not take the message.
pub const QUEUE_UNAVAILABLE: &str =
    "Not queued: the queue cannot be reached. Please send it again in a minute.";

/// The message does not fit.
pub const TOO_LONG: &str = "Not queued: the message is too long. Please send a shorter one.";

/// There is nothing to send back.
pub const NOTHING_TO_QUEUE: &str = "Not queued: there is no text in the message.";

/// The bot has joined a conversation.
pub const GREETING: &str = "Hello. Send me a message: it goes on a queue, and comes back to you as an alert.";
