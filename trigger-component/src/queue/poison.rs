//! Moves messages to the poison queue.

use chrono::{DateTime, Utc};
use envelope::{Envelope, EnvelopeId, Failure, SealState};
use platform::{Host, Level, Traceparent};
use serde_json::json;
use state::ConversationKey;
use state::ledger::{BeforeDeath, RecordKey, Status, Transition};
use state::runs::{DeadLetter, DeadLetterId, digest_of};
use storage_queue::{NotDeleted, PutOptions, QueueMessage, TimeToLive};

use super::{HasLeft, Queues};
use crate::attempt::PoisonReason;
use crate::schedule::Leased;

/// A message that the run has to copy to the poison queue, with the reason.
#[derive(Debug)]
pub(crate) struct PoisonCopy<'m> {
    pub(crate) message: &'m QueueMessage,
    pub(crate) record: RecordKey,
    /// The envelope, if the message holds one.
    pub(crate) envelope: Option<&'m Envelope>,
    /// Whether an operator can *replay* the message (put it back on the main queue). For this, the message
    /// must have the current format and a valid seal. If the poller has no seal key, no seal is necessary.
    /// (The *seal* proves that the bot wrote the envelope.)
    pub(crate) is_genuine: bool,
    pub(crate) why: PoisonReason,
    pub(crate) reason: &'m str,
    /// The HTTP status of the Connector's response, if there was a response.
    pub(crate) status: Option<u16>,
}

impl PoisonCopy<'_> {
    /// Makes the row for the table of dead letters (the list of the messages in the poison queue). `text` is
    /// the text of the copy in the poison queue.
    fn letter(&self, text: &str, before: Option<&BeforeDeath>, now: DateTime<Utc>) -> DeadLetter {
        let Self { message, envelope, .. } = self;
        let alert = envelope.map(|envelope| envelope.id.excerpt().into_owned());
        let conversation =
            envelope.map(|envelope| ConversationKey::of(&envelope.address).as_str().to_owned());
        DeadLetter {
            id: id_of(message),
            alert: alert.unwrap_or_default(),
            conversation: conversation.unwrap_or_default(),
            outcome: self.why.as_str().to_owned(),
            reason: self.reason.to_owned(),
            status: self.status,
            died_at: now,
            enqueued_at: envelope.map_or(message.insertion_time, |envelope| envelope.enqueued_at),
            expires_at: envelope.and_then(|envelope| envelope.expires),
            attempts: message.dequeue_count,
            is_genuine: self.is_genuine,
            digest: digest_of(text),
            origin: before.map(|before| before.origin.clone()).unwrap_or_default(),
        }
    }
}

fn id_of(message: &QueueMessage) -> DeadLetterId {
    DeadLetterId::of(message.id.as_str(), message.insertion_time)
}

/// Whether the message is in the poison queue now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Poisoned {
    /// The message is in the poison queue.
    Yes {
        /// The alert's final status.
        end: Box<Transition>,
        /// Whether the ledger has recorded `end`.
        is_recorded: bool,
        /// Whether the message has left the main queue.
        left: HasLeft,
    },
    /// The Put to the poison queue failed. The message stays on the main queue, and a run dequeues it again.
    No,
}

impl<H: Host> Queues<'_, H> {
    /// Moves a message to the poison queue. If possible, writes the reason into the text of the copy there.
    pub(crate) async fn move_to_poison_queue(
        &self,
        leased: &Leased,
        why: PoisonReason,
        reason: &str,
        status: Option<u16>,
    ) -> Poisoned {
        let Leased { message, envelope, seal, .. } = leased;
        let failure = Failure {
            id: id_of(message).as_str().to_owned(),
            outcome: why.as_str(),
            reason: reason.to_owned(),
            status,
            at: self.host.now(),
            attempts: message.dequeue_count,
        };
        // The poller seals the new text only if the old text had a valid seal. Otherwise a message of another
        // program would look like a message of the bot.
        let text = match seal {
            // A message in the format of older bots keeps its text, so that the tools for this format can
            // read it in the poison queue.
            _ if envelope.shape.is_legacy() => Ok(message.text.clone()),
            SealState::Valid => envelope.encode_failed(self.seal_key, &failure),
            SealState::Missing | SealState::Unchecked => envelope.encode_failed(None, &failure),
            SealState::Broken => Ok(message.text.clone()),
        };
        // With the reason, the text can be too long for a message. In this case, the copy gets the old text.
        let text = text.unwrap_or_else(|_| message.text.clone());
        let is_sealed = *seal == SealState::Valid || self.seal_key.is_none();
        let copy = PoisonCopy {
            message,
            record: leased.record.clone(),
            envelope: Some(envelope),
            // An operator cannot replay a message in the format of older bots. In this format, an alert has
            // no id of its own, so the poller makes the alert's id from the id of the queue message. A replay
            // would put a new queue message on the main queue, so the alert would get another id. If the
            // Delete of the old message fails, the main queue holds the old and the new message. The poller
            // would treat the two messages as two alerts, and deliver both.
            is_genuine: is_sealed && !envelope.shape.is_legacy(),
            why,
            reason,
            status,
        };
        self.put_poison_copy(copy, &text).await
    }

    /// Moves a message to the poison queue, in this order:
    ///
    /// 1. Inserts a row into the table of dead letters. This step comes first, so that the table lists every
    ///    message of the poison queue.
    /// 2. Puts a copy into the poison queue.
    /// 3. Records the status `dead` in the ledger. If step 4 fails, a later run finds this status, and puts
    ///    no second copy into the poison queue.
    /// 4. Deletes the message from the main queue. This step comes last, so that a failure never loses the
    ///    message.
    pub(crate) async fn put_poison_copy(&self, copy: PoisonCopy<'_>, text: &str) -> Poisoned {
        let before = self.before_death(&copy).await;
        let letter = copy.letter(text, before.as_ref(), self.host.now());
        let PoisonCopy { message, record, envelope, why, reason, .. } = copy;
        let id = envelope.map(|envelope| &envelope.id);
        let trace = envelope.and_then(|envelope| envelope.traceparent.as_ref());
        let fields = json!({
            "run": self.run, "envelope": id.map(EnvelopeId::excerpt), "message": message.id.as_str(), "outcome": why.as_str(),
            "reason": reason,
        });
        self.host.event(Level::Warn, "alert.poisoned", Traceparent::add_to(trace, fields));
        let log = |level, event, reason: String| {
            let fields = json!({"run": self.run, "message": message.id.as_str(), "reason": reason});
            self.host.event(level, event, Traceparent::add_to(trace, fields));
        };
        // If the row cannot be written, this function goes on. The route `/api/dead?text=true` still shows
        // the message, because this route reads the poison queue.
        if let Err(error) = self.dead.record(&letter).await {
            self.warn_once("dead.not-listed", &error);
        }
        let options = PutOptions { time_to_live: TimeToLive::Never, ..PutOptions::default() };
        let put = self.poison.put_marking_copies(text, options, || None).await;
        if let Err(error) = put.result {
            log(Level::Error, "poison.put.failed", error.to_string());
            // If it is certain that the Put had no effect, the poison queue holds no copy, so this function
            // removes the row. If the removal fails, the row stays until an operator drops the dead letter.
            if !put.is_doubtful {
                _ = self.dead.remove(&letter.id).await;
            }
            return Poisoned::No;
        }
        let dead = Transition {
            reason: Some(format!("{}: {reason}", why.as_str())),
            message: Some(message.id.as_str().to_owned()),
            known_replay: before.as_ref().map(|before| before.last_replay),
            ..Transition::to(record, Status::Dead)
        };
        let recorded = match &before {
            Some(before) => self.ledger.record_death(&dead, before).await,
            None => self.ledger.record(&dead).await,
        };
        if let Err(error) = &recorded {
            log(Level::Warn, "ledger.not-noted", error.to_string());
        }
        let left = self.delete_poisoned(message).await;
        Poisoned::Yes { end: Box::new(dead), is_recorded: recorded.is_ok(), left }
    }

    /// Reads some facts from the alert's record: the sender, the tag, and the time of the last replay.
    /// Returns `None` if an operator cannot replay the message.
    ///
    /// As soon as the copy is in the poison queue, an operator can replay the alert. If the operator replays
    /// the alert before the run records the status `dead`, `dead` must not overwrite the new status of the
    /// replayed alert. So this function reads the time of the last replay before the run makes the copy, and
    /// the caller later passes this time to the ledger together with `dead`. If the alert's record then
    /// contains a later replay, the ledger does not record `dead`.
    async fn before_death(&self, copy: &PoisonCopy<'_>) -> Option<BeforeDeath> {
        if !copy.is_genuine {
            return None;
        }
        let before = self.ledger.read_before_death(&copy.record).await;
        Some(before.unwrap_or_else(|error| {
            self.warn_once("ledger.not-read", &error);
            BeforeDeath::unknown()
        }))
    }

    /// Deletes a message whose copy is in the poison queue.
    pub(crate) async fn delete_poisoned(&self, message: &QueueMessage) -> HasLeft {
        let deleted = self.main.delete_noting_trouble(&message.id, &message.pop_receipt, async || {}).await;
        if let Err(NotDeleted { error, .. }) = &deleted {
            let fields =
                json!({"run": self.run, "message": message.id.as_str(), "reason": error.to_string()});
            self.host.event(Level::Warn, "poison.copied-but-not-deleted", fields);
        }
        HasLeft::of(&deleted)
    }
}
