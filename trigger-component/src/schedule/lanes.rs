//! Lanes: each lane holds the messages of one conversation. The run sends them in order, one at a time, and
//! not faster than the pace.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use envelope::Delivery;

use super::leased::{LaneKey, Leased, TenantKey};
use super::line::{Line, Place};
use super::pace::NotBefore;
use crate::limits::Limits;

/// Until the first message of a conversation has finished, the run expects the conversation to be this many
/// times slower than the pace. So the run does not fetch a second batch for a conversation that may be slow.
const SLOW: u32 = 4;

#[derive(Debug)]
struct Lane {
    key: LaneKey,
    /// The messages that are not started yet, the oldest first.
    waiting: VecDeque<Leased>,
    /// Whether the run works on a message of the lane, or puts messages of the lane back.
    busy: bool,
    /// The next message starts no earlier than this, because of the pace.
    next_start: Duration,
    /// When the last message started.
    began_at: Duration,
    /// How long a message takes, estimated from the messages that this run has finished in the lane; `None`
    /// before the first one.
    took: Option<Duration>,
    line: Line,
}

impl Lane {
    /// How long the lane needs for each message. Before the first one has finished, the guess is `unknown`
    /// times the gap.
    fn pace(&self, limits: &Limits, unknown: u32) -> Duration {
        let gap = limits.conversation_gap;
        self.took.map_or(gap * unknown, |took| took.max(gap))
    }

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
    /// How long a message took in the lane that became empty last.
    last_took: Duration,
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
            let (began_at, took) = (Duration::ZERO, None);
            let (waiting, busy) = (VecDeque::new(), false);
            self.lanes.push(Lane { key, waiting, busy, next_start, began_at, took, line });
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
        let Lane { key, next_start, line, took, .. } = self.lanes.remove(index);
        self.last_took = took.unwrap_or(self.last_took);
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
        lane.began_at = now;
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
            // A slow message raises the estimate at once, and a fast message lowers it only a little.
            let last = now.saturating_sub(lane.began_at);
            lane.took = Some(lane.took.map_or(last, |took| last.max((took * 3 + last) / 4)));
        }
        self.remove_if_idle(key, now);
    }

    /// Takes back a message that was started and not sent.
    pub(crate) fn give_back(&mut self, leased: Leased) {
        let Some(lane) = self.lane(&leased.lane) else { return self.push(leased) };
        lane.busy = false;
        // The message was the first one, so it comes before messages of the same age.
        let at = lane.waiting.partition_point(|other| other.age() < leased.age());
        lane.waiting.insert(at, leased);
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
    pub(crate) fn take_idle(&mut self) -> Option<PutBack> {
        let lane = self.lanes.iter_mut().find(|lane| !lane.busy && !lane.waiting.is_empty())?;
        lane.busy = true;
        let behind = std::mem::take(&mut lane.waiting);
        Some(PutBack { key: lane.key, front: None, behind, line: lane.line.clone() })
    }

    /// Returns how many more messages the run has time for, in the time `left`. `coming`: the most messages
    /// of one conversation that are not in its lane yet.
    pub(crate) fn room(&self, left: Duration, coming: u32, limits: &Limits) -> usize {
        let (mut total, mut messages) = (Duration::ZERO, 0);
        for lane in &self.lanes {
            let here = count(lane) + u32::from(lane.busy);
            total += lane.pace(limits, 1) * here;
            messages += here;
        }
        // Further messages will probably take as long as those in hand do on average.
        let each = total.checked_div(messages).unwrap_or(limits.conversation_gap.max(self.last_took));
        let needed = self.time_needed(limits) + limits.conversation_gap * SLOW * coming;
        let room = left.saturating_sub(needed).as_millis() / each.as_millis().max(1);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Returns how long the waiting messages take at least: because of the pace, and because each waits for
    /// the one before.
    fn time_needed(&self, limits: &Limits) -> Duration {
        let mut tenants: Vec<(TenantKey, u32)> = Vec::new();
        let mut longest = Duration::ZERO;
        for lane in &self.lanes {
            longest = longest.max(lane.pace(limits, SLOW) * count(lane));
            // All messages of a conversation are of one tenant.
            let Some(first) = lane.waiting.front() else { continue };
            match tenants.iter_mut().find(|(tenant, _)| *tenant == first.tenant) {
                Some((_, messages)) => *messages = messages.saturating_add(count(lane)),
                None => tenants.push((first.tenant, count(lane))),
            }
        }
        let most = tenants.into_iter().map(|(_, messages)| messages).max().unwrap_or_default();
        longest.max(limits.tenant_gap * most)
    }
}

/// How many messages wait in a lane.
fn count(lane: &Lane) -> u32 {
    u32::try_from(lane.waiting.len()).unwrap_or(u32::MAX)
}
