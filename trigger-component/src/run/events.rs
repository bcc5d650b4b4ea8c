//! The events that the jobs of a [run](crate::run::Run) return to the loop of the run. In this file, a *job*
//! is a future in which the run makes calls to services. (In `attempt/answer.rs`, a *job* is a queue message
//! that brings a person's answer or message to a program.)

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
    /// A Get Messages call has ended. The leases of the messages began at `asked_at` or later.
    Fetched { result: Result<Vec<QueueMessage>, QueueError>, asked_at: Duration },
    /// A write of the record of the *run lock* has ended. (Only the run that holds the run lock sends
    /// messages.)
    LockWritten(Box<LockWriteDone>),
    /// The attempt for a message has ended, and the job has carried out the outcome.
    Worked { leased: Box<Leased>, applied: Applied },
    /// The run has hidden messages of a conversation, or has made them visible again.
    PutBack(Box<PutBackDone>),
    /// The run has tried to move an unreadable message to the poison queue. An *unreadable* message holds no
    /// *envelope* (an alert as JSON). `message` is the id of the message. `ended` is `None` if the move
    /// failed.
    Poisoned { message: String, ended: Option<Box<Ended>> },
    /// A write of the *ledger* (the table with a record for each alert) has ended.
    LedgerWritten(LedgerWritten),
    /// The job that fetches the bot's token has ended. The field is an error if the job got no token.
    TokenFetched(Result<(), Verdict>),
    /// The timer fired.
    TimerFired,
}

/// The result of a read of the recent withdrawals. A [`Withdrawal`] records, for example, that a sender has
/// cancelled an alert, or that a person has sent `stop`. The flag is true if the read returned all recent
/// withdrawals, and false if there were too many of them.
pub(crate) type ReadWithdrawals = Result<(Vec<Withdrawal>, bool), TableError>;

/// The results of a write of the run lock's record, and of the reads that the job made at the same time.
pub(crate) struct LockWriteDone {
    /// `Ok(None)` means that another run has taken the run lock.
    pub(crate) result: Result<Option<Written>, TableError>,
    /// The decoded messages that this write adds to the record.
    pub(crate) decoded: Vec<Leased>,
    /// The unreadable messages that this write adds to the record.
    pub(crate) unreadable: Vec<Unreadable>,
    /// The recent withdrawals, and the time at which their read began; `None` if the job did not read them.
    pub(crate) withdrawn: Option<(ReadWithdrawals, DateTime<Utc>)>,
    /// The waiting lines that the job read. The run did not know these lines before. (A *waiting line* is the
    /// list of a conversation's hidden messages.)
    pub(crate) lines: Vec<StoredLine>,
}

/// The fetch of the bot's token. The run sends no alert before the fetch has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenFetch {
    /// The run has had no message to send yet, so it has fetched no token.
    NotBegun,
    /// A job fetches the bot's token. The loop goes on meanwhile, because the job can take seconds.
    UnderWay,
    /// The job has ended. If the job got no token, the first attempt fails for the same reason.
    Ended,
}

/// A job of the run: a future that returns an event.
pub(crate) type Job<'a> = Pin<Box<dyn Future<Output = Event> + 'a>>;

/// The result of a write of the ledger.
#[derive(Debug)]
pub(crate) struct LedgerWritten {
    /// The transitions (new statuses of alerts) that the ledger has not recorded.
    pub(super) left: Vec<Transition>,
    /// The keys of the records to which this write added a final status.
    pub(super) records: Vec<RecordKey>,
}

/// The result of a job that has hidden messages of a conversation, or has made them visible again.
#[derive(Debug)]
pub(crate) struct PutBackDone {
    pub(crate) key: LaneKey,
    /// The conversation's waiting line after this job.
    pub(crate) line: Line,
    /// The ids of the messages on which the run no longer works. The run removes these messages from the list
    /// in the record of the run lock.
    pub(crate) ids: Vec<String>,
    pub(crate) counts: Vec<Count>,
    /// The ids and the results of the messages that the run has moved to the poison queue, because the queue
    /// would delete them before the older messages of the conversation are finished.
    pub(crate) ended: Vec<(String, Ended)>,
    /// The moment at which the hidden messages become visible, if the run waits for this moment; otherwise
    /// `None`.
    pub(crate) visible_soon: Option<Duration>,
}

/// The timer of the run, and the moment at which the timer fires. The timer is in a `FuturesUnordered` of its
/// own. This collection polls the timer only after a call of the timer's waker. Without the collection, the
/// loop would poll the timer each time that a job returns an event.
#[derive(Default)]
pub(super) struct Timer<'a>(pub(super) Option<(Duration, FuturesUnordered<Job<'a>>)>);
