//! A message that a run holds, and what it shares with others.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bot_framework::ConversationReference;
use envelope::{Envelope, SealState, mark_name};
use storage_queue::QueueMessage;

use crate::custody::Taken;
use crate::hold::{Age, Place};

/// What keeps messages in order together: the conversation, at its Connector. A hash: two conversations that share one wait
/// for each other sometimes, no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneKey(u64);

impl LaneKey {
    pub(crate) fn of(address: &ConversationReference) -> Self {
        Self(hash_of((&address.service_url, &address.conversation.id)))
    }

    /// The lane's name in the store.
    pub(crate) fn name(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// What shares a rate limit: the channel, and the tenant in it. A hash, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TenantKey(u64);

impl TenantKey {
    pub(crate) fn of(address: &ConversationReference) -> Self {
        Self(hash_of((&address.channel_id, address.conversation.tenant_id().unwrap_or_default())))
    }
}

/// The same in every run, for ever: names in the store come from it.
pub(crate) fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A message that this run holds, opened.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) message: QueueMessage,
    pub(crate) envelope: Envelope,
    pub(crate) seal: SealState,
    pub(crate) lane: LaneKey,
    pub(crate) tenant: TenantKey,
    /// When it was leased, at the latest, on the monotonic clock.
    pub(crate) leased_at: Duration,
    /// Whether others wait for it.
    pub(crate) in_line: bool,
    /// Whether key-value knows something of it.
    pub(crate) is_remembered: bool,
}

impl Held {
    pub(crate) fn new(
        message: QueueMessage,
        envelope: Envelope,
        seal: SealState,
        leased_at: Duration,
    ) -> Self {
        let (lane, tenant) = (LaneKey::of(&envelope.address), TenantKey::of(&envelope.address));
        Self { message, envelope, seal, lane, tenant, leased_at, in_line: false, is_remembered: false }
    }

    pub(crate) fn age(&self) -> Age {
        Age(self.message.insertion_time.timestamp(), self.envelope.enqueued_at.timestamp_millis())
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.message.id.as_str(), self.age())
    }

    /// What other runs are told of it.
    pub(crate) fn taken(&self) -> Taken {
        let QueueMessage { id, pop_receipt, .. } = &self.message;
        Taken { id: id.clone(), receipt: pop_receipt.clone(), lane: self.lane.name(), age: self.age() }
    }

    /// Names the alert in what runs remember of what was sent.
    pub(crate) fn mark_name(&self) -> String {
        mark_name(&self.envelope.id, self.seal)
    }
}
