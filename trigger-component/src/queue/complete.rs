//! Deletes finished messages from the queue.

use std::cell::Cell;

use platform::{Host, Level};
use serde_json::json;
use state::ledger::Transition;

use super::{Left, Queues};
use crate::schedule::Leased;

impl<H: Host> Queues<'_, H> {
    /// Deletes a message whose alert has reached a final state.
    ///
    /// Usually the run deletes the message first, and records `end` in the ledger later. If the run is killed
    /// before the Delete, the queue hands out the message again. If the Delete fails, the run records `end`
    /// before it repeats the Delete, so that a run that dequeues the message again finds that record. If the
    /// queue may hold the message twice (`once`), the run records `end` first.
    pub(crate) async fn complete(&self, leased: &Leased, end: &Transition) -> Left {
        let is_recorded = Cell::new(leased.envelope.once && self.record_transition(leased, end).await);
        let note = async || {
            if !is_recorded.get() {
                is_recorded.set(self.record_transition(leased, end).await);
            }
        };
        self.remove(leased, note).await
    }

    /// Deletes a message whose final state is already in the ledger.
    pub(crate) async fn delete(&self, leased: &Leased) -> Left {
        self.remove(leased, async || {}).await
    }

    async fn remove(&self, leased: &Leased, on_trouble: impl AsyncFnOnce()) -> Left {
        let message = &leased.message;
        let deleted = self.main.delete_noting_trouble(&message.id, &message.pop_receipt, on_trouble).await;
        if let Err(failed) = &deleted {
            self.log_trouble("delete", leased, &failed.error);
        }
        Left::of(&deleted)
    }

    /// Writes a transition to the ledger at once, and returns whether that succeeded. A failure is logged,
    /// and the run goes on. If the Delete of the message fails, too, the alert may be delivered twice.
    pub(super) async fn record_transition(&self, leased: &Leased, transition: &Transition) -> bool {
        let Err(error) = self.ledger.record(transition).await else { return true };
        let fields = json!({
            "run": self.run, "envelope": leased.envelope.id.excerpt(), "status": transition.status.as_str(),
            "reason": error.to_string(),
        });
        self.host.event(Level::Warn, "ledger.not-noted", leased.traced(fields));
        false
    }
}
