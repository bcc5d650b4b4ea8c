//! The id and the time for a queue message that contains no id and no time. Older bots, such as the bots of
//! Microsoft's templates of 2017, wrote such messages. The *carrier* of the message supplies the id and the
//! time. The carrier is the queue, or a trigger activity (an activity with a queue message in it, which a
//! program sends to the bot).

use chrono::{DateTime, Utc};

use crate::EnvelopeId;

/// The id and the time that the carrier supplies for a message of an older bot. A message in this bot's own
/// format (version 1) contains an id and a time. For such a message,
/// [`Envelope::decode`](crate::Envelope::decode) ignores the values of the carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The id. The id stays the same if the message is dequeued again. Every other message has another id,
    /// even if both messages have the same text. So two messages with the text "ping" are two alerts.
    pub id: EnvelopeId,
    /// The time at which the message was put on the queue, or at which the bot received the trigger activity.
    pub at: DateTime<Utc>,
}
