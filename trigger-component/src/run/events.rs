//! What the jobs of a [run](crate::run::Run) tell its loop.

use std::pin::Pin;
use std::time::Duration;

use bot_framework::Verdict;
use chrono::{DateTime, Utc};
use state::ledger::Transition;
use state::runs::{StoredLine, Withdrawal, Written};
use storage_queue::{QueueError, QueueMessage};
use storage_table::TableError;

use super::apply::Applied;
use super::put_back::PutBackDone;
use super::report::Count;
use crate::schedule::Leased;

/// Something that a job has done.
pub(crate) enum Event {
    /// Messages were handed out; they were asked for at that moment, and leased at some moment after it.
    Fetched { result: Result<Vec<QueueMessage>, QueueError>, asked_at: Duration },
    /// The table was told what is in hand, with these messages for the first time.
    LockWritten(Box<LockWriteDone>),
    /// A message was worked on.
    Worked { leased: Box<Leased>, applied: Applied },
    /// Messages of a conversation are hidden.
    PutBack(Box<PutBackDone>),
    /// A message that is no envelope was dealt with.
    Poisoned(Count),
    /// Messages are back on the queue: these, and not those of the rest.
    Released { ids: Vec<String> },
    /// The ledger was told, but for these.
    LedgerWritten { left: Vec<Transition> },
    /// The courier has what it needs, or not.
    Ready(Result<(), Verdict>),
    /// The alarm rang.
    TimerFired,
}

/// What was withdrawn, and whether that is all.
pub(crate) type ReadWithdrawals = Result<(Vec<Withdrawal>, bool), TableError>;

/// What a run learns when it has told the table what it has in hand.
pub(crate) struct LockWriteDone {
    /// `None`: another run has taken over.
    pub(crate) result: Result<Option<Written>, TableError>,
    /// The messages of which the table was told for the first time.
    pub(crate) opened: Vec<Leased>,
    /// What was withdrawn, if that was asked, and when.
    pub(crate) withdrawn: Option<(ReadWithdrawals, DateTime<Utc>)>,
    /// The lines of conversations that the run did not know.
    pub(crate) lines: Vec<StoredLine>,
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

pub(crate) type Job<'a> = Pin<Box<dyn Future<Output = Event> + 'a>>;
