//! Collects the transitions of a run, so that the run can record many of them in one call. A *transition* is
//! the new status of an alert. The run records transitions in the *ledger*, the table with a record for each
//! alert.

use std::time::Duration;

use platform::Clock;
use state::ledger::{RecordKey, Transition};

/// If this many transitions wait, the run writes them immediately.
const FULL_BATCH: usize = 64;
/// If fewer transitions wait, the run writes them after this time.
const WRITE_AFTER: Duration = Duration::from_millis(500);
/// The pause between a failed write and the next write.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The transitions that the ledger has not recorded yet.
#[derive(Debug, Default)]
pub(super) struct LedgerWrites {
    waiting: Vec<Transition>,
    /// The moment at which the run has to write the waiting transitions.
    due: Option<Duration>,
    is_writing: bool,
    /// The keys of the records for which a write is under way.
    under_way: Vec<RecordKey>,
    /// Whether the last write failed. If `true`, the next write waits until `due`, even if the batch is full.
    has_failed: bool,
}

impl LedgerWrites {
    pub(super) fn add(&mut self, transition: Option<Transition>, now: Duration) {
        if let Some(transition) = transition {
            self.waiting.push(transition);
            self.due.get_or_insert(now + WRITE_AFTER);
        }
    }

    /// Handles a final status (`end`) that the ledger has already recorded. Drops the waiting transitions of
    /// the same alert, because they are older than `end`.
    ///
    /// Perhaps the write under way contains an older transition of the alert. This transition can reach the
    /// ledger after `end`, and overwrite `end`. In this case, this function adds `end` to the waiting
    /// transitions, and also returns `end`.
    pub(super) fn recorded(&mut self, end: Transition, now: Duration) -> Option<Transition> {
        self.waiting.retain(|waiting| waiting.key != end.key);
        if self.waiting.is_empty() {
            self.due = None;
        }
        let again = self.under_way.contains(&end.key).then_some(end);
        self.add(again.clone(), now);
        again
    }

    /// The moment of the next write, on the monotonic clock; `None` if no transition waits, or if a write is
    /// under way.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due.filter(|_| !self.is_writing)
    }

    pub(super) fn take_due(&mut self, now: Duration) -> Option<Vec<Transition>> {
        let is_full = self.waiting.len() >= FULL_BATCH && !self.has_failed;
        let is_due = is_full || self.due.is_some_and(|due| due <= now);
        if self.is_writing || self.waiting.is_empty() || !is_due {
            return None;
        }
        (self.is_writing, self.due) = (true, None);
        let some = std::mem::take(&mut self.waiting);
        self.under_way = some.iter().map(|transition| transition.key.clone()).collect();
        Some(some)
    }

    /// Handles the end of a write. The transitions that were not written (`left`) wait for the next write,
    /// before the newer transitions. The order is important, because the ledger records only the last
    /// transition of each alert.
    pub(super) fn batch_written(&mut self, mut left: Vec<Transition>, clock: &impl Clock) {
        self.is_writing = false;
        self.under_way.clear();
        self.has_failed = !left.is_empty();
        if self.has_failed {
            left.append(&mut self.waiting);
            self.waiting = left;
            self.due = Some(clock.monotonic() + RETRY_AFTER);
        }
    }

    /// Takes all waiting transitions. The run calls this function at its end.
    pub(super) fn take_all(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.waiting)
    }
}
