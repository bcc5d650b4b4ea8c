//! Moves messages to the poison queue.

use envelope::{Envelope, Failure, SealState};
use platform::{Host, Level, Traceparent};
use serde_json::json;
use state::ledger::{RecordKey, Status, Transition};
use storage_queue::{PutOptions, QueueMessage, TimeToLive};

use super::Queues;
use crate::attempt::PoisonReason;
use crate::schedule::Leased;

/// A message that is to be copied to the poison queue, with the reason.
#[derive(Debug)]
pub(crate) struct PoisonCopy<'m> {
    pub(crate) message: &'m QueueMessage,
    pub(crate) record: RecordKey,
    pub(crate) envelope: Option<&'m Envelope>,
    pub(crate) why: PoisonReason,
    pub(crate) reason: &'m str,
}

/// Whether the message is in the poison queue now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Poisoned {
    /// The message is in the poison queue. The ledger records this transition.
    Yes(Box<Transition>),
    /// The Put failed. The message stays on the queue, and is dequeued again.
    No,
}

impl<H: Host> Queues<'_, H> {
    /// Moves a message to the poison queue, with the reason in its text.
    pub(crate) async fn move_to_poison_queue(
        &self,
        leased: &Leased,
        why: PoisonReason,
        reason: &str,
        status: Option<u16>,
    ) -> Poisoned {
        let Leased { message, envelope, seal, .. } = leased;
        let failure = Failure {
            outcome: why.as_str(),
            reason: reason.to_owned(),
            status,
            at: self.host.now(),
            attempts: message.dequeue_count,
        };
        // Only a message that had a valid seal is sealed again, because the poller's seal on another
        // producer's message would vouch for it.
        let text = match seal {
            // A message of an older format keeps its text, so that the older tools can read it there.
            _ if envelope.shape.is_legacy() => Ok(message.text.clone()),
            SealState::Valid => envelope.encode_failed(self.seal_key, &failure),
            SealState::Missing | SealState::Unchecked => envelope.encode_failed(None, &failure),
            SealState::Broken => Ok(message.text.clone()),
        };
        // With the reason, the text may be longer than a message can be. Then the text is copied unchanged.
        let text = text.unwrap_or_else(|_| message.text.clone());
        let envelope = Some(envelope);
        self.put_poison_copy(
            PoisonCopy { message, record: leased.record.clone(), envelope, why, reason },
            &text,
        )
        .await
    }

    /// Puts a copy into the poison queue, records that in the ledger, and deletes the message. The Put comes
    /// before the Delete, so that a failure in between leaves two copies and never none. The record in the
    /// ledger keeps a later run from putting a third copy.
    pub(crate) async fn put_poison_copy(&self, copy: PoisonCopy<'_>, text: &str) -> Poisoned {
        let PoisonCopy { message, record, envelope, why, reason } = copy;
        let trace = envelope.and_then(|envelope| envelope.traceparent.as_ref());
        let fields = json!({
            "run": self.run, "envelope": envelope.map(|envelope| envelope.id.excerpt()), "message": message.id.as_str(), "outcome": why.as_str(),
            "reason": reason,
        });
        self.host.event(Level::Warn, "alert.poisoned", Traceparent::add_to(trace, fields));
        let log = |level, event, reason: String| {
            let fields = json!({"run": self.run, "message": message.id.as_str(), "reason": reason});
            self.host.event(level, event, Traceparent::add_to(trace, fields));
        };
        let options = PutOptions { time_to_live: TimeToLive::Never, ..PutOptions::default() };
        if let Err(error) = self.poison.put_creating_queue_if_missing(text, options).await {
            log(Level::Error, "poison.put.failed", error.to_string());
            return Poisoned::No;
        }
        let dead = Transition {
            reason: Some(format!("{}: {reason}", why.as_str())),
            message: Some(message.id.as_str().to_owned()),
            ..Transition::to(record, Status::Dead)
        };
        if let Err(error) = self.ledger.record(&dead).await {
            log(Level::Warn, "ledger.not-noted", error.to_string());
        }
        self.delete_poisoned(message).await;
        Poisoned::Yes(Box::new(dead))
    }

    /// Deletes a message whose copy is in the poison queue.
    pub(crate) async fn delete_poisoned(&self, message: &QueueMessage) {
        if let Err(error) = self.main.delete(&message.id, &message.pop_receipt).await {
            let fields =
                json!({"run": self.run, "message": message.id.as_str(), "reason": error.to_string()});
            self.host.event(Level::Warn, "poison.copied-but-not-deleted", fields);
        }
    }
}
