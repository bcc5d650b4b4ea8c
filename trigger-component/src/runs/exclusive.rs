//! This run, as the table knows it.

use std::time::Duration;

use platform::Clock;
use state::runs::{InHand, LockWrite, RunLock, Written};

/// After a failure the table is told again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// The hold of this run, and what it has in hand.
#[derive(Debug)]
pub(crate) struct ExclusiveRun {
    lock: RunLock,
    in_hand: Vec<InHand>,
    /// Something came in hand that the table does not know yet.
    has_unwritten: bool,
    /// The table is being told.
    is_writing: bool,
    /// Not before this moment.
    not_before: Duration,
    is_lost: bool,
}

impl ExclusiveRun {
    /// A run that has just taken the lock, with what it took over.
    pub(crate) fn new(lock: RunLock, left: Vec<InHand>) -> Self {
        let (has_unwritten, is_writing, is_lost) = (false, false, false);
        Self { lock, in_hand: left, has_unwritten, is_writing, not_before: Duration::ZERO, is_lost }
    }

    /// What this run has in hand.
    pub(crate) fn in_hand(&self) -> &[InHand] {
        &self.in_hand
    }

    /// Messages were handed out. Nothing is done about any of them before the table was told.
    pub(crate) fn take(&mut self, messages: impl Iterator<Item = InHand>) {
        self.in_hand.extend(messages);
        self.has_unwritten = true;
    }

    /// The message is dealt with, or on the queue again. Told when the hold is renewed.
    pub(crate) fn remove(&mut self, message: &str) {
        self.in_hand.retain(|in_hand| in_hand.message != message);
    }

    /// Whether another run may be at work: then this one starts nothing more.
    pub(crate) fn is_lost(&self, clock: &impl Clock) -> bool {
        self.is_lost || !self.lock.is_valid(clock)
    }

    /// Until when no other run can be at work, on the monotonic clock.
    pub(crate) fn valid_until(&self) -> Duration {
        self.lock.valid_until()
    }

    /// When the table has to be told something, on the monotonic clock; not while it is being told.
    pub(crate) fn write_due(&self) -> Option<Duration> {
        let due = if self.has_unwritten { Duration::ZERO } else { self.lock.renewal_due() };
        (!self.is_writing && !self.is_lost).then(|| due.max(self.not_before))
    }

    /// What has to be told now.
    pub(crate) fn start_write(&mut self) -> LockWrite {
        (self.is_writing, self.has_unwritten) = (true, false);
        self.lock.renewal(&self.in_hand)
    }

    /// The table knows, unless another run has taken over. Says whether it knows.
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

    /// The table could not be told: it will be, as long as nobody else can have taken over.
    pub(crate) fn write_failed(&mut self, clock: &impl Clock) {
        (self.is_writing, self.has_unwritten) = (false, true);
        self.not_before = clock.monotonic() + RETRY_AFTER;
    }

    /// Sets what the next run has to know about the Connector's hosts. Written when the hold is given up.
    pub(crate) fn set_hosts(&mut self, hosts: String) {
        self.lock.set_hosts(hosts);
    }

    /// The lock, to be given up; `None` if it is another run's.
    pub(crate) fn into_lock(self) -> Option<(RunLock, Vec<InHand>)> {
        (!self.is_lost).then_some((self.lock, self.in_hand))
    }
}
