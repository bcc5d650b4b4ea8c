//! Names, ids and receipts. Each has its own type, so that no caller can confuse them.

use std::fmt;

use thiserror::Error;

/// The name of a queue, checked: 3 to 63 lower-case letters, digits and single dashes
/// (<https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName(String);

const POISON: &str = "-poison";
const REPLIES: &str = "-replies";

/// A text that is not the name of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "expected 3 to 55 lower-case letters, digits and single dashes, with a letter or digit at both ends; the service \
     allows 63, and the name of the queue of replies needs 8 more"
)]
pub struct InvalidQueueName;

impl QueueName {
    /// Checks a name. A name may have at most 55 characters, because the name of its queue of replies is
    /// longer.
    pub fn parse(name: &str) -> Result<Self, InvalidQueueName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = (3..=63 - REPLIES.len()).contains(&name.len())
            && name.bytes().all(allowed)
            && !name.starts_with('-')
            && !name.ends_with('-')
            && !name.contains("--");
        if valid { Ok(Self(name.to_owned())) } else { Err(InvalidQueueName) }
    }

    /// Returns the name of the poison queue, which holds the messages that could not be delivered:
    /// `<name>-poison`, as in Azure Functions.
    #[must_use]
    pub fn poison(&self) -> Self {
        Self(format!("{}{POISON}", self.0))
    }

    /// Returns the name of the queue of replies, which holds the answers of people for the programs that
    /// asked them: `<name>-replies`.
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
    /// The id of a message. It never changes.
    MessageId
}
text! {
    /// The right to delete or update a message. Each time the message is handed out or updated, it gets a new
    /// receipt, and the earlier receipt is no longer valid. The text is base64, so it may contain `+`, `/`
    /// and `=`.
    PopReceipt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_name_is_valid_only_by_the_documented_rules() {
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
