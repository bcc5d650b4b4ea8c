//! Off the queue.

use std::cell::Cell;

use platform::{Host, Level};
use serde_json::json;
use state::ledger::Transition;

use super::Queues;
use crate::schedule::Leased;

impl<H: Host> Queues<'_, H> {
    /// Takes a message off the queue of which something is final. Nothing comes before the Delete, because a run that is
    /// killed in between leaves a message that is handed out again. If the Delete fails, the ledger is told before the Delete
    /// is repeated: whoever is handed the message again knows. It is told first of a message that the queue may hold twice.
    pub(crate) async fn complete(&self, leased: &Leased, end: &Transition) {
        let is_recorded = Cell::new(leased.envelope.once && self.record_transition(leased, end).await);
        let note = async || {
            if !is_recorded.get() {
                is_recorded.set(self.record_transition(leased, end).await);
            }
        };
        let message = &leased.message;
        let deleted = self.main.delete_noting_trouble(&message.id, &message.pop_receipt, note).await;
        if let Err(error) = &deleted {
            self.log_trouble("delete", leased, error);
        }
    }

    /// Takes a message off the queue of which the ledger knows already what became of it.
    pub(crate) async fn delete(&self, leased: &Leased) {
        if let Err(error) = self.main.delete(&leased.message.id, &leased.message.pop_receipt).await {
            self.log_trouble("delete", leased, &error);
        }
    }

    /// Tells the ledger at once. A table that fails makes a double possible if the Delete fails too; it stops nothing.
    pub(super) async fn record_transition(&self, leased: &Leased, transition: &Transition) -> bool {
        let Err(error) = self.ledger.note(transition).await else { return true };
        let fields = json!({
            "run": self.run, "envelope": leased.envelope.id.excerpt(), "status": transition.status.as_str(),
            "reason": error.to_string(),
        });
        self.host.event(Level::Warn, "ledger.not-noted", fields);
        false
    }
}
