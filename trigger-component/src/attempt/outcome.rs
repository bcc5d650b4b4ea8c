//! What an attempt comes to.

use std::time::Duration;

use bot_framework::Verdict;
use envelope::Delivery;

use super::decide::{Hidden, PoisonReason, Stop};

/// What is to become of a message. Only the run makes it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The Connector took it.
    Delivered(Verdict),
    /// Nobody knows, and its sender wants no second try.
    Dropped(Verdict),
    /// The ledger says that an earlier run sent it.
    AlreadySent,
    /// The ledger says that this message stands in the poison queue.
    AlreadyPoisoned,
    /// Its time has passed.
    Expired,
    /// Its sender has cancelled it.
    Cancelled,
    /// The person wants no alerts from others.
    Stopped,
    /// The person asked to be forgotten after it was accepted.
    Forgotten,
    /// Its time has not come.
    NotDue(Duration),
    /// It has to wait, and its conversation with it.
    Wait { why: Hidden, after: Duration, delivery: Delivery, reason: String },
    /// It is given up.
    Poison { why: PoisonReason, reason: String, status: Option<u16> },
    /// It was not sent, because another run may be at work.
    TooLate,
    /// Nothing can be sent for anybody.
    StopRun(Stop, String),
}

impl Outcome {
    pub(super) fn poison(why: PoisonReason, reason: impl Into<String>) -> Self {
        Self::Poison { why, reason: reason.into(), status: None }
    }
}
