//! The id and the time of a message that contains neither. The *carrier* of the message knows both. The
//! carrier is the queue, or the trigger activity with which a program sends an envelope to the bot.

use chrono::{DateTime, Utc};

use crate::EnvelopeId;

/// The id and the time that the carrier of a message supplies. Messages of older bots contain neither of the
/// two. An envelope of version 1 contains both, so [`Envelope::decode`](crate::Envelope::decode) ignores the
/// values of its carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The id. It is the same each time the queue hands out this message, and different for every other
    /// message. So if two people write "ping", the bot sends two alerts.
    pub id: EnvelopeId,
    /// The time at which the message was put on the queue.
    pub at: DateTime<Utc>,
}
