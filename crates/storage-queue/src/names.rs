//! The names of queues, and the ids and receipts of messages. A name, an id and a receipt have different
//! types, so no caller can use one in the place of another.

use std::fmt;

use thiserror::Error;

/// The valid name of a queue: 3 to 63 lower-case letters, digits and single dashes, with a letter or digit at
/// both ends (<https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata>).
/// [`QueueName::parse`] accepts at most 55 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName(String);

const POISON: &str = "-poison";
const REPLIES: &str = "-replies";

/// The text is not a valid name of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "expected 3 to 55 lower-case letters, digits and single dashes, with a letter or digit at both ends; the service \
     allows 63 characters, but the bot appends the 8 characters `-replies` to name the queue of replies"
)]
pub struct InvalidQueueName;

impl QueueName {
    /// Checks a name. The service allows 63 characters, but [`QueueName::replies`] appends the 8 characters
    /// of `-replies`. So the name must have at most 55 characters.
    pub fn parse(name: &str) -> Result<Self, InvalidQueueName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = (3..=63 - REPLIES.len()).contains(&name.len())
            && name.bytes().all(allowed)
            && !name.starts_with('-')
            && !name.ends_with('-')
            && !name.contains("--");
        if valid { Ok(Self(name.to_owned())) } else { Err(InvalidQueueName) }
    }

    /// Returns the name of the poison queue: `<name>-poison`. Azure Functions names its poison queues in the
    /// same way. The poison queue holds the messages that the poller could not deliver.
    #[must_use]
    pub fn poison(&self) -> Self {
        Self(format!("{}{POISON}", self.0))
    }

    /// Returns the name of the queue of replies: `<name>-replies`. This queue holds people's answers to the
    /// questions in alerts. If the variable `replies` is `queue`, this queue also holds people's other texts.
    /// The programs that send alerts read this queue.
    #[must_use]
    pub fn replies(&self) -> Self {
        Self(format!("{}{REPLIES}", self.0))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub(crate) String);

        impl $name {
            /// The text, as the queue service returned it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            /// Restores a value from the text that [`Self::as_str`] returned.
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// The id of a queue message. The id never changes.
    MessageId
}
text! {
    /// The pop receipt of a queue message. A caller needs the receipt to delete or update the message. Each
    /// time the message is dequeued or updated, the service makes a new receipt, and the earlier receipt is
    /// no longer valid. The text of a receipt is base64, so the text can contain `+`, `/` and `=`. The client
    /// encodes these characters in URLs.
    PopReceipt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_name_that_breaks_a_rule_of_the_service_or_is_too_long_for_replies_is_refused() {
        for (name, valid) in [
            ("bot-queue", true),
            ("abc", true),
            ("0a9", true),
            (&"a".repeat(55), true),
            (&"a".repeat(56), false),
            ("ab", false),
            ("", false),
            ("Bot", false),
            ("bot_queue", false),
            ("bot--queue", false),
            ("-bot", false),
            ("bot-", false),
            ("bot|queue", false),
            ("bot/queue", false),
            ("bötchen", false),
        ] {
            assert_eq!(QueueName::parse(name).is_ok(), valid, "{name:?}");
        }
        assert_eq!(QueueName::parse("bot-queue").map(|name| name.poison().0), Ok("bot-queue-poison".into()));
    }
}
