//! What the jobs of a [run](crate::run::Run) tell its loop.

use std::pin::Pin;
use std::time::Duration;

use bot_framework::Verdict;
use storage_queue::{QueueError, QueueMessage};

use crate::delivery::Settled;
use crate::held::{Held, LaneKey};
use crate::hold::Place;
use crate::pushing::Pushed;
use crate::report::Count;

/// Something that a job has done.
pub(crate) enum Event {
    /// What was handed out, and when it was asked for: the leases count from some moment after that.
    Fetched(Result<Vec<QueueMessage>, QueueError>, Duration),
    Worked(LaneKey, Box<Held>, Settled),
    /// A message that has to wait is hidden; until then, if that is longer than was told.
    Hidden(LaneKey, Box<Held>, Option<Duration>),
    /// A message that is no envelope.
    Buried(Count),
    Pushed(LaneKey, Box<Pushed>),
    Released(usize),
    /// What another run held, which is over; how many it were, and whether that was all.
    HandedBack(String, usize, bool),
    Renewed(LaneKey, Renewed),
    /// The courier has what it needs, or not.
    Ready(Result<(), Verdict>),
    Woke,
}

/// Whether something can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Nobody has asked: nothing was there to be sent.
    Unknown,
    /// The courier gets ready. A job like others: it may take seconds, and whatever else goes on must go on.
    GettingReady,
    /// It is, or every message will say why it cannot be sent.
    Ready,
}

/// What became of the leases of a lane.
pub(crate) struct Renewed {
    pub(crate) kept: Vec<Held>,
    pub(crate) lost: usize,
    /// The first that was lost, and when it comes back at the latest.
    pub(crate) first_lost: Option<(Place, Duration)>,
}

pub(crate) type Job<'a> = Pin<Box<dyn Future<Output = Event> + 'a>>;
