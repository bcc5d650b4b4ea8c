//! What a message's carrier knows of it.

use chrono::{DateTime, Utc};

use crate::EnvelopeId;

/// What a message of an older shape does not say of itself, so that whoever carried it has to: which one it is, and since
/// when it waits. An envelope of version 1 says both itself, and this is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The same at every hand-out of this message, and of no other: two people who write "ping" are two alerts.
    pub id: EnvelopeId,
    /// When it was put on the queue.
    pub at: DateTime<Utc>,
}
