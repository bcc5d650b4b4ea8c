//! Lanes: each holds the messages of one conversation, which the run sends in order, one at a time, at the
//! pace.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use envelope::Delivery;

use super::leased::{LaneKey, Leased, TenantKey};
use super::line::{Line, Place};
use super::pace::NotBefore;
use crate::limits::Limits;

#[derive(Debug)]
struct Lane {
    key: LaneKey,
    /// The messages that are not started yet, the oldest first.
    waiting: VecDeque<Leased>,
    /// Whether a message of the lane is being worked on, or messages are being put back.
    busy: bool,
    /// The next message starts no earlier than this, because of the pace.
    next_start: Duration,
    line: Line,
}

impl Lane {
    /// Takes out the messages that have to wait for a message that is missing.
    fn take_blocked(&mut self, now: Duration) -> VecDeque<Leased> {
        let mut blocked = VecDeque::new();
        if self.busy || !self.line.is_live(now) {
            return blocked;
        }
        loop {
            // A message that is taken out is missing for the younger ones, so the check is repeated.
            let here: BTreeSet<String> = self.waiting.iter().map(|leased| leased.id().to_owned()).collect();
            let (waiting, free): (VecDeque<_>, _) = std::mem::take(&mut self.waiting)
                .into_iter()
                .partition(|leased| self.line.must_wait(&leased.place(), &here, now));
            self.waiting = free;
            if waiting.is_empty() {
                return blocked;
            }
            blocked.extend(waiting);
            blocked.make_contiguous().sort_by_key(Leased::age);
        }
    }
}

/// A message that may start.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) leased: Leased,
    /// The line as it will be when the message is finished; `None` if no other message waits for it.
    pub(crate) line_after: Option<Line>,
}

/// The message that the other messages of its conversation wait for.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) leased: Box<Leased>,
    /// How long the message is to be hidden.
    pub(crate) after: Duration,
    /// The counts to be stored in the message.
    pub(crate) delivery: Delivery,
}

/// Messages of one conversation that the run has to hide, in order.
#[derive(Debug)]
pub(crate) struct PutBack {
    pub(crate) key: LaneKey,
    pub(crate) front: Option<Front>,
    pub(crate) behind: VecDeque<Leased>,
    pub(crate) line: Line,
}

/// All lanes of a run. Moments are on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    /// The lanes that have messages, in the order of their first message. It is a list, because a run has at
    /// most some dozens of lanes at a time, however long the queue is.
    lanes: Vec<Lane>,
    /// The earliest starts of lanes that have no messages now.
    lane_starts: NotBefore<LaneKey>,
    tenant_starts: NotBefore<TenantKey>,
    /// The lines of lanes that have no messages now.
    lines: BTreeMap<LaneKey, Line>,
}

impl Lanes {
    /// Sets the line of a conversation.
    pub(crate) fn set_line(&mut self, key: LaneKey, line: Line) {
        match self.lane(&key) {
            Some(lane) => lane.line = line,
            None => _ = self.lines.insert(key, line),
        }
    }

    /// Returns the line of a conversation; an empty one if it has none.
    pub(crate) fn line(&mut self, key: &LaneKey) -> &mut Line {
        if let Some(index) = self.lanes.iter().position(|lane| lane.key == *key) {
            return &mut self.lanes[index].line;
        }
        self.lines.entry(*key).or_default()
    }

    /// Whether this run has read the conversation's line.
    pub(crate) fn knows(&self, key: &LaneKey) -> bool {
        self.lines.contains_key(key) || self.lanes.iter().any(|lane| lane.key == *key)
    }

    /// Puts a message into its lane, by its age.
    pub(crate) fn push(&mut self, leased: Leased) {
        let key = leased.lane;
        if self.lane(&key).is_none() {
            let line = self.lines.remove(&key).unwrap_or_default();
            let next_start = self.lane_starts.until(&key);
            self.lanes.push(Lane { key, waiting: VecDeque::new(), busy: false, next_start, line });
        }
        let Some(lane) = self.lane(&key) else { return };
        let age = leased.age();
        lane.waiting.insert(lane.waiting.partition_point(|other| other.age() <= age), leased);
    }

    fn lane(&mut self, key: &LaneKey) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.key == *key)
    }

    /// Removes a lane without messages, and keeps its earliest start and its line.
    fn remove_if_idle(&mut self, key: &LaneKey, now: Duration) {
        let is_idle = |lane: &Lane| lane.key == *key && !lane.busy && lane.waiting.is_empty();
        let Some(index) = self.lanes.iter().position(is_idle) else { return };
        let Lane { key, next_start, line, .. } = self.lanes.remove(index);
        if line.is_live(now) {
            self.lines.insert(key, line);
        }
        if next_start > now {
            self.lane_starts.set(key, next_start, now);
        }
    }

    /// Returns how many leased messages are not started.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }

    /// Takes out the messages of one lane that have to wait for a missing message; `None` if no lane has any.
    pub(crate) fn next_put_back(&mut self, now: Duration) -> Option<PutBack> {
        self.lanes.iter_mut().find_map(|lane| {
            let behind = lane.take_blocked(now);
            (!behind.is_empty()).then(|| {
                lane.busy = true;
                PutBack { key: lane.key, front: None, behind, line: lane.line.clone() }
            })
        })
    }

    /// Takes the next message that may start, the longest due first. If none is due, the error is the moment
    /// at which the next one is due. The caller has taken out blocked messages with [`Lanes::next_put_back`]
    /// before.
    pub(crate) fn start(&mut self, now: Duration, limits: &Limits) -> Result<Start, Option<Duration>> {
        let due = |lane: &Lane| {
            let next = lane.waiting.front().filter(|_| !lane.busy)?;
            Some(lane.next_start.max(self.tenant_starts.until(&next.tenant)))
        };
        let first = self.lanes.iter().enumerate().filter_map(|(index, lane)| Some((due(lane)?, index))).min();
        let Some((due, index)) = first else { return Err(None) };
        if due > now {
            return Err(Some(due));
        }
        let lane = &mut self.lanes[index];
        let Some(leased) = lane.waiting.pop_front() else { return Err(None) };
        lane.busy = true;
        lane.next_start = now + limits.conversation_gap;
        if !limits.tenant_gap.is_zero() {
            self.tenant_starts.set(leased.tenant, now + limits.tenant_gap * leased.calls(), now);
        }
        let line_after = lane.line.contains(leased.id()).then(|| {
            let mut line = lane.line.clone();
            line.remove(leased.id());
            line
        });
        Ok(Start { leased, line_after })
    }

    /// Records that the lane's message is finished, so that the next one may start.
    pub(crate) fn done(&mut self, key: &LaneKey, message: &str, now: Duration) {
        if let Some(lane) = self.lane(key) {
            lane.busy = false;
            lane.line.remove(message);
        }
        self.remove_if_idle(key, now);
    }

    /// Records that the lane's message has to wait, and takes out the lane's messages to be hidden behind it.
    pub(crate) fn wait(&mut self, front: Front, now: Duration) -> PutBack {
        let (key, place) = (front.leased.lane, front.leased.place());
        let until = now + front.after;
        let Some(lane) = self.lane(&key) else {
            let mut line = Line::default();
            line.wait_behind(&place, &[], until);
            return PutBack { key, front: Some(front), behind: VecDeque::new(), line };
        };
        let behind = std::mem::take(&mut lane.waiting);
        let next: Vec<Place> = behind.iter().map(Leased::place).collect();
        lane.line.wait_behind(&place, &next, until);
        PutBack { key, front: Some(front), behind, line: lane.line.clone() }
    }

    /// Records that the messages from [`Lanes::next_put_back`] or [`Lanes::wait`] are hidden, or moved to the
    /// poison queue. `line` is the lane's line now.
    pub(crate) fn put_back_done(&mut self, key: &LaneKey, line: Line, now: Duration) {
        if let Some(lane) = self.lane(key) {
            (lane.busy, lane.line) = (false, line);
        }
        self.remove_if_idle(key, now);
    }

    /// Takes out the waiting messages of one lane that is not busy. In a busy lane, the outcome of its
    /// current message decides whether the others have to be hidden behind it.
    pub(crate) fn take_idle(&mut self) -> Option<VecDeque<Leased>> {
        let lane = self.lanes.iter_mut().find(|lane| !lane.busy && !lane.waiting.is_empty())?;
        Some(std::mem::take(&mut lane.waiting))
    }

    /// Returns how long the waiting messages take at least, because of the pace.
    pub(crate) fn time_needed(&self, limits: &Limits) -> Duration {
        let mut tenants: Vec<(TenantKey, u32)> = Vec::new();
        let mut longest = 0;
        for lane in &self.lanes {
            longest = longest.max(lane.waiting.len());
            // All messages of a conversation are of one tenant.
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
