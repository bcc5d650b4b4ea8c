//! Envelope ids.

use std::borrow::Cow;
use std::fmt;

use platform::{excerpt, hex, name_of};

/// The id of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvelopeId(String);

impl EnvelopeId {
    /// The id of the envelope for a person's message: the same for the same activity, however often a channel re-sends
    /// it (Teams does when an answer took too long).
    pub fn of_activity(channel_id: &str, conversation_id: &str, activity_id: &str) -> Self {
        Self(name_of(&[channel_id, conversation_id, activity_id]))
    }

    /// The id of a message that has none of its own: the same whenever the queue hands it out, because a message keeps its
    /// MessageId for life. Not made of what it says: two people's "ping" are two alerts.
    pub fn of_queue_message(message_id: &str) -> Self {
        Self(name_of(&["queue message", message_id]))
    }

    /// An id from 16 random bytes.
    pub fn random(bytes: [u8; 16]) -> Self {
        Self(hex(&bytes))
    }

    /// An id as it was read.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a log line shows of the id: other producers choose the ids of what they put on the queue.
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
    fn it_depends_on_every_part_and_on_where_parts_end() {
        let id = EnvelopeId::of_activity("msteams", "a:1", "7");
        assert_eq!(id.as_str(), "cfdf20fbafbe61afda4ec86c8928030f", "ids are stored: they must never change");
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
    fn a_queue_message_without_an_id_gets_one_for_life() {
        let id = EnvelopeId::of_queue_message("799a2c63-e5ea-4d21-a5b9-5c1d0d8f6e11");
        assert_eq!(id.as_str(), "488d55e229c1b39aea3a0d12f8a18515", "ids are stored: they must never change");
        assert_ne!(id, EnvelopeId::of_queue_message("799a2c63-e5ea-4d21-a5b9-5c1d0d8f6e12"));
    }

    #[test]
    fn random_bytes_are_written_in_hexadecimal() {
        assert_eq!(EnvelopeId::random([0xA5; 16]).as_str(), "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5");
    }
}
