//! A message that this run has dequeued, with its decoded *envelope* (an alert as JSON).

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

/// The key of a *lane* (the list of a conversation's dequeued messages). The key is a hash of the
/// conversation's id and the URL of its Connector. Two kinds of messages have lanes of their own, with other
/// keys: see `of_answers` and `of_unreadable`. If two conversations have the same hash, they share a lane,
/// and their messages sometimes wait for each other. Sharing does no other harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneKey(u64);

impl LaneKey {
    fn of(address: &ConversationReference) -> Self {
        Self(fnv_1a(&[&address.service_url, &address.conversation.id]))
    }

    /// The lane for the answers to one alert: the queue messages that bring a person's answer to a program
    /// (`attempt/answer.rs`). These messages have their own lane, so that a slow program delays no alert.
    fn of_answers(alert: &str) -> Self {
        Self(fnv_1a(&["answers", alert]))
    }

    /// The lane of a message without an envelope. Each message without an envelope has a lane of its own, and
    /// so delays no other message.
    pub(crate) fn of_unreadable(message: &str) -> Self {
        Self(fnv_1a(&["unreadable", message]))
    }

    /// Makes the key from the name that a lane has in tables; `None` if the text is not the name of a lane.
    pub(crate) fn named(name: &str) -> Option<Self> {
        u64::from_str_radix(name, 16).ok().map(Self)
    }

    /// Returns the name that the lane has in tables.
    pub(crate) fn name(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// Computes the 64-bit FNV-1a hash (<https://datatracker.ietf.org/doc/draft-eastlake-fnv/>). After each part,
/// the function adds a byte that UTF-8 text does not contain. So the parts `ab`, `c` and the parts `a`, `bc`
/// have different hashes. The hash must never change, because tables store the hashes as the names of lanes.
fn fnv_1a(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xFF]));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The key under which the run keeps the pace of a tenant (the minimum time between two messages). The key is
/// a hash of the channel (e.g. Teams) and the tenant. The hash is valid in this run only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TenantKey(u64);

impl TenantKey {
    fn of(address: &ConversationReference) -> Self {
        let mut hasher = DefaultHasher::new();
        (&address.channel_id, address.vouched_tenant().unwrap_or_default()).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// A leased message: this run has dequeued the message, and the queue hides the message for a limited time
/// (the *lease*).
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) message: QueueMessage,
    pub(crate) envelope: Envelope,
    /// The state of the envelope's *seal* (the signature of the bot).
    pub(crate) seal: SealState,
    pub(crate) lane: LaneKey,
    pub(crate) tenant: TenantKey,
    /// The moment at which the run called Get Messages, on the monotonic clock. The lease began at this
    /// moment or later.
    pub(crate) leased_at: Duration,
    /// The key of the alert's record in the ledger (the table with one record for each alert).
    pub(crate) record: RecordKey,
    /// The address of the conversation that this run has found or created for the alert; `None` if the alert
    /// goes to the address in the envelope.
    pub(crate) sent_to: Option<ConversationReference>,
    /// The records that the run has to write after the call to the Connector. There are such records if the
    /// alert has a `key` (the sender's name for a problem), or if the message changes an alert or takes an
    /// alert back.
    pub(crate) change: Option<Box<KeyedChange>>,
    /// The lock of the alert's `key` (`turns.rs`), if the alert has a `key`. The run holds the lock until it
    /// has written `change`.
    pub(crate) turn: Option<Turn>,
    /// Whether the run's report (the counts of its messages, by result) counts the message already.
    pub(crate) is_counted: bool,
}

impl Leased {
    /// Makes a leased message from a queue message and its decoded envelope. `has_seal_key` says whether the
    /// bot seals its messages. If so, a message without a valid seal counts as a message of another program.
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

    /// The address of the conversation to which the alert was sent or will be sent.
    pub(crate) fn destination(&self) -> &ConversationReference {
        self.sent_to.as_ref().unwrap_or(&self.envelope.address)
    }

    /// The minimum number of calls to the Connector for this alert.
    pub(super) fn calls(&self) -> u32 {
        self.envelope.creation.as_ref().map_or(1, |creation| creation.of.min_calls())
    }

    /// Adds the id of the alert's trace to the fields of a log line, if the alert has a trace.
    pub(crate) fn traced(&self, fields: Value) -> Value {
        Traceparent::add_to(self.envelope.traceparent.as_ref(), fields)
    }

    /// Returns the time until the queue deletes the message, but at most twice `MAX_HIDE`.
    pub(crate) fn until_deletion(&self, clock: &impl Clock) -> Duration {
        (self.message.expiration_time - clock.now()).to_std().unwrap_or_default().min(MAX_HIDE * 2)
    }

    /// The time until which the ledger has to keep the alert's record. This is the later of two times: when
    /// the alert is due, and when the next alert of its series (a recurring alert) is due. `None` if the
    /// alert has neither time.
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

    /// Returns the entry for the list of messages in hand (dequeued and not finished). If this run is killed,
    /// the next run uses the entry to make the message visible again.
    pub(crate) fn in_hand_entry(&self) -> InHand {
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
        // The hash of no bytes is the offset basis of the algorithm.
        assert_eq!(fnv_1a(&[]), 0xCBF2_9CE4_8422_2325);
        let key = LaneKey(fnv_1a(&["https://smba.trafficmanager.net/amer/", "a:1"]));
        assert_eq!(key.name(), "9a0db8467b23624b", "stored names must never change");
        assert_eq!(LaneKey::named(&key.name()), Some(key));
        assert_eq!(LaneKey::named("x"), None);
        assert_ne!(fnv_1a(&["a", "b"]), fnv_1a(&["ab", ""]));
    }
}
