//! Lanes: the messages of one conversation, in order, one at a time, and not too fast.
//!
//! Lists, and not maps: a run has some dozens of lanes at a time, however long the queue is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::held::{Held, LaneKey, TenantKey};
use crate::hold::{Change, Hold, Place};
use crate::limits::Limits;

/// Puts a message where it belongs by its age.
fn insert(queue: &mut VecDeque<Held>, held: Held) {
    let age = held.age();
    queue.insert(queue.partition_point(|other| other.age() <= age), held);
}

#[derive(Debug)]
struct Lane {
    key: LaneKey,
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
    fn new(key: LaneKey, next_start: Duration) -> Self {
        Self {
            key,
            waiting: VecDeque::new(),
            behind: VecDeque::new(),
            busy: false,
            pushing: false,
            next_start,
            hold: Hold::default(),
            here: BTreeSet::new(),
        }
    }

    /// Whether it has nothing to do, and nothing to wait for but its pace.
    fn is_idle(&self, now: Duration) -> bool {
        let is_empty = self.waiting.is_empty() && self.behind.is_empty();
        is_empty && !self.busy && !self.pushing && !self.hold.is_live(now)
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
    /// In the order in which they came.
    lanes: Vec<Lane>,
    /// Lanes that were idle, and must not start before these moments.
    resting: Resting<LaneKey>,
    tenants: Resting<TenantKey>,
    /// Messages in every lane's `behind`: mostly none.
    behind: usize,
}

/// Who must not start before which moment.
#[derive(Debug)]
struct Resting<K>(Vec<(K, Duration)>);

impl<K> Default for Resting<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq> Resting<K> {
    /// The moment; long ago, if there is none.
    fn until(&self, key: &K) -> Duration {
        self.0.iter().find(|(other, _)| other == key).map(|(_, until)| *until).unwrap_or_default()
    }

    /// Sets it, and forgets whoever has rested.
    fn set(&mut self, key: K, until: Duration, now: Duration) {
        self.0.retain(|(other, until)| *until > now && *other != key);
        self.0.push((key, until));
    }
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
        let key = held.lane;
        let told = if told.is_empty() { None } else { told.get(&key.name()) };
        if self.lane(key).is_none() {
            self.lanes.push(Lane::new(key, self.resting.until(&key)));
        }
        let Some(lane) = self.lane(key) else { return };
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

    fn lane(&mut self, key: LaneKey) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.key == key)
    }

    /// Forgets a lane that is idle, but for its pace.
    fn forget_if_idle(&mut self, key: LaneKey, now: Duration) {
        let Some(index) = self.lanes.iter().position(|lane| lane.key == key && lane.is_idle(now)) else {
            return;
        };
        let next_start = self.lanes.remove(index).next_start;
        if next_start > now {
            self.resting.set(key, next_start, now);
        }
    }

    /// How many this run holds and does not work on.
    pub(crate) fn waiting(&self) -> usize {
        self.behind + self.lanes.iter().map(|lane| lane.waiting.len()).sum::<usize>()
    }

    /// Takes the next message whose turn it is, the longest due first; or says when the next one is due.
    pub(crate) fn start(
        &mut self,
        now: Duration,
        limits: &Limits,
    ) -> Result<(LaneKey, Held), Option<Duration>> {
        let due = |lane: &Lane| {
            let next = lane.waiting.front().filter(|_| !lane.busy)?;
            Some(lane.next_start.max(self.tenants.until(&next.tenant)))
        };
        let first = self.lanes.iter().enumerate().filter_map(|(index, lane)| Some((due(lane)?, index))).min();
        let Some((due, index)) = first else { return Err(None) };
        if due > now {
            return Err(Some(due));
        }
        let lane = &mut self.lanes[index];
        let Some(mut held) = lane.waiting.pop_front() else { return Err(None) };
        held.in_line = lane.hold.holds(held.message.id.as_str());
        lane.busy = true;
        lane.next_start = now + limits.conversation_gap;
        if !limits.tenant_gap.is_zero() {
            self.tenants.set(held.tenant, now + limits.tenant_gap, now);
        }
        Ok((held.lane, held))
    }

    /// The lane's message is done with: the next may start.
    pub(crate) fn done(&mut self, key: LaneKey, message: &str, now: Duration) {
        if let Some(lane) = self.lane(key) {
            lane.busy = false;
            lane.here.remove(message);
            if lane.hold.holds(message) {
                lane.hold.apply(&Change::Settled(vec![message.to_owned()]));
            }
        }
        self.forget_if_idle(key, now);
    }

    /// Holds a lane until this message of it, which is hidden until then, has been seen again; what waits goes behind
    /// it.
    pub(crate) fn hold(&mut self, key: LaneKey, front: Place, until: Duration) -> Option<Change> {
        let lane = self.lane(key)?;
        lane.busy = false;
        lane.here.clear();
        let more_behind = lane.waiting.len();
        for held in std::mem::take(&mut lane.waiting) {
            insert(&mut lane.behind, held);
        }
        let change = Change::Behind { front, next: lane.behind.iter().map(Held::place).collect(), until };
        lane.hold.apply(&change);
        self.behind += more_behind;
        Some(change)
    }

    /// Takes out what goes behind a message that has to wait, one lane at a time.
    pub(crate) fn next_push(&mut self) -> Option<Push> {
        if self.behind == 0 {
            return None;
        }
        let lane = self.lanes.iter_mut().find(|lane| !lane.pushing && !lane.behind.is_empty())?;
        self.behind -= lane.behind.len();
        lane.pushing = true;
        Some(Push { key: lane.key, messages: std::mem::take(&mut lane.behind), hold: lane.hold.clone() })
    }

    /// What [`Lanes::next_push`] gave out is hidden, or given up.
    pub(crate) fn pushed<'c>(
        &mut self,
        key: LaneKey,
        changes: impl Iterator<Item = &'c Change>,
        now: Duration,
    ) {
        if let Some(lane) = self.lane(key) {
            lane.pushing = false;
            for change in changes {
                lane.hold.apply(change);
            }
        }
        self.forget_if_idle(key, now);
    }

    /// When the next lease has to be renewed that is not being renewed already.
    pub(crate) fn next_renewal(&self, limits: &Limits) -> Option<Duration> {
        let idle = self.lanes.iter().filter(|lane| !lane.busy);
        let leased = idle.flat_map(|lane| lane.waiting.iter().map(|held| held.leased_at));
        leased.min().map(|leased_at| leased_at + limits.lease / 2)
    }

    /// Takes out what was leased before a moment, of the lanes that nobody works on: to be renewed.
    pub(crate) fn take_leased_before(&mut self, moment: Duration) -> Option<(LaneKey, VecDeque<Held>)> {
        let is_due = |lane: &Lane| !lane.busy && lane.waiting.iter().any(|held| held.leased_at <= moment);
        let lane = self.lanes.iter_mut().find(|lane| is_due(lane))?;
        lane.busy = true;
        Some((lane.key, std::mem::take(&mut lane.waiting)))
    }

    /// Puts messages back to the front of their lane.
    pub(crate) fn put_back(&mut self, key: LaneKey, held: Vec<Held>) {
        if let Some(lane) = self.lane(key) {
            lane.busy = false;
            for held in held.into_iter().rev() {
                lane.waiting.push_front(held);
            }
        }
    }

    /// Takes out what waits in a lane that nobody works on: what becomes of the message in front decides about it.
    pub(crate) fn take_idle(&mut self) -> Option<VecDeque<Held>> {
        let lane = self.lanes.iter_mut().find(|lane| !lane.busy && !lane.waiting.is_empty())?;
        lane.here.clear();
        Some(std::mem::take(&mut lane.waiting))
    }

    /// How long what waits takes at least, by the pace that is kept.
    pub(crate) fn time_needed(&self, limits: &Limits) -> Duration {
        let mut tenants: Vec<(TenantKey, u32)> = Vec::new();
        let mut longest = 0;
        for lane in &self.lanes {
            longest = longest.max(lane.waiting.len());
            // They are of one tenant: of one conversation.
            let Some(first) = lane.waiting.front() else { continue };
            let waiting = u32::try_from(lane.waiting.len()).unwrap_or(u32::MAX);
            match tenants.iter_mut().find(|(tenant, _)| *tenant == first.tenant) {
                Some((_, count)) => *count = count.saturating_add(waiting),
                None => tenants.push((first.tenant, waiting)),
            }
        }
        let by_lane = limits.conversation_gap * u32::try_from(longest).unwrap_or(u32::MAX);
        let by_tenant =
            limits.tenant_gap * tenants.into_iter().map(|(_, count)| count).max().unwrap_or_default();
        by_lane.max(by_tenant)
    }
}
