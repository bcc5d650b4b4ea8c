//! The words that people see and say, in one table, so that another language or another bot can replace them: what the
//! bot says here, what it understands in [`Command`], how it names times in `time.rs`. `own.rs` knows the bot's words when
//! somebody sends them back.

mod command;
mod own;
mod time;

use std::time::Duration;

pub use command::Command;
pub use own::are_own;

/// Answers a message that stands on the queue now.
pub fn queued(text: &str) -> String {
    format!("Queued: {text}")
}

/// Answers a reminder that stands on the queue now.
pub fn reminder_queued(text: &str, after: Duration) -> String {
    format!("Queued: {text} (in {})", time::spoken(after))
}

/// The alert itself. It comes later, from the queue, and says so by its first word. One that is nothing but a card has no
/// text, and gets none.
pub fn alert(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("Alert: {text}") }
}

/// Answers `subscribe`.
pub fn subscribed(tag: &str) -> String {
    format!("Subscribed: alerts about {tag} come here. To end that, say: unsubscribe {tag}")
}

/// Answers `subscribe` where it needs a code, and there is none.
pub fn subscriptions_closed(tag: &str) -> String {
    format!(
        "Not done: only those who send alerts decide who hears about {tag}. They can add this conversation, or give you a code; then say: subscribe {tag} <code>"
    )
}

/// Answers `subscribe` with a code that is not good for the tag.
pub fn code_refused(tag: &str) -> String {
    format!(
        "Not done: this code is not good for {tag} here, or not any more. Please ask those who send the alerts for a new one."
    )
}

/// Answers `unsubscribe`.
pub fn unsubscribed(tag: &str) -> String {
    format!("Unsubscribed: no more alerts about {tag} come here.")
}

/// Answers `stop`.
pub const STOPPED: &str =
    "Stopped: no alerts come here until you say: start. What you send me yourself still comes back.";

/// Answers `start`.
pub const STARTED: &str = "Started: alerts come here again.";

/// Answers `stop` in a group.
pub const NOT_STOPPED: &str = "Not done: one person cannot stop the alerts of a group. Remove me from it, unsubscribe from \
    what comes here, or ask those who send the alerts.";

/// Answers `help`.
pub const HELP: &str = "What you send me goes on a queue, and comes back to you as an alert. These words do something else:\n\
    - remind me in 10 minutes tea\n\
    - subscribe orders-42, unsubscribe orders-42: alerts about it come here, or no longer\n\
    - stop, start: no alerts from others come here, or again (stop: not in a group)\n\
    - help";

/// What was to be subscribed to cannot be.
pub const NO_TAG: &str =
    "Not done: what you subscribe to is one word of at most 64 letters, digits, and - _ . : # @ +";

/// The conversation has as many subscriptions as one may have.
pub const TOO_MANY_TAGS: &str =
    "Not done: there are too many subscriptions here. Please unsubscribe from something first.";

/// The reminder lies too far ahead.
pub const TOO_FAR: &str = "Not queued: that is more than a year ahead. Please choose an earlier time.";

/// What was said could not be remembered.
pub const NOT_REMEMBERED: &str = "Not done: it could not be stored. Please say it again in a minute.";

/// The queue did not take the message, and holds no copy of it.
pub const QUEUE_UNAVAILABLE: &str =
    "Not queued: my storage cannot be reached. Please send it again in a minute.";

/// The ledger does not answer, so this call puts nothing on the queue. An earlier call of the channel with the same message may
/// have done so.
pub const LEDGER_UNAVAILABLE: &str = "Not queued this time: my storage cannot be reached. If no alert comes within five minutes, please send it \
    again.";

/// The queue did not say whether it took the message.
pub const PERHAPS_QUEUED: &str = "Perhaps queued: my storage did not confirm it. Please send it again only if no alert comes within five minutes.";

/// The queue did not say whether it took a reminder.
pub const REMINDER_PERHAPS_QUEUED: &str =
    "Perhaps queued: my storage did not confirm the reminder. If you ask for it again, it may come twice.";

/// The message does not fit.
pub const TOO_LONG: &str = "Not queued: the message is too long. Please send a shorter one.";

/// There is nothing to send back.
pub const NOTHING_TO_QUEUE: &str = "Not queued: there is no text in the message.";

/// A button of a card was pressed, and what it sends has no text.
pub const NOTHING_BEHIND_BUTTON: &str = "Nothing happened: I do nothing with this button.";

/// The bot has joined a conversation.
pub const GREETING: &str = "Hello. Send me a message: it goes on a queue, and comes back to you as an alert. Say help to see what else I understand.";
