//! What is remembered of an alert beside the queue. Both components look at these.

use std::time::Duration;

use platform::Marks;

use crate::{EnvelopeId, SealState};

/// Alerts that the Connector took, between its answer and the Delete: a run that is killed in between leaves the mark,
/// and the next one knows. A message is out of everyone's reach for a lease at most, and comes back within hours.
pub const SENT: Marks = Marks { prefix: "sent:", term: Duration::from_secs(24 * 60 * 60) };

/// Alerts that the bot sent for a trigger, and of which nobody knows whether they arrived. Direct Line tells its caller of
/// every failure in the same way, and the caller tries again: without the mark, the person might see the alert each time.
pub const UNSURE: Marks = Marks { prefix: "unsure:", term: Duration::from_secs(24 * 60 * 60) };

/// Alerts that were cancelled, by [`EnvelopeId::key`], until the poller drops the message. An alert lies on the queue for a
/// year and a day at most.
pub const CANCELLED: Marks = Marks { prefix: "cancel:", term: Duration::from_secs(366 * 24 * 60 * 60) };

/// Calls of `POST /api/alerts` with an idempotency key, with what they were answered.
pub const CALLED: Marks = Marks { prefix: "call:", term: Duration::from_secs(24 * 60 * 60) };

/// Names an alert among the marks. Whoever can write to the queue can use any id: a message without our seal must not
/// make a sealed one look sent.
pub fn mark_name(id: &EnvelopeId, seal: SealState) -> String {
    let key = id.key();
    match seal {
        SealState::Valid => key,
        SealState::Missing | SealState::Unchecked => format!("unsealed.{key}"),
        // Never sent, and so nobody's double.
        SealState::Broken => format!("broken.{key}"),
    }
}
