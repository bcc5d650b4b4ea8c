//! Lanes: the messages of one conversation, in order, one at a time, and not too fast.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bot_framework::ConversationReference;
use envelope::{Envelope, SealState, mark_name};
use storage_queue::QueueMessage;

use crate::limits::Limits;

/// What keeps messages in order together: the conversation, at its Connector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneKey {
    service_url: String,
    conversation_id: String,
}

impl LaneKey {
    pub(crate) fn of(address: &ConversationReference) -> Self {
        Self { service_url: address.service_url.clone(), conversation_id: address.conversation.id.clone() }
    }
}

/// What shares a rate limit: the channel, and the tenant in it.
type TenantKey = (String, String);

/// A message that this run holds, opened.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) message: QueueMessage,
    pub(crate) envelope: Envelope,
    pub(crate) seal: SealState,
    /// When it was leased, on the monotonic clock.
    pub(crate) leased_at: Duration,
}

impl Held {
    /// Names the alert in what runs remember of what was sent.
    pub(crate) fn mark_name(&self) -> String {
        mark_name(&self.envelope.id, self.seal)
    }
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Held>,
    /// One message of it is being worked on.
    busy: bool,
    /// Not before this moment: pacing.
    next_start: Duration,
    /// Until this moment its messages are pushed back behind one that has to wait.
    blocked_until: Duration,
}

/// All lanes of a run. Moments are on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<LaneKey, Lane>,
    tenants: BTreeMap<TenantKey, Duration>,
}

/// Where a message went that was pushed into its lane.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// It waits for its turn.
    Waiting,
    /// Its conversation has to wait that long: hide it.
    Blocked(Box<Held>, Duration),
}

impl Lanes {
    /// Puts a message behind the others of its conversation.
    pub(crate) fn push(&mut self, held: Held, now: Duration) -> Pushed {
        let lane = self.lanes.entry(LaneKey::of(&held.envelope.address)).or_default();
        if lane.blocked_until > now {
            return Pushed::Blocked(Box::new(held), lane.blocked_until - now);
        }
        lane.waiting.push_back(held);
        Pushed::Waiting
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.waiting.len()).sum()
    }

    /// Takes the next message whose turn it is, the longest due first; or says when the next one is due.
    pub(crate) fn start(
        &mut self,
        now: Duration,
        limits: &Limits,
    ) -> Result<(LaneKey, Held), Option<Duration>> {
        let due = |lane: &Lane| {
            let next = lane.waiting.front().filter(|_| !lane.busy)?;
            let tenant = self.tenants.get(&tenant_of(&next.envelope)).copied().unwrap_or_default();
            Some(lane.next_start.max(tenant))
        };
        let first = self.lanes.iter().filter_map(|(key, lane)| Some((due(lane)?, key))).min();
        let Some((due, key)) = first else { return Err(None) };
        if due > now {
            return Err(Some(due));
        }
        let key = key.clone();
        let Some(lane) = self.lanes.get_mut(&key) else { return Err(None) };
        let Some(held) = lane.waiting.pop_front() else { return Err(None) };
        if lane.waiting.is_empty() {
            // A lane outlives its messages, for its pace; the room that they took would add up over the lanes.
            lane.waiting = VecDeque::new();
        }
        lane.busy = true;
        lane.next_start = now + limits.conversation_gap;
        if !limits.tenant_gap.is_zero() {
            let tenant = self.tenants.entry(tenant_of(&held.envelope)).or_default();
            *tenant = now + limits.tenant_gap;
        }
        Ok((key, held))
    }

    /// The lane's message is done with: the next may start.
    pub(crate) fn done(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.busy = false;
        }
    }

    /// Blocks a lane until a moment, and takes out what waits in it: that goes behind the one that has to wait.
    pub(crate) fn block(&mut self, key: &LaneKey, until: Duration) -> VecDeque<Held> {
        let Some(lane) = self.lanes.get_mut(key) else { return VecDeque::new() };
        lane.blocked_until = lane.blocked_until.max(until);
        std::mem::take(&mut lane.waiting)
    }

    /// Takes out what was leased before a moment, of the lanes that nobody works on: to be renewed.
    pub(crate) fn take_leased_before(&mut self, moment: Duration) -> Option<(LaneKey, VecDeque<Held>)> {
        let is_due = |lane: &Lane| !lane.busy && lane.waiting.iter().any(|held| held.leased_at <= moment);
        let (key, lane) = self.lanes.iter_mut().find(|(_, lane)| is_due(lane))?;
        lane.busy = true;
        Some((key.clone(), std::mem::take(&mut lane.waiting)))
    }

    /// Puts messages back to the front of their lane.
    pub(crate) fn put_back(&mut self, key: &LaneKey, held: Vec<Held>) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.busy = false;
            for held in held.into_iter().rev() {
                lane.waiting.push_front(held);
            }
        }
    }

    /// Takes out everything that waits.
    pub(crate) fn take_all(&mut self) -> Vec<Held> {
        self.lanes.values_mut().flat_map(|lane| std::mem::take(&mut lane.waiting)).collect()
    }
}

fn tenant_of(envelope: &Envelope) -> TenantKey {
    let tenant = envelope.address.conversation.tenant_id().unwrap_or_default();
    (envelope.address.channel_id.clone(), tenant.to_owned())
}
