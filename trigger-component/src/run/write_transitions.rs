//! Writes the transitions (new statuses of alerts) of a run to the ledger (the table with one record for each
//! alert).

use platform::{Host, Level};
use serde_json::json;
use state::ledger::{RecordKey, Transition};

use super::Run;
use super::context::RunContext;
use super::events::{Event, LedgerWritten};

impl<H: Host> Run<'_, '_, H> {
    /// Starts a job that writes the waiting transitions, if a write is due.
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

    /// Handles the result of a write to the ledger.
    pub(super) fn ledger_written(&mut self, written: LedgerWritten) {
        self.exclusive.recorded(&written.records);
        self.ledger_writes.batch_written(written.left, self.context.host);
    }

    /// Writes all waiting transitions, and returns how many of them could not be written. The run calls this
    /// function at its end. If the final status of an alert could not be written, the next run writes the
    /// status.
    pub(super) async fn flush_ledger(&mut self) -> usize {
        let waiting = self.ledger_writes.take_all();
        if waiting.is_empty() {
            return 0;
        }
        let written = self.context.write_transitions(waiting).await;
        self.exclusive.recorded(&written.records);
        written.left.len()
    }
}

impl<H: Host> RunContext<'_, H> {
    async fn write_transitions(&self, some: Vec<Transition>) -> LedgerWritten {
        let ends = some.iter().filter(|transition| transition.status.is_final());
        let mut records: Vec<RecordKey> = ends.map(|transition| transition.key.clone()).collect();
        let Err((left, error)) = self.ledger.record_all(some).await else {
            return LedgerWritten { left: Vec::new(), records };
        };
        let fields = json!({"run": self.run, "reason": error.to_string()});
        self.host.event(Level::Warn, "ledger.trouble", fields);
        records.retain(|record| left.iter().all(|transition| transition.key != *record));
        LedgerWritten { left, records }
    }
}
