//! A message that this run was handed, opened.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bot_framework::ConversationReference;
use envelope::{Envelope, SealState};
use platform::Clock;
use state::ledger::RecordKey;
use state::runs::InHand;
use storage_queue::QueueMessage;

use super::line::{Age, Place};
use crate::limits::MAX_HIDE;

/// What keeps messages in order together: the conversation, at its Connector. A hash: two conversations that share one wait for
/// each other sometimes, no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneKey(u64);

impl LaneKey {
    fn of(address: &ConversationReference) -> Self {
        Self(fnv_1a(&[&address.service_url, &address.conversation.id]))
    }

    /// A lane as a table names it; `None` if that is no name of ours.
    pub(crate) fn named(name: &str) -> Option<Self> {
        u64::from_str_radix(name, 16).ok().map(Self)
    }

    /// The lane's name in the table.
    pub(crate) fn name(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// FNV-1a, 64 bits (<https://datatracker.ietf.org/doc/draft-eastlake-fnv/>), with a byte between the parts that no text has:
/// names in the table come from it, so it must be the same for ever.
fn fnv_1a(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xFF]));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// What shares a rate limit: the channel, and the tenant in it. A hash that lives as long as the run.
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
    /// When it was leased, at the latest, on the monotonic clock.
    pub(crate) leased_at: Duration,
    /// The alert's record in the ledger.
    pub(crate) record: RecordKey,
}

impl Leased {
    /// `has_seal_key`: whether a message without a seal is one that somebody else wrote.
    pub(crate) fn new(
        message: QueueMessage,
        envelope: Envelope,
        seal: SealState,
        has_seal_key: bool,
        leased_at: Duration,
    ) -> Self {
        let (lane, tenant) = (LaneKey::of(&envelope.address), TenantKey::of(&envelope.address));
        let is_ours = seal == SealState::Valid || !has_seal_key;
        let record = RecordKey::of_message(envelope.id.as_str(), is_ours, message.insertion_time);
        Self { message, envelope, seal, lane, tenant, leased_at, record }
    }

    pub(crate) fn id(&self) -> &str {
        self.message.id.as_str()
    }

    /// Until the queue forgets it.
    pub(crate) fn until_deletion(&self, clock: &impl Clock) -> Duration {
        (self.message.expiration_time - clock.now()).to_std().unwrap_or_default().min(MAX_HIDE * 2)
    }

    pub(crate) fn age(&self) -> Age {
        Age(self.message.insertion_time.timestamp(), self.envelope.enqueued_at.timestamp_millis())
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.id(), self.age())
    }

    /// What the next run has to know, should this one be killed.
    pub(crate) fn in_hand(&self) -> InHand {
        let Age(put_at_seconds, written_at_milliseconds) = self.age();
        InHand {
            message: self.id().to_owned(),
            receipt: self.message.pop_receipt.as_str().to_owned(),
            lane: self.lane.name(),
            age: (put_at_seconds, written_at_milliseconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_have_the_same_names_for_ever() {
        // The first value is the algorithm's own test vector: the basis, before any byte.
        assert_eq!(fnv_1a(&[]), 0xCBF2_9CE4_8422_2325);
        let key = LaneKey(fnv_1a(&["https://smba.trafficmanager.net/amer/", "a:1"]));
        assert_eq!(key.name(), "9a0db8467b23624b", "names are stored: they must never change");
        assert_eq!(LaneKey::named(&key.name()), Some(key));
        assert_eq!(LaneKey::named("x"), None);
        assert_ne!(fnv_1a(&["a", "b"]), fnv_1a(&["ab", ""]));
    }
}
