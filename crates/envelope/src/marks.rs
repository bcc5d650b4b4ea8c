//! What is remembered of an alert beside the queue. Both components look at these.

use std::time::Duration;

use platform::Marks;

use crate::{EnvelopeId, SealState};

/// Alerts that the Connector took, and whose Delete did not succeed at once: the run that is handed the message again
/// knows. Alerts of a call with an idempotency key are marked in any case, because the queue may hold them twice.
pub const SENT: Marks = Marks { prefix: "sent:", term: Duration::from_secs(24 * 60 * 60) };

/// Alerts that the bot sent for a trigger, and of which nobody knows whether they arrived. Direct Line tells its caller of
/// every failure in the same way, and the caller tries again: without the mark, the person might see the alert each time.
pub const UNSURE: Marks = Marks { prefix: "unsure:", term: Duration::from_secs(24 * 60 * 60) };

/// Alerts that were cancelled, by [`EnvelopeId::key`], until the poller drops the message. An alert lies on the queue for a
/// year and a day at most.
pub const CANCELLED: Marks = Marks { prefix: "cancel:", term: Duration::from_secs(366 * 24 * 60 * 60) };

/// Calls of `POST /api/alerts` with an idempotency key, with what they were answered.
pub const CALLED: Marks = Marks { prefix: "call:", term: Duration::from_secs(24 * 60 * 60) };

/// Messages that stand in the poison queue, by the queue's id of the original, from the Put to the Delete: as [`SENT`].
pub const BURIED: Marks = Marks { prefix: "buried:", term: Duration::from_secs(24 * 60 * 60) };

/// Conversations whose messages wait for one in front. The poller writes them in a form of its own, with the end of a mark.
pub const HELD: Marks = Marks { prefix: "held:", term: Duration::from_secs(2 * 60) };

/// What was tried, by the queue's id of the message, where it could not be written into the message itself. A message is hidden
/// for seven days at most.
pub const TRIED: Marks = Marks { prefix: "tried:", term: Duration::from_secs(8 * 24 * 60 * 60) };

/// Every family, so that whoever sweeps knows them all.
pub const ALL_MARKS: [Marks; 7] = [SENT, UNSURE, CANCELLED, CALLED, BURIED, HELD, TRIED];

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
