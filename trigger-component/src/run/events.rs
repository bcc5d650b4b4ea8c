//! The events that the jobs of a [run](crate::run::Run) return to the loop of the run. A *job* here is a
//! future of the run that makes calls to services. In `attempt/answer.rs`, a *job* is something else: a queue
//! message that brings a person's answer or message to a program.

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
    /// The attempt for a message has ended, and the job has carried out the outcome.
    Worked { leased: Box<Leased>, applied: Applied },
    /// The run has hidden messages of a conversation, or has made them visible again.
    PutBack(Box<PutBackDone>),
    /// The run has tried to move a message that is no envelope to the poison queue. `message` is the id of
    /// the message. `ended` is `None` if the move failed.
    Poisoned { message: String, ended: Option<Box<Ended>> },
    /// A write of the ledger has ended.
    LedgerWritten(LedgerWritten),
    /// The job that fetches the bot's token has ended.
    Ready(Result<(), Verdict>),
    /// The timer fired.
    TimerFired,
}

/// The result of a read of the recent withdrawals ([`Withdrawal`]: a cancelled alert, a person's `stop`, …).
/// The flag is false if there are too many recent withdrawals, so that the read returned only some of them.
pub(crate) type ReadWithdrawals = Result<(Vec<Withdrawal>, bool), TableError>;

/// The results of a write of the record of the run lock, and of the reads that ran at the same time.
pub(crate) struct LockWriteDone {
    /// `Ok(None)` means that another run has taken the run lock.
    pub(crate) result: Result<Option<Written>, TableError>,
    /// The decoded messages that this write listed in the record for the first time.
    pub(crate) opened: Vec<Leased>,
    /// The messages that are no envelopes, and that this write listed in the record for the first time.
    pub(crate) unreadable: Vec<Unreadable>,
    /// The withdrawals and the time of their read; `None` if they were not read.
    pub(crate) withdrawn: Option<(ReadWithdrawals, DateTime<Utc>)>,
    /// The waiting lines that were read at the same time, because the run did not know them.
    pub(crate) lines: Vec<StoredLine>,
}

/// Whether the delivery path is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The run has had no message to send yet.
    Unknown,
    /// A job fetches the bot's token. This can take seconds, so the loop goes on meanwhile.
    GettingReady,
    /// The job has ended. If it failed, the first attempt fails for the same reason.
    Ready,
}

/// A future of the run that makes calls to other services, and returns an event.
pub(crate) type Job<'a> = Pin<Box<dyn Future<Output = Event> + 'a>>;

/// The result of a write of the ledger.
#[derive(Debug)]
pub(crate) struct LedgerWritten {
    /// The transitions (new statuses of alerts) that the ledger has not recorded.
    pub(super) left: Vec<Transition>,
    /// The records of the alerts whose final status the ledger has recorded.
    pub(super) records: Vec<RecordKey>,
}

/// The result after messages of a conversation were hidden or made visible again.
#[derive(Debug)]
pub(crate) struct PutBackDone {
    pub(crate) key: LaneKey,
    /// The conversation's line now.
    pub(crate) line: Line,
    /// The ids of the messages that leave the run's list of messages in hand.
    pub(crate) ids: Vec<String>,
    pub(crate) counts: Vec<Count>,
    /// The ids and the ends of the messages that the run has moved to the poison queue. The time to live of
    /// these messages ends so soon that they cannot wait for the older messages of their conversation.
    pub(crate) ended: Vec<(String, Ended)>,
    /// The moment at which the hidden messages become visible; `None` if the run does not wait for them.
    pub(crate) visible_soon: Option<Duration>,
}

/// The moment at which the timer fires, and the timer. The timer has a `FuturesUnordered` of its own, which
/// polls the timer only after the timer's waker was called. So the loop does not poll the timer each time
/// that a job returns an event.
#[derive(Default)]
pub(super) struct Timer<'a>(pub(super) Option<(Duration, FuturesUnordered<Job<'a>>)>);
