//! The transitions that a run records in the ledger, many in one call.

use std::time::Duration;

use platform::{Clock, Host, Level};
use serde_json::json;
use state::ledger::Transition;

use super::Run;
use super::context::RunContext;
use super::events::Event;

/// With this many transitions waiting, they are written at once.
const FULL_BATCH: usize = 64;
/// A transition waits at most this long for others.
const WRITE_AFTER: Duration = Duration::from_millis(500);
/// The pause after a failed write.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A transition that is to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct LedgerWrite {
    transition: Transition,
    /// The message that stays in hand until the transition is recorded.
    message: Option<String>,
}

/// The result of a write of the ledger.
#[derive(Debug, Default)]
pub(crate) struct LedgerWritten {
    /// The transitions that were not written.
    left: Vec<LedgerWrite>,
    /// The messages whose transitions were written.
    pub(super) messages: Vec<String>,
}

/// The transitions that the ledger has not recorded yet.
#[derive(Debug, Default)]
pub(super) struct LedgerWrites {
    waiting: Vec<LedgerWrite>,
    /// When the waiting transitions have to be written.
    due: Option<Duration>,
    is_writing: bool,
    /// The last write failed. Then the next one waits until `due`, even with a full batch.
    has_failed: bool,
}

impl LedgerWrites {
    /// Adds a transition. `message` is the message that stays in hand until the transition is recorded.
    pub(super) fn add(&mut self, transition: Option<Transition>, message: Option<String>, now: Duration) {
        if let Some(transition) = transition {
            self.waiting.push(LedgerWrite { transition, message });
            self.due.get_or_insert(now + WRITE_AFTER);
        }
    }

    /// When the ledger has to be written, on the monotonic clock; `None` while a write is under way.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due.filter(|_| !self.is_writing)
    }

    fn take_due(&mut self, now: Duration) -> Option<Vec<LedgerWrite>> {
        let is_full = self.waiting.len() >= FULL_BATCH && !self.has_failed;
        let is_due = is_full || self.due.is_some_and(|due| due <= now);
        if self.is_writing || self.waiting.is_empty() || !is_due {
            return None;
        }
        (self.is_writing, self.due) = (true, None);
        Some(std::mem::take(&mut self.waiting))
    }

    /// Ends a write. Transitions that were not written are written again. If a newer transition of the same
    /// alert waits, only the newer one counts.
    pub(super) fn batch_written(&mut self, mut left: Vec<LedgerWrite>, clock: &impl Clock) {
        self.is_writing = false;
        self.has_failed = !left.is_empty();
        if self.has_failed {
            left.append(&mut self.waiting);
            self.waiting = left;
            self.due = Some(clock.monotonic() + RETRY_AFTER);
        }
    }

    /// Takes all waiting transitions, at the end of the run.
    fn take_all(&mut self) -> Vec<LedgerWrite> {
        std::mem::take(&mut self.waiting)
    }
}

impl<H: Host> Run<'_, '_, H> {
    /// Writes the transitions that are due.
    pub(super) fn write_due_transitions(&mut self) {
        let context = self.context;
        // A stopping run writes all transitions at its end.
        if self.stopping {
            return;
        }
        if let Some(some) = self.ledger_writes.take_due(context.host.monotonic()) {
            self.jobs
                .push(Box::pin(async move { Event::LedgerWritten(context.write_transitions(some).await) }));
        }
    }

    /// Handles the end of a write. The messages of recorded transitions are no longer in hand.
    pub(super) fn ledger_written(&mut self, written: LedgerWritten) {
        written.messages.iter().for_each(|message| self.exclusive.remove(message));
        self.ledger_writes.batch_written(written.left, self.context.host);
    }

    /// Writes all waiting transitions, at the end of the run. Messages whose transitions cannot be written
    /// stay in hand, so the next run writes them. Returns how many transitions could not be written.
    pub(super) async fn flush_ledger(&mut self) -> usize {
        let waiting = self.ledger_writes.take_all();
        if waiting.is_empty() {
            return 0;
        }
        let written = self.context.write_transitions(waiting).await;
        written.messages.iter().for_each(|message| self.exclusive.remove(message));
        written.left.len()
    }
}

impl<H: Host> RunContext<'_, H> {
    /// Writes these transitions.
    async fn write_transitions(&self, some: Vec<LedgerWrite>) -> LedgerWritten {
        let transitions = some.iter().map(|write| write.transition.clone()).collect();
        let not_recorded = match self.ledger.record_all(transitions).await {
            Ok(()) => Vec::new(),
            Err((left, error)) => {
                let fields = json!({"run": self.run, "reason": error.to_string()});
                self.host.event(Level::Warn, "ledger.trouble", fields);
                left
            }
        };
        let mut written = LedgerWritten::default();
        for write in some {
            if not_recorded.iter().any(|left| left.key == write.transition.key) {
                written.left.push(write);
            } else {
                written.messages.extend(write.message);
            }
        }
        written
    }
}
