//! Lanes: the messages of one conversation, in order, one at a time, and not too fast.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bot_framework::ConversationReference;
use envelope::{Envelope, SealState, mark_name};
use storage_queue::QueueMessage;

use crate::custody::Taken;
use crate::hold::{Age, Change, Hold, Place};
use crate::limits::Limits;

/// What keeps messages in order together: the conversation, at its Connector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneKey {
    service_url: String,
    conversation_id: String,
}

impl LaneKey {
    pub(crate) fn of(address: &ConversationReference) -> Self {
        Self { service_url: address.service_url.clone(), conversation_id: address.conversation.id.clone() }
    }

    /// A short name. Two conversations that share one wait for each other sometimes, no more.
    pub(crate) fn name(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// So few lanes are not worth looking over.
const LOOKED_OVER_ABOVE: usize = 64;

/// What shares a rate limit: the channel, and the tenant in it.
type TenantKey = (String, String);

/// A message that this run holds, opened.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) message: QueueMessage,
    pub(crate) envelope: Envelope,
    pub(crate) seal: SealState,
    /// When it was leased, at the latest, on the monotonic clock.
    pub(crate) leased_at: Duration,
    /// Whether others wait for it.
    pub(crate) in_line: bool,
}

impl Held {
    pub(crate) fn age(&self) -> Age {
        Age(self.message.insertion_time.timestamp(), self.envelope.enqueued_at.timestamp_millis())
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.message.id.as_str(), self.age())
    }

    pub(crate) fn lane(&self) -> LaneKey {
        LaneKey::of(&self.envelope.address)
    }

    /// What other runs are told of it.
    pub(crate) fn taken(&self) -> Taken {
        let QueueMessage { id, pop_receipt, .. } = &self.message;
        Taken { id: id.clone(), receipt: pop_receipt.clone(), lane: self.lane().name(), age: self.age() }
    }

    /// Names the alert in what runs remember of what was sent.
    pub(crate) fn mark_name(&self) -> String {
        mark_name(&self.envelope.id, self.seal)
    }
}

/// Puts a message where it belongs by its age.
fn insert(queue: &mut VecDeque<Held>, held: Held) {
    let age = held.age();
    queue.insert(queue.partition_point(|other| other.age() <= age), held);
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Held>,
    /// To be pushed behind a message that has to wait, in this order.
    behind: VecDeque<Held>,
    /// One message of it is being worked on, or those that wait are being renewed.
    busy: bool,
    /// Some are being pushed behind.
    pushing: bool,
    /// Not before this moment: pacing.
    next_start: Duration,
    hold: Hold,
    /// What waits and what is being worked on.
    here: BTreeSet<String>,
}

impl Lane {
    /// Whether nothing is lost by forgetting it.
    fn is_idle(&self, now: Duration) -> bool {
        let is_empty = self.waiting.is_empty() && self.behind.is_empty();
        is_empty && !self.busy && !self.pushing && self.next_start <= now && !self.hold.is_live(now)
    }

    fn holds_back(&self, place: &Place, now: Duration) -> bool {
        // While some are being pushed behind, the line is not complete.
        if self.pushing || !self.behind.is_empty() {
            return !(self.hold.is_live(now) && self.hold.is_first(place));
        }
        self.hold.holds_back(place, &self.here, now)
    }
}

/// All lanes of a run. Moments are on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<LaneKey, Lane>,
    tenants: BTreeMap<TenantKey, Duration>,
    /// Messages in every lane's `behind`: mostly none.
    behind: usize,
    /// How many lanes, or tenants, there are when those are looked for that can be forgotten.
    forget_above: usize,
}

/// Messages that go behind one that has to wait.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) key: LaneKey,
    pub(crate) messages: VecDeque<Held>,
    pub(crate) hold: Hold,
}

impl Lanes {
    /// Puts a message into its lane, by its age. `told` is what runs have told about lanes, by their names.
    pub(crate) fn push(&mut self, held: Held, now: Duration, told: &BTreeMap<String, Hold>) {
        let key = held.lane();
        let told = if told.is_empty() { None } else { told.get(&key.name()) };
        let lane = self.lanes.entry(key).or_default();
        // While this run is pushing, it knows better.
        if !lane.pushing {
            match told {
                Some(told) => lane.hold.clone_from(told),
                None if lane.hold.elsewhere => lane.hold = Hold::default(),
                None => {}
            }
        }
        let place = held.place();
        if lane.holds_back(&place, now) {
            insert(&mut lane.behind, held);
            self.behind += 1;
        } else {
            lane.here.insert(place.id);
            insert(&mut lane.waiting, held);
        }
    }

    /// Forgets lanes, and tenants, in which nothing happens: however long the queue is, a run remembers no more than what it
    /// holds, and whom it must not call yet.
    pub(crate) fn forget_idle(&mut self, now: Duration) {
        if self.lanes.len().max(self.tenants.len()) <= self.forget_above {
            return;
        }
        // Not by `retain`, which would be the only one to remove from such maps: 12 KB of code.
        for (key, lane) in std::mem::take(&mut self.lanes) {
            if !lane.is_idle(now) {
                self.lanes.insert(key, lane);
            }
        }
        for (tenant, next_start) in std::mem::take(&mut self.tenants) {
            if next_start > now {
                self.tenants.insert(tenant, next_start);
            }
        }
        self.forget_above = LOOKED_OVER_ABOVE + 2 * self.lanes.len().max(self.tenants.len());
    }

    /// How many this run holds and does not work on.
    pub(crate) fn waiting(&self) -> usize {
        self.behind + self.lanes.values().map(|lane| lane.waiting.len()).sum::<usize>()
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
        let Some(mut held) = lane.waiting.pop_front() else { return Err(None) };
        held.in_line = lane.hold.holds(held.message.id.as_str());
        lane.busy = true;
        lane.next_start = now + limits.conversation_gap;
        if !limits.tenant_gap.is_zero() {
            let tenant = self.tenants.entry(tenant_of(&held.envelope)).or_default();
            *tenant = now + limits.tenant_gap;
        }
        Ok((key, held))
    }

    /// The lane's message is done with: the next may start.
    pub(crate) fn done(&mut self, key: &LaneKey, message: &str) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.busy = false;
            lane.here.remove(message);
            if lane.hold.holds(message) {
                lane.hold.apply(&Change::Settled(vec![message.to_owned()]));
            }
        }
    }

    /// Holds a lane until this message of it, which is hidden until then, has been seen again; what waits goes behind
    /// it.
    pub(crate) fn hold(&mut self, key: &LaneKey, front: Place, until: Duration) -> Option<Change> {
        let lane = self.lanes.get_mut(key)?;
        lane.busy = false;
        lane.here.clear();
        self.behind += lane.waiting.len();
        for held in std::mem::take(&mut lane.waiting) {
            insert(&mut lane.behind, held);
        }
        let change = Change::Behind { front, next: lane.behind.iter().map(Held::place).collect(), until };
        lane.hold.apply(&change);
        Some(change)
    }

    /// Takes out what goes behind a message that has to wait, one lane at a time.
    pub(crate) fn next_push(&mut self) -> Option<Push> {
        if self.behind == 0 {
            return None;
        }
        let (key, lane) = self.lanes.iter_mut().find(|(_, lane)| !lane.pushing && !lane.behind.is_empty())?;
        self.behind -= lane.behind.len();
        lane.pushing = true;
        Some(Push { key: key.clone(), messages: std::mem::take(&mut lane.behind), hold: lane.hold.clone() })
    }

    /// What [`Lanes::next_push`] gave out is hidden, or given up.
    pub(crate) fn pushed<'c>(&mut self, key: &LaneKey, changes: impl Iterator<Item = &'c Change>) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.pushing = false;
            for change in changes {
                lane.hold.apply(change);
            }
        }
    }

    /// When the next lease has to be renewed that is not being renewed already.
    pub(crate) fn next_renewal(&self, limits: &Limits) -> Option<Duration> {
        let idle = self.lanes.values().filter(|lane| !lane.busy);
        let leased = idle.flat_map(|lane| lane.waiting.iter().map(|held| held.leased_at));
        leased.min().map(|leased_at| leased_at + limits.lease / 2)
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

    /// Takes out what waits in a lane that nobody works on: what becomes of the message in front decides about it.
    pub(crate) fn take_idle(&mut self) -> Option<VecDeque<Held>> {
        let lane = self.lanes.values_mut().find(|lane| !lane.busy && !lane.waiting.is_empty())?;
        lane.here.clear();
        Some(std::mem::take(&mut lane.waiting))
    }

    /// How long what waits takes at least, by the pace that is kept.
    pub(crate) fn time_needed(&self, limits: &Limits) -> Duration {
        let mut tenants: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        let mut longest = 0;
        for lane in self.lanes.values() {
            longest = longest.max(lane.waiting.len());
            for Held { envelope, .. } in &lane.waiting {
                let tenant = envelope.address.conversation.tenant_id().unwrap_or_default();
                *tenants.entry((&envelope.address.channel_id, tenant)).or_default() += 1;
            }
        }
        let by_lane = limits.conversation_gap * u32::try_from(longest).unwrap_or(u32::MAX);
        let by_tenant = limits.tenant_gap * tenants.into_values().max().unwrap_or_default();
        by_lane.max(by_tenant)
    }
}

fn tenant_of(envelope: &Envelope) -> TenantKey {
    let tenant = envelope.address.conversation.tenant_id().unwrap_or_default();
    (envelope.address.channel_id.clone(), tenant.to_owned())
}
