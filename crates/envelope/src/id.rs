//! Envelope ids.

use std::borrow::Cow;
use std::fmt;

use platform::{excerpt, hex, name_of};

/// The id of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvelopeId(String);

impl EnvelopeId {
    /// Makes the id for an envelope without an id in a trigger activity (an activity with a queue message in
    /// it, which a program sends to the bot). The channel can send the activity again. The envelope in the
    /// repeated activity then has the same id.
    pub fn of_activity(channel_id: &str, conversation_id: &str, activity_id: &str) -> Self {
        Self(name_of(&[channel_id, conversation_id, activity_id]))
    }

    /// Makes the id for a queue message that contains no id. The id is a hash of the queue's MessageId, which
    /// stays the same if the message is dequeued again. Two messages with the same text have different
    /// MessageIds, so they are two alerts.
    pub fn of_queue_message(message_id: &str) -> Self {
        Self(name_of(&["queue message", message_id]))
    }

    /// Makes an id from 16 random bytes.
    pub fn random(bytes: [u8; 16]) -> Self {
        Self(hex(&bytes))
    }

    /// Makes an id from the id in a message.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id for a log line. A long id is cut, because other programs can write messages with ids of
    /// any length.
    pub fn excerpt(&self) -> Cow<'_, str> {
        excerpt(&self.0)
    }
}

impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_of_an_activity_depends_on_each_part_and_on_the_length_of_each_part() {
        let id = EnvelopeId::of_activity("msteams", "a:1", "7");
        assert_eq!(
            id.as_str(),
            "cfdf20fbafbe61afda4ec86c8928030f",
            "an id must never change, because ids are stored"
        );
        assert_eq!(id, EnvelopeId::of_activity("msteams", "a:1", "7"));
        for (channel, conversation, activity) in [
            ("msteam", "sa:1", "7"),
            ("msteams", "a:17", ""),
            ("msteams", "a:1", "8"),
            ("webchat", "a:1", "7"),
        ] {
            assert_ne!(id, EnvelopeId::of_activity(channel, conversation, activity));
        }
    }

    #[test]
    fn id_of_a_queue_message_never_changes() {
        let id = EnvelopeId::of_queue_message("799a2c63-e5ea-4d21-a5b9-5c1d0d8f6e11");
        assert_eq!(
            id.as_str(),
            "488d55e229c1b39aea3a0d12f8a18515",
            "an id must never change, because ids are stored"
        );
        assert_ne!(id, EnvelopeId::of_queue_message("799a2c63-e5ea-4d21-a5b9-5c1d0d8f6e12"));
    }

    #[test]
    fn random_id_is_16_bytes_in_hexadecimal() {
        assert_eq!(EnvelopeId::random([0xA5; 16]).as_str(), "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5");
    }
}
