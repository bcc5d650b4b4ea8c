//! The content of one message of the poison queue.

use chrono::{DateTime, Utc};
use envelope::{Arrival, DecodeError, Envelope, EnvelopeId, FailureNote, SealKey, SealState};
use serde_json::Value;
use state::ConversationKey;
use state::ledger::RecordKey;
use state::runs::{DeadLetterId, digest_of};
use storage_queue::MessageId;

use super::Named;
use super::why::Why;

/// The member that marks a replayed envelope. It holds the outcome for which the message was moved to the
/// poison queue.
const REPLAYED: &str = "replayed";

/// The content of a message of the poison queue.
#[derive(Debug)]
pub(in crate::alerts) struct Letter {
    message_id: String,
    inserted_at: DateTime<Utc>,
    content: Result<(Envelope, SealState), DecodeError>,
    /// The `failure` of the envelope. If the seal is not valid, another program may have written the
    /// `failure`.
    pub(super) failure: FailureNote,
    pub(in crate::alerts) digest: String,
    is_sealing: bool,
}

impl Letter {
    /// Reads a message of the poison queue. `seal_key` is set if the bot seals its messages.
    pub(in crate::alerts) fn open(
        message_id: &MessageId,
        inserted_at: DateTime<Utc>,
        text: &str,
        seal_key: Option<&SealKey>,
    ) -> Self {
        let arrival = Arrival { id: EnvelopeId::of_queue_message(message_id.as_str()), at: inserted_at };
        let mut content = Envelope::decode(text, seal_key, arrival);
        let failure = content.as_mut().ok().and_then(|(envelope, _)| envelope.take_failure());
        Self {
            message_id: message_id.as_str().to_owned(),
            inserted_at,
            content,
            failure: failure.unwrap_or_default(),
            digest: digest_of(text),
            is_sealing: seal_key.is_some(),
        }
    }

    /// Returns the id of the message's row, which the poller wrote into the message. Returns `None` if
    /// another program may have written this id.
    pub(in crate::alerts) fn row(&self) -> Option<DeadLetterId> {
        let is_genuine = !self.is_sealing || matches!(self.content, Ok((_, SealState::Valid)));
        self.named_row().filter(|_| is_genuine)
    }

    /// The row that the message names. If the message's seal is not valid, another program may have written
    /// the name.
    pub(super) fn named_row(&self) -> Option<DeadLetterId> {
        self.failure.id.as_deref().and_then(DeadLetterId::parse)
    }

    /// The name of the message for a caller, if the message has no row.
    pub(super) fn without_row(&self) -> Named {
        Named::Message(self.message_id.clone())
    }

    /// The name of the message for a caller. `row` is the message's row, if it has one.
    pub(super) fn named(&self, row: Option<&DeadLetterId>) -> Named {
        row.cloned().map_or_else(|| self.without_row(), Named::Row)
    }

    pub(super) fn is_message(&self, id: &str) -> bool {
        self.message_id == id
    }

    pub(in crate::alerts) fn envelope(&self) -> Option<&Envelope> {
        self.content.as_ref().ok().map(|(envelope, _)| envelope)
    }

    /// The outcome for which the message was moved to the poison queue. If the message does not name the
    /// outcome, the result is `unreadable`, `sealBroken` or `unknown`.
    pub(super) fn outcome(&self) -> &str {
        match (&self.failure.outcome, &self.content) {
            (Some(outcome), _) => outcome,
            (None, Err(_)) => "unreadable",
            (None, Ok((_, SealState::Broken))) => "sealBroken",
            (None, Ok(_)) => "unknown",
        }
    }

    /// When the message was moved to the poison queue.
    pub(super) fn died_at(&self) -> DateTime<Utc> {
        self.failure.at.unwrap_or(self.inserted_at)
    }

    /// When the alert was accepted.
    pub(super) fn enqueued_at(&self) -> DateTime<Utc> {
        self.envelope().map_or(self.inserted_at, |envelope| envelope.enqueued_at)
    }

    /// The key of the conversation; empty if the message holds no envelope.
    pub(in crate::alerts) fn conversation(&self) -> String {
        let key = self.envelope().map(|envelope| ConversationKey::of(&envelope.address).as_str().to_owned());
        key.unwrap_or_default()
    }

    /// Makes the envelope to put on the queue again. It has the mark `once` and no used-up tries. It has no
    /// `failure`, and no data of a series. Returns the reason if the message may not be sent.
    pub(super) fn to_replay(&self, now: DateTime<Utc>) -> Result<Envelope, Why> {
        let (envelope, seal) = self.content.as_ref().map_err(|_| Why::Unreadable)?;
        match seal {
            SealState::Broken => return Err(Why::Tampered),
            SealState::Missing if self.is_sealing => return Err(Why::Unsealed),
            SealState::Valid | SealState::Missing | SealState::Unchecked => {}
        }
        if envelope.shape.is_legacy() {
            return Err(Why::OlderFormat);
        }
        if envelope.expires.is_some_and(|expires| expires <= now) {
            return Err(Why::Expired);
        }
        let mut envelope = Envelope {
            once: true,
            delivery: envelope::Delivery::default(),
            series: None,
            ..envelope.clone()
        };
        envelope.rest.insert(REPLAYED.into(), Value::from(self.outcome()));
        Ok(envelope)
    }

    /// Returns the key of the alert's record in the ledger. The poller used the same key for the message on
    /// the queue. `row` holds the id of that message. Returns `None` if the message holds no envelope and has
    /// no row.
    pub(super) fn record(&self, row: Option<&DeadLetterId>) -> Option<RecordKey> {
        let put_at = row.map_or(self.inserted_at, DeadLetterId::inserted_at);
        let Ok((envelope, seal)) = &self.content else {
            return row.map(|row| RecordKey::of_message(row.message_id(), false, put_at));
        };
        let is_ours = *seal == SealState::Valid || !self.is_sealing;
        let id = match row {
            // An envelope of an older format has the id of its message on the queue.
            Some(row) if envelope.shape.is_legacy() => EnvelopeId::of_queue_message(row.message_id()),
            _ => envelope.id.clone(),
        };
        Some(RecordKey::of_message(id.as_str(), is_ours, put_at))
    }
}
