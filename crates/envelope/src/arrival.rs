//! The facts about a message that only its carrier knows. The carrier is the queue or the trigger.

use chrono::{DateTime, Utc};

use crate::EnvelopeId;

/// The id and the time of a message of an older shape, which has neither. The carrier of the message supplies
/// them. An envelope of version 1 has both, so its reader ignores the values of the carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The id: the same each time the queue hands out this message, and different for every other message.
    /// If two people write "ping", that is two alerts.
    pub id: EnvelopeId,
    /// The time at which the message was put on the queue.
    pub at: DateTime<Utc>,
}
