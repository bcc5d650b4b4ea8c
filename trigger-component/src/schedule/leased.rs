//! A message that this run has dequeued, with its decoded envelope.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use envelope::{AnswerJob, Envelope, SealState};
use platform::{Clock, Traceparent};
use serde_json::Value;
use state::ledger::RecordKey;
use state::runs::InHand;
use storage_queue::QueueMessage;

use super::keyed_change::KeyedChange;
use super::line::{Age, Place};
use crate::limits::MAX_HIDE;
use crate::turns::Turn;

/// The key of a lane: one conversation at its Connector, whose messages keep their order. It is a hash. If
/// two conversations have the same hash, their messages sometimes wait for each other, and nothing else
/// happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneKey(u64);

impl LaneKey {
    fn of(address: &ConversationReference) -> Self {
        Self(fnv_1a(&[&address.service_url, &address.conversation.id]))
    }

    /// The lane of the answers to an alert, so that a program that does not respond delays no alert.
    fn of_answers(alert: &str) -> Self {
        Self(fnv_1a(&["answers", alert]))
    }

    /// The lane of a message that is no envelope. No other message has to wait for it.
    pub(crate) fn of_unreadable(message: &str) -> Self {
        Self(fnv_1a(&["unreadable", message]))
    }

    /// Reads the name that a lane has in the table; `None` if the text is not the name of a lane.
    pub(crate) fn named(name: &str) -> Option<Self> {
        u64::from_str_radix(name, 16).ok().map(Self)
    }

    /// Returns the lane's name in the table.
    pub(crate) fn name(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// Computes FNV-1a, 64 bits (<https://datatracker.ietf.org/doc/draft-eastlake-fnv/>). After each part comes a
/// byte that UTF-8 text does not contain. Stored names are made of this hash, so it must never change.
fn fnv_1a(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xFF]));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The key of a rate limit: the channel, and the tenant in it. It is a hash that is valid in this run only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TenantKey(u64);

impl TenantKey {
    fn of(address: &ConversationReference) -> Self {
        let mut hasher = DefaultHasher::new();
        (&address.channel_id, address.vouched_tenant().unwrap_or_default()).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// A leased message.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) message: QueueMessage,
    pub(crate) envelope: Envelope,
    pub(crate) seal: SealState,
    pub(crate) lane: LaneKey,
    pub(crate) tenant: TenantKey,
    /// When the run asked for the message, on the monotonic clock. The lease began at this moment or later.
    pub(crate) leased_at: Duration,
    /// The alert's record in the ledger.
    pub(crate) record: RecordKey,
    /// The conversation to which this run sent the alert, if it created or found the conversation.
    pub(crate) sent_to: Option<ConversationReference>,
    /// The records that the run has to write after it has sent an alert with a key.
    pub(crate) change: Option<Box<KeyedChange>>,
    /// The turn of an alert with a key. It ends when the message is done, after the run has written its
    /// records.
    pub(crate) turn: Option<Turn>,
    /// The report counts the message already.
    pub(crate) is_counted: bool,
}

impl Leased {
    /// Makes a leased message of a decoded one. `has_seal_key`: whether messages of the bot have a seal, so
    /// that a message without a seal comes from another producer.
    pub(crate) fn new(
        message: QueueMessage,
        envelope: Envelope,
        seal: SealState,
        has_seal_key: bool,
        leased_at: Duration,
    ) -> Self {
        let lane = match &envelope.answer {
            Some(AnswerJob::Answer { alert, .. }) => LaneKey::of_answers(alert),
            Some(AnswerJob::Message { .. }) | None => LaneKey::of(&envelope.address),
        };
        let tenant = TenantKey::of(&envelope.address);
        let is_ours = seal == SealState::Valid || !has_seal_key;
        let record = RecordKey::of_message(envelope.id.as_str(), is_ours, message.insertion_time);
        let (sent_to, change, turn, is_counted) = (None, None, None, false);
        Self { message, envelope, seal, lane, tenant, leased_at, record, sent_to, change, turn, is_counted }
    }

    pub(crate) fn id(&self) -> &str {
        self.message.id.as_str()
    }

    /// The conversation to which the alert was sent, or is to be sent.
    pub(crate) fn destination(&self) -> &ConversationReference {
        self.sent_to.as_ref().unwrap_or(&self.envelope.address)
    }

    /// How many calls of the Connector the alert takes at least.
    pub(super) fn calls(&self) -> u32 {
        self.envelope.creation.as_ref().map_or(1, |creation| creation.of.calls())
    }

    /// Adds the id of the alert's trace to the fields of a log line, if the alert has a trace.
    pub(crate) fn traced(&self, fields: Value) -> Value {
        Traceparent::add_to(self.envelope.traceparent.as_ref(), fields)
    }

    /// Returns the time until the queue deletes the message.
    pub(crate) fn until_deletion(&self, clock: &impl Clock) -> Duration {
        (self.message.expiration_time - clock.now()).to_std().unwrap_or_default().min(MAX_HIDE * 2)
    }

    /// The moment until which the record of the alert is needed: the alert is due then, or the next alert of
    /// its series. `None` if the alert is due at once.
    pub(crate) fn kept_until(&self) -> Option<DateTime<Utc>> {
        let series = self.envelope.series.as_ref();
        let next = series.and_then(|series| series.due(series.index.saturating_add(1)));
        self.envelope.not_before.max(next)
    }

    pub(crate) fn age(&self) -> Age {
        Age(self.message.insertion_time.timestamp(), self.envelope.enqueued_at.timestamp_millis())
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.id(), self.age())
    }

    /// Returns the data that the next run needs to recover the message if this run is killed.
    pub(crate) fn in_hand(&self) -> InHand {
        let Age(put_at_seconds, written_at_milliseconds) = self.age();
        InHand {
            message: self.id().to_owned(),
            receipt: self.message.pop_receipt.as_str().to_owned(),
            lane: self.lane.name(),
            age: (put_at_seconds, written_at_milliseconds),
            record: Some(self.record.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_name_of_a_conversation_never_changes() {
        // This value is the algorithm's offset basis: its hash of no bytes.
        assert_eq!(fnv_1a(&[]), 0xCBF2_9CE4_8422_2325);
        let key = LaneKey(fnv_1a(&["https://smba.trafficmanager.net/amer/", "a:1"]));
        assert_eq!(key.name(), "9a0db8467b23624b", "stored names must never change");
        assert_eq!(LaneKey::named(&key.name()), Some(key));
        assert_eq!(LaneKey::named("x"), None);
        assert_ne!(fnv_1a(&["a", "b"]), fnv_1a(&["ab", ""]));
    }
}
