//! What the ledger is to be told: many alerts in one call.

use std::time::Duration;

use platform::{Clock, Host, Level};
use serde_json::json;
use state::ledger::Transition;

use super::Run;
use super::context::RunContext;
use super::events::Event;

/// So many are told at once.
const MANY: usize = 64;
/// The ledger is told no later than that.
const AFTER: Duration = Duration::from_millis(500);
/// After a failure it is told again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Notes that the ledger does not have yet.
#[derive(Debug, Default)]
pub(super) struct LedgerWrites {
    waiting: Vec<Transition>,
    /// When they are to be told.
    due: Option<Duration>,
    is_writing: bool,
    /// The ledger did not take the last batch: the next one waits for its time, however many there are.
    has_failed: bool,
}

impl LedgerWrites {
    pub(super) fn add(&mut self, transition: Option<Transition>, now: Duration) {
        if let Some(transition) = transition {
            self.waiting.push(transition);
            self.due.get_or_insert(now + AFTER);
        }
    }

    /// When the ledger has to be told, on the monotonic clock.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due.filter(|_| !self.is_writing)
    }

    fn take_due(&mut self, now: Duration) -> Option<Vec<Transition>> {
        let are_many = self.waiting.len() >= MANY && !self.has_failed;
        let is_due = are_many || self.due.is_some_and(|due| due <= now);
        if self.is_writing || self.waiting.is_empty() || !is_due {
            return None;
        }
        (self.is_writing, self.due) = (true, None);
        Some(std::mem::take(&mut self.waiting))
    }

    /// The ledger was told, but for these: they are told again, unless something newer became of them.
    pub(super) fn batch_written(&mut self, mut left: Vec<Transition>, clock: &impl Clock) {
        self.is_writing = false;
        self.has_failed = !left.is_empty();
        if self.has_failed {
            left.append(&mut self.waiting);
            self.waiting = left;
            self.due = Some(clock.monotonic() + RETRY_AFTER);
        }
    }

    /// Tells the ledger everything, at the end of the run. Returns how many alerts it could not be told of.
    pub(super) async fn flush<H: Host>(&mut self, context: &RunContext<'_, H>) -> usize {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() { 0 } else { context.write_transitions(waiting).await.len() }
    }
}

impl<H: Host> Run<'_, '_, H> {
    /// Tells the ledger what is due.
    pub(super) fn write_due_transitions(&mut self) {
        let context = self.context;
        // At the end everything is told at once.
        if self.stopping {
            return;
        }
        if let Some(some) = self.ledger_writes.take_due(context.host.monotonic()) {
            self.jobs.push(Box::pin(async move {
                Event::LedgerWritten { left: context.write_transitions(some).await }
            }));
        }
    }
}

impl<H: Host> RunContext<'_, H> {
    /// Tells the ledger; returns what it could not be told.
    async fn write_transitions(&self, some: Vec<Transition>) -> Vec<Transition> {
        let Err((left, error)) = self.ledger.note_all(some).await else { return Vec::new() };
        let fields = json!({"run": self.run, "reason": error.to_string()});
        self.host.event(Level::Warn, "ledger.trouble", fields);
        left
    }
}
