//! Deletes a message from the queue, usually after its alert has ended.

use std::cell::Cell;

use platform::{Host, Level};
use serde_json::json;
use state::ledger::Transition;

use super::{HasLeft, Queues};
use crate::schedule::Leased;

impl<H: Host> Queues<'_, H> {
    /// Deletes a message whose alert has just ended. `end` is the alert's final status.
    ///
    /// Usually this function only deletes the message, and the run records `end` in the ledger later. (The
    /// *ledger* is the table with a record for each alert.) In two cases, this function itself records `end`:
    ///
    /// 1. The first Delete call fails. This function records `end` before it repeats the call, because the
    ///    message perhaps stays on the queue.
    /// 2. The envelope has the mark `once`. The mark says that the queue can hold a second message of the
    ///    alert, and that the poller must deliver only one of the two messages. This function records `end`
    ///    before it deletes the message.
    ///
    /// If a later run then dequeues a message of the alert, the run finds `end` in the ledger, and does not
    /// send the alert again.
    pub(crate) async fn complete(&self, leased: &Leased, end: &Transition) -> HasLeft {
        let is_recorded = Cell::new(leased.envelope.once && self.record_transition(leased, end).await);
        let record_end = async || {
            if !is_recorded.get() {
                is_recorded.set(self.record_transition(leased, end).await);
            }
        };
        self.remove(leased, record_end).await
    }

    /// Deletes a message, and records nothing in the ledger. The caller uses this function if the message's
    /// alert had ended before, or if the message is a *job* (a queue message that holds no alert, but passes
    /// a person's answer or chat message on to a program).
    pub(crate) async fn delete(&self, leased: &Leased) -> HasLeft {
        self.remove(leased, async || {}).await
    }

    async fn remove(&self, leased: &Leased, on_trouble: impl AsyncFnOnce()) -> HasLeft {
        let message = &leased.message;
        let deleted = self.main.delete_noting_trouble(&message.id, &message.pop_receipt, on_trouble).await;
        if let Err(failed) = &deleted {
            self.log_trouble("delete", leased, &failed.error);
        }
        HasLeft::of(&deleted)
    }

    /// Writes a transition (a new status of an alert) to the ledger at once, and returns whether the write
    /// succeeded. This function only logs a failure. If the ledger lacks the final status of an alert, and
    /// the Delete of the message fails, too, the alert can be delivered twice.
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
