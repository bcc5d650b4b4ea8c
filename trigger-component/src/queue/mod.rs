//! Changes messages on the queue: deletes a message, hides it, makes it visible again, or moves it to the
//! poison queue.

mod complete;
mod hide;
mod poison;
mod warnings;

use envelope::SealKey;
use platform::{Host, Level};
use serde_json::json;
use state::ledger::Ledger;
use state::runs::DeadLetters;
use storage_queue::{NotDeleted, QueueClient, QueueError};

pub(crate) use poison::{PoisonCopy, Poisoned};
pub(crate) use warnings::Warnings;

use crate::limits::Limits;
use crate::schedule::Leased;

/// The clients with which a run changes messages. They are for the queue, the poison queue, the ledger (the
/// table with a record for each alert), and the table of dead letters (the list of the messages on the poison
/// queue). All futures of a run share this value.
#[derive(Debug)]
pub(crate) struct Queues<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) run: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) main: QueueClient<'a, H>,
    pub(crate) poison: QueueClient<'a, H>,
    pub(crate) ledger: &'a Ledger<'a, H>,
    pub(crate) dead: DeadLetters<'a, H>,
    pub(crate) seal_key: Option<&'a SealKey>,
    pub(crate) warnings: Warnings,
}

/// Whether a message has left the queue after the run's Delete call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HasLeft {
    Yes,
    /// The message is still on the queue, so a run dequeues the message again.
    No,
    /// The result of the Delete is unknown. For example, the queue does not find the message with this pop
    /// receipt: the message was deleted, or another run has dequeued it. The message stays in the list of the
    /// messages that the run has
    /// *in hand* (dequeued, but not finished). The record of the *run lock* (the lock that a run holds while
    /// it works) stores this list. The next run reads the list, and finds out whether the queue still holds
    /// the message.
    Unknown,
}

impl HasLeft {
    fn of(deleted: &Result<(), NotDeleted>) -> Self {
        match deleted {
            Ok(()) | Err(NotDeleted { error: QueueError::QueueMissing, .. }) => Self::Yes,
            Err(NotDeleted { error: QueueError::LeaseLost { is_on_queue }, .. }) => {
                if *is_on_queue {
                    Self::No
                } else {
                    Self::Unknown
                }
            }
            Err(failed) if failed.is_doubtful => Self::Unknown,
            Err(_) => Self::No,
        }
    }
}

impl<H: Host> Queues<'_, H> {
    /// Logs a failed call to the queue or the tables, after which the run goes on. Logs each `event` at most
    /// once in a run.
    pub(crate) fn warn_once(&self, event: &'static str, error: &dyn std::error::Error) {
        self.warnings.once(self.host, self.run, event, error);
    }

    fn log_trouble(&self, call: &str, leased: &Leased, error: &QueueError) {
        let fields = json!({
            "run": self.run, "envelope": leased.envelope.id.excerpt(), "call": call, "reason": error.to_string(),
        });
        self.host.event(Level::Warn, "queue.trouble", leased.traced(fields));
    }
}
