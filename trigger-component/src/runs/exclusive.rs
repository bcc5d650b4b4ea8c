//! The *run lock* that this run holds, and two lists. The first list has the messages that the run has in
//! hand: the run has dequeued them, and has not finished them. The second list has the alerts that the run
//! has finished. One record in the table `runs` stores the run lock and both lists. Only the run that holds
//! the run lock works on the queue.

use std::time::Duration;

use platform::Clock;
use state::ledger::{RecordKey, Transition};
use state::runs::{EndedAlert, Figures, InHand, LockWrite, RunLock, Written};

/// The pause between a failed write of the record and the next write.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// The greatest number of finished alerts in the list. An alert stays in the list until the *ledger* (the
/// table with one record for each alert) has recorded its final status. So the list becomes this long only if
/// runs cannot write to the ledger.
const MAX_ENDED: usize = 1_000;

/// The run lock that this run holds, with the two lists. The run never sends two writes of the record at the
/// same time.
#[derive(Debug)]
pub(crate) struct ExclusiveRun {
    lock: RunLock,
    in_hand: Vec<InHand>,
    ended: Vec<EndedAlert>,
    /// Whether the run has to write the record before the next renewal of the lock: the record does not list
    /// all messages in hand yet, or the last write failed.
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
    /// in hand, and that this run has in hand now. `ended` are the alerts that the last run had finished.
    pub(crate) fn new(lock: RunLock, left: Vec<InHand>, ended: Vec<EndedAlert>) -> Self {
        let (has_unwritten, is_writing, is_lost) = (false, false, false);
        Self { lock, in_hand: left, ended, has_unwritten, is_writing, not_before: Duration::ZERO, is_lost }
    }

    /// The messages that this run has in hand.
    pub(crate) fn in_hand(&self) -> &[InHand] {
        &self.in_hand
    }

    /// Adds dequeued messages to the messages in hand. The run works on these messages only after the record
    /// lists them.
    pub(crate) fn add(&mut self, messages: impl Iterator<Item = InHand>) {
        self.in_hand.extend(messages);
        self.has_unwritten = true;
    }

    /// The alerts that this run or the last run has finished. The ledger has perhaps not recorded their final
    /// status yet.
    pub(crate) fn ended(&self) -> &[EndedAlert] {
        &self.ended
    }

    /// Adds the final status of an alert to the finished alerts. The next write of the record stores the
    /// status, unless the ledger has recorded the status by then. If the run is killed after
    /// this write, the next run reads the status from the record, and writes the status to the ledger.
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

    /// Removes a message from the messages in hand, because the message is finished, or is visible again. The
    /// next write of the record removes the message from the record, too.
    pub(crate) fn remove(&mut self, message: &str) {
        self.in_hand.retain(|in_hand| in_hand.message != message);
    }

    /// Whether this run has lost the lock, or cannot be sure that it still holds the lock. In both cases, the
    /// run starts no more work.
    pub(crate) fn is_lost(&self, clock: &impl Clock) -> bool {
        self.is_lost || !self.lock.is_valid(clock)
    }

    /// The moment until which no other run can take the lock, on the monotonic clock. Each renewal makes this
    /// moment later.
    pub(crate) fn valid_until(&self) -> Duration {
        self.lock.valid_until()
    }

    /// The moment of the next write of the record, on the monotonic clock; `None` if a write is under way, or
    /// if another run has taken the lock.
    pub(crate) fn write_due(&self) -> Option<Duration> {
        let due = if self.has_unwritten { Duration::ZERO } else { self.lock.renewal_due() };
        (!self.is_writing && !self.is_lost).then(|| due.max(self.not_before))
    }

    /// Prepares a write of the record. The caller has to send this write to the table service.
    pub(crate) fn start_write(&mut self, figures: &Figures) -> LockWrite {
        (self.is_writing, self.has_unwritten) = (true, false);
        self.lock.set_ended(&self.ended);
        self.lock.set_figures(figures);
        self.lock.renewal(&self.in_hand)
    }

    /// Handles the response to a write. `written` is `None` if the table service refused the write, because
    /// another run has taken the lock. Returns whether this run still holds the lock. If the write failed for
    /// another reason, the caller calls [`Self::write_failed`] instead.
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

    /// Handles a failed write: the service did not respond, or returned an error. The run repeats the write
    /// if the run still holds the lock.
    pub(crate) fn write_failed(&mut self, clock: &impl Clock) {
        (self.is_writing, self.has_unwritten) = (false, true);
        self.not_before = clock.monotonic() + RETRY_AFTER;
    }

    /// Sets the values that the next run reads. `hosts` says which Connector hosts work and which fail (see
    /// `attempt/hosts.rs`). `figures` are the counts of all runs up to now. The release of the lock writes
    /// these values into the record.
    pub(crate) fn set_results(&mut self, hosts: String, figures: &Figures) {
        self.lock.set_hosts(hosts);
        self.lock.set_ended(&self.ended);
        self.lock.set_figures(figures);
    }

    /// Returns the lock and the messages in hand, which the caller needs to release the lock; `None` if
    /// another run has taken the lock.
    pub(crate) fn into_lock(self) -> Option<(RunLock, Vec<InHand>)> {
        (!self.is_lost).then_some((self.lock, self.in_hand))
    }
}
