//! The content of one message of the poison queue. Usually, the content is an *envelope*: the JSON that the
//! bot puts on the queue for one alert. The *seal* of an envelope is an HMAC. The seal proves that the bot or
//! the poller wrote the envelope.

use chrono::{DateTime, Utc};
use envelope::{Arrival, DecodeError, Envelope, EnvelopeId, FailureNote, SealKey, SealState};
use serde_json::Value;
use state::ConversationKey;
use state::ledger::RecordKey;
use state::runs::{DeadLetterId, digest_of};
use storage_queue::MessageId;

use super::Named;
use super::why::Why;

/// The member that a replay adds to the envelope. The value of this member is the outcome of the dead letter
/// (the message), such as `permanent`.
const REPLAYED: &str = "replayed";

/// The content of a message of the poison queue.
#[derive(Debug)]
pub(in crate::alerts) struct Letter {
    message_id: String,
    inserted_at: DateTime<Utc>,
    content: Result<(Envelope, SealState), DecodeError>,
    /// The member `failure` of the envelope, in which the poller stores the outcome and the reason. If the
    /// seal is not valid, perhaps another program wrote this member. `outcome` and `died_at` use this member,
    /// and do not check the seal.
    pub(super) failure: FailureNote,
    /// The hash of the text of the queue message. By this hash, the bot finds the message's row in the table
    /// of dead letters.
    pub(in crate::alerts) digest: String,
    is_sealing: bool,
}

impl Letter {
    /// Reads a message of the poison queue. `seal_key` is `None` if the bot does not seal its messages.
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

    /// Returns the id of the message's row. The poller writes this id into the envelope. Returns `None` if
    /// the envelope has no such id. If the bot seals its messages, also returns `None` if the seal is not
    /// valid.
    pub(in crate::alerts) fn row(&self) -> Option<DeadLetterId> {
        let is_genuine = !self.is_sealing || matches!(self.content, Ok((_, SealState::Valid)));
        self.named_row().filter(|_| is_genuine)
    }

    /// Returns the row id in the envelope, even if the seal is not valid. If the seal is not valid, perhaps
    /// another program wrote the id.
    pub(super) fn named_row(&self) -> Option<DeadLetterId> {
        self.failure.id.as_deref().and_then(DeadLetterId::parse)
    }

    /// Returns the id of a dead letter without a row, for API calls and responses.
    pub(super) fn id_without_row(&self) -> Named {
        Named::Message(self.message_id.clone())
    }

    /// Returns the id of a dead letter, for API calls and responses. `row` is the id of its row, if it has a
    /// row.
    pub(super) fn named(&self, row: Option<&DeadLetterId>) -> Named {
        row.cloned().map_or_else(|| self.id_without_row(), Named::Row)
    }

    pub(super) fn is_message(&self, id: &str) -> bool {
        self.message_id == id
    }

    pub(in crate::alerts) fn envelope(&self) -> Option<&Envelope> {
        self.content.as_ref().ok().map(|(envelope, _)| envelope)
    }

    /// Returns the outcome: a word, such as `permanent`, that says why a run (one execution of the poller)
    /// moved the message to the poison queue. If the message contains no outcome, the result is `unreadable`,
    /// `sealBroken` or `unknown`.
    pub(super) fn outcome(&self) -> &str {
        match (&self.failure.outcome, &self.content) {
            (Some(outcome), _) => outcome,
            (None, Err(_)) => "unreadable",
            (None, Ok((_, SealState::Broken))) => "sealBroken",
            (None, Ok(_)) => "unknown",
        }
    }

    /// The time at which a run moved the message to the poison queue.
    pub(super) fn died_at(&self) -> DateTime<Utc> {
        self.failure.at.unwrap_or(self.inserted_at)
    }

    /// The time at which the bot accepted the alert. If the message holds no envelope, this is the time at
    /// which the message was put on the poison queue.
    pub(super) fn enqueued_at(&self) -> DateTime<Utc> {
        self.envelope().map_or(self.inserted_at, |envelope| envelope.enqueued_at)
    }

    /// The conversation key. Empty if the message holds no envelope.
    pub(in crate::alerts) fn conversation(&self) -> String {
        let key = self.envelope().map(|envelope| ConversationKey::of(&envelope.address).as_str().to_owned());
        key.unwrap_or_default()
    }

    /// Makes the envelope that a replay puts on the queue. Returns an error if the bot refuses the replay.
    ///
    /// - The envelope has the mark `once`. Before a run sends a marked envelope, the run checks in the ledger
    ///   that the alert has not been delivered.
    /// - The poller counts the tries from zero again.
    /// - The envelope has no `failure`.
    /// - The envelope belongs to no series of recurring alerts. So the replay sends only this one alert. (The
    ///   poller has already put the next alert of the series on the queue.)
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

    /// Returns the key of the alert's record in the ledger. Returns `None` if the message holds no envelope
    /// and has no row.
    ///
    /// The poller made this key when the message was on the main queue. There, the message had a different id
    /// and a different insertion time. `row` (the id of the message's row) contains the message's id and
    /// insertion time on the main queue. Without `row`, the function uses the insertion time on the poison
    /// queue.
    pub(super) fn record(&self, row: Option<&DeadLetterId>) -> Option<RecordKey> {
        let put_at = row.map_or(self.inserted_at, DeadLetterId::inserted_at);
        let Ok((envelope, seal)) = &self.content else {
            return row.map(|row| RecordKey::of_message(row.message_id(), false, put_at));
        };
        let is_ours = *seal == SealState::Valid || !self.is_sealing;
        let id = match row {
            // An envelope of an older format has no id. So the poller used the id of the message on the main
            // queue.
            Some(row) if envelope.shape.is_legacy() => EnvelopeId::of_queue_message(row.message_id()),
            _ => envelope.id.clone(),
        };
        Some(RecordKey::of_message(id.as_str(), is_ours, put_at))
    }
}
