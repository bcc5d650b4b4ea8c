//! The run lock of this run, and the messages that the run has in hand (the run has dequeued these messages,
//! and has not finished them). One record in a table stores both.

use std::time::Duration;

use platform::Clock;
use state::ledger::{RecordKey, Transition};
use state::runs::{EndedAlert, Figures, InHand, LockWrite, RunLock, Written};

/// The pause between a failed write of the record and the next write.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// The most entries in the record's list of finished alerts. An alert stays in this list until the ledger has
/// recorded its final status. So the list only becomes this long if the ledger cannot be written.
const MAX_ENDED: usize = 1_000;

/// The run lock of this run, and the messages that the run has in hand. One record in the table `runs` holds
/// both. The run never sends two writes of this record at the same time.
#[derive(Debug)]
pub(crate) struct ExclusiveRun {
    lock: RunLock,
    in_hand: Vec<InHand>,
    ended: Vec<EndedAlert>,
    /// Whether the run has messages in hand that the record does not list yet.
    has_unwritten: bool,
    /// Whether a write of the record is under way.
    is_writing: bool,
    /// After a failed write: the earliest moment of the next write.
    not_before: Duration,
    /// Whether another run has taken the lock.
    is_lost: bool,
}

impl ExclusiveRun {
    /// Makes the value for a run that has just taken the lock. `left` are the messages that the last run had
    /// in hand; this run has them in hand now. `ended` are the alerts that the last run had finished.
    pub(crate) fn new(lock: RunLock, left: Vec<InHand>, ended: Vec<EndedAlert>) -> Self {
        let (has_unwritten, is_writing, is_lost) = (false, false, false);
        Self { lock, in_hand: left, ended, has_unwritten, is_writing, not_before: Duration::ZERO, is_lost }
    }

    /// The messages that this run has in hand.
    pub(crate) fn in_hand(&self) -> &[InHand] {
        &self.in_hand
    }

    /// Adds dequeued messages. The run works on a message only after the record lists it.
    pub(crate) fn add(&mut self, messages: impl Iterator<Item = InHand>) {
        self.in_hand.extend(messages);
        self.has_unwritten = true;
    }

    /// The alerts that this run or the last run has finished. The ledger has perhaps not recorded their final
    /// status yet.
    pub(crate) fn ended(&self) -> &[EndedAlert] {
        &self.ended
    }

    /// Adds the final status of an alert. The record keeps the status until the ledger has recorded it. If
    /// the run is killed before that, the next run records the status in the ledger.
    pub(crate) fn add_end(&mut self, end: &Transition) {
        if self.ended.len() >= MAX_ENDED {
            self.ended.remove(0);
        }
        self.ended.push(EndedAlert::of(end));
    }

    /// Removes finished alerts whose final status is in the ledger.
    pub(crate) fn recorded(&mut self, records: &[RecordKey]) {
        self.ended.retain(|ended| !records.contains(&ended.record));
    }

    /// Removes a message that is finished or back on the queue. The next renewal of the lock removes it from
    /// the record, too.
    pub(crate) fn remove(&mut self, message: &str) {
        self.in_hand.retain(|in_hand| in_hand.message != message);
    }

    /// Whether this run has lost the lock, so that another run can hold the lock now. In this case, the run
    /// starts no more work.
    pub(crate) fn is_lost(&self, clock: &impl Clock) -> bool {
        self.is_lost || !self.lock.is_valid(clock)
    }

    /// The moment, on the monotonic clock, until which no other run can take the lock. Each renewal makes
    /// this moment later.
    pub(crate) fn valid_until(&self) -> Duration {
        self.lock.valid_until()
    }

    /// The moment of the next write of the record, on the monotonic clock; `None` while a write is under way,
    /// and if the lock is lost.
    pub(crate) fn write_due(&self) -> Option<Duration> {
        let due = if self.has_unwritten { Duration::ZERO } else { self.lock.renewal_due() };
        (!self.is_writing && !self.is_lost).then(|| due.max(self.not_before))
    }

    /// Begins a write, and returns the content of the record.
    pub(crate) fn start_write(&mut self, figures: &Figures) -> LockWrite {
        (self.is_writing, self.has_unwritten) = (true, false);
        self.lock.set_ended(&self.ended);
        self.lock.set_figures(figures);
        self.lock.renewal(&self.in_hand)
    }

    /// Handles the result of a write. `written` is `None` if the table service refused the write, because
    /// another run has taken the lock. If the service did not answer or failed, the caller calls
    /// [`Self::write_failed`] instead. Returns whether this run still holds the lock.
    pub(crate) fn write_done(&mut self, written: Option<Written>) -> bool {
        self.is_writing = false;
        match written {
            Some(written) => {
                self.lock.confirm(written);
                true
            }
            None => {
                self.is_lost = true;
                false
            }
        }
    }

    /// Handles a write that failed, because the service did not answer or returned an error. The run repeats
    /// the write while it still holds the lock.
    pub(crate) fn write_failed(&mut self, clock: &impl Clock) {
        (self.is_writing, self.has_unwritten) = (false, true);
        self.not_before = clock.monotonic() + RETRY_AFTER;
    }

    /// Sets two values that the next run reads: `hosts` (which Connector hosts work and which fail, see
    /// `attempt/hosts.rs`), and the figures (counts over all runs up to now). The release of the lock writes
    /// both into the record.
    pub(crate) fn set_results(&mut self, hosts: String, figures: &Figures) {
        self.lock.set_hosts(hosts);
        self.lock.set_ended(&self.ended);
        self.lock.set_figures(figures);
    }

    /// Returns the lock and the messages in hand, so that the caller can release the lock; `None` if another
    /// run has taken the lock.
    pub(crate) fn into_lock(self) -> Option<(RunLock, Vec<InHand>)> {
        (!self.is_lost).then_some((self.lock, self.in_hand))
    }
}
