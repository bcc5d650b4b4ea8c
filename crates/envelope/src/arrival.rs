//! The id and the time of a message of an older bot. Such a message contains neither an id nor a time, so its
//! *carrier* supplies both. The carrier is the queue, or a trigger activity: an activity that brings an
//! envelope directly to the bot.

use chrono::{DateTime, Utc};

use crate::EnvelopeId;

/// The id and the time that the carrier of a message supplies. Messages of older bots contain neither of the
/// two. An envelope of version 1 contains both, so [`Envelope::decode`](crate::Envelope::decode) ignores the
/// id and the time of the carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The id. Each time the queue hands out this message, the id is the same. Every other message has
    /// another id, even if its text is the same. So two messages with the text "ping" are two alerts.
    pub id: EnvelopeId,
    /// The time at which the message was put on the queue.
    pub at: DateTime<Utc>,
}
