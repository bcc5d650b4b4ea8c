//! The events that the jobs of a [run](crate::run::Run) return to its loop.

use std::pin::Pin;
use std::time::Duration;

use bot_framework::Verdict;
use chrono::{DateTime, Utc};
use futures_util::stream::FuturesUnordered;
use state::ledger::{RecordKey, Transition};
use state::runs::{StoredLine, Withdrawal, Written};
use storage_queue::{QueueError, QueueMessage};
use storage_table::TableError;

use super::apply::{Applied, Ended};
use super::report::Count;
use super::unreadable::Unreadable;
use crate::schedule::{LaneKey, Leased, Line};

/// The result of a job.
pub(crate) enum Event {
    /// A Get Messages call has ended. The messages were leased at `asked_at` or later.
    Fetched { result: Result<Vec<QueueMessage>, QueueError>, asked_at: Duration },
    /// A write of the record of the run lock has ended.
    LockWritten(Box<LockWriteDone>),
    /// The attempt for a message has ended, and its outcome was carried out.
    Worked { leased: Box<Leased>, applied: Applied },
    /// Messages of a conversation are hidden, or visible again.
    PutBack(Box<PutBackDone>),
    /// The message with this id, which is no envelope, was moved to the poison queue. `ended` is `None` if
    /// the move failed.
    Poisoned { message: String, ended: Option<Box<Ended>> },
    /// A write of the ledger has ended.
    LedgerWritten(LedgerWritten),
    /// The delivery path is ready, or has failed to get ready.
    Ready(Result<(), Verdict>),
    /// The timer fired.
    TimerFired,
}

/// The recent withdrawals (cancelled alerts, a person's `stop`, …; see [`Withdrawal`]) that were read, and
/// whether these are all of them.
pub(crate) type ReadWithdrawals = Result<(Vec<Withdrawal>, bool), TableError>;

/// The results of a write of the record of the run lock, and of the reads that ran beside it.
pub(crate) struct LockWriteDone {
    /// `None`: another run has taken the lock.
    pub(crate) result: Result<Option<Written>, TableError>,
    /// The envelopes that this write listed in the record for the first time.
    pub(crate) opened: Vec<Leased>,
    /// The messages that are no envelopes, and that this write listed in the record for the first time.
    pub(crate) unreadable: Vec<Unreadable>,
    /// The withdrawals and the time of their read, if they were read.
    pub(crate) withdrawn: Option<(ReadWithdrawals, DateTime<Utc>)>,
    /// The waiting lines that were read during the write: those of conversations whose line the run did not
    /// know.
    pub(crate) lines: Vec<StoredLine>,
}

/// Whether the delivery path is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The run has had no message to send yet.
    Unknown,
    /// A job gets the delivery path ready. It may take seconds, so the loop goes on meanwhile.
    GettingReady,
    /// The job has ended. If it failed, the verdict of the first message will have the reason.
    Ready,
}

/// A call to the outside that the run has started. (The messages that `attempt/answer.rs` calls jobs are
/// something else.)
pub(crate) type Job<'a> = Pin<Box<dyn Future<Output = Event> + 'a>>;

/// The result of a write of the ledger.
#[derive(Debug)]
pub(crate) struct LedgerWritten {
    /// The transitions that were not written.
    pub(super) left: Vec<Transition>,
    /// The records whose final status was written.
    pub(super) records: Vec<RecordKey>,
}

/// The result of hiding messages of a conversation, or of putting them back.
#[derive(Debug)]
pub(crate) struct PutBackDone {
    pub(crate) key: LaneKey,
    /// The conversation's line now.
    pub(crate) line: Line,
    /// The messages that are on the queue again.
    pub(crate) ids: Vec<String>,
    pub(crate) counts: Vec<Count>,
    /// The messages that were moved to the poison queue, because the queue would delete them while they wait:
    /// the id and the end of each.
    pub(crate) ended: Vec<(String, Ended)>,
    /// The moment at which the hidden messages are visible, if the run can wait for it.
    pub(crate) visible_soon: Option<Duration>,
}

/// The moment at which the timer fires, and the timer. The timer is in a `FuturesUnordered` of its own, which
/// calls `Future::poll` of the timer again only when the timer fires.
#[derive(Default)]
pub(super) struct Timer<'a>(pub(super) Option<(Duration, FuturesUnordered<Job<'a>>)>);
