//! Names that must not be mixed up.

use std::fmt;

use thiserror::Error;

/// The name of a queue, checked: 3 to 63 letters, digits and single dashes, lower case
/// (<https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName(String);

const POISON: &str = "-poison";

/// Not a queue's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "must be 3 to 56 lower-case letters, digits and single dashes, beginning and ending with a letter or digit \
     (56, so that `-poison` still fits)"
)]
pub struct InvalidQueueName;

impl QueueName {
    /// Checks a name. At most 56 characters, because its poison queue has a longer one.
    pub fn parse(name: &str) -> Result<Self, InvalidQueueName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = (3..=63 - POISON.len()).contains(&name.len())
            && name.bytes().all(allowed)
            && !name.starts_with('-')
            && !name.ends_with('-')
            && !name.contains("--");
        if valid { Ok(Self(name.to_owned())) } else { Err(InvalidQueueName) }
    }

    /// The queue for what was given up: `<name>-poison`, as Azure Functions calls it.
    #[must_use]
    pub fn poison(&self) -> Self {
        Self(format!("{}{POISON}", self.0))
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
            /// As the queue gave it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            /// What [`Self::as_str`] gave, and somebody kept.
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
    /// The id of a message, for its whole life.
    MessageId
}
text! {
    /// The right to delete or update a message. Every hand-out and every update gives a new one, and ends the last.
    /// Base64: it may hold `+`, `/` and `=`.
    PopReceipt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_names() {
        for (name, valid) in [
            ("bot-queue", true),
            ("abc", true),
            ("0a9", true),
            (&"a".repeat(56), true),
            (&"a".repeat(57), false),
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
