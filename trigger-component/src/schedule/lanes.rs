//! Lanes: each lane holds the messages of one conversation. The run sends the messages of a lane in order,
//! one at a time. The run also keeps the pace: the minimum time between the starts of two messages. The
//! *line* of a lane is the waiting line of the conversation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use envelope::Delivery;

use super::leased::{LaneKey, Leased, TenantKey};
use super::line::{Line, Place};
use super::pace::NotBefore;
use crate::limits::Limits;

/// Before the run has finished the first message of a conversation, it assumes that a message takes this many
/// times the minimum gap between two messages (`conversation_gap`). The estimate is high, so that the run
/// does not fetch too many messages of a slow conversation.
const SLOW: u32 = 4;

#[derive(Debug)]
struct Lane {
    key: LaneKey,
    /// The messages that are not started yet, the oldest first.
    waiting: VecDeque<Leased>,
    /// Whether the run works on a message of the lane, or puts messages of the lane back.
    busy: bool,
    /// The next message starts at this moment at the earliest, because of the pace.
    next_start: Duration,
    /// The start of the last message.
    began_at: Duration,
    /// The estimate of how long a message of the lane takes; `None` until the run has finished the first
    /// message.
    took: Option<Duration>,
    line: Line,
}

impl Lane {
    /// Returns how long the lane needs for each message: the estimate, but at least the gap between two
    /// messages (`conversation_gap`). If the lane has no estimate yet, returns this gap, multiplied by
    /// `assumed_gaps`.
    fn pace(&self, limits: &Limits, assumed_gaps: u32) -> Duration {
        let gap = limits.conversation_gap;
        self.took.map_or(gap * assumed_gaps, |took| took.max(gap))
    }

    /// Takes out the messages that have to wait for an older message. The older message is in the line, but
    /// not in the lane: it is hidden, or this run has not dequeued it.
    fn take_blocked(&mut self, now: Duration) -> VecDeque<Leased> {
        let mut blocked = VecDeque::new();
        if self.busy || !self.line.is_live(now) {
            return blocked;
        }
        loop {
            // If a message is taken out, it is no longer in the lane. Then younger messages perhaps have to
            // wait for this message, so the check is repeated.
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

/// A message that the run has to start now.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) leased: Leased,
    /// The line without this message, to be stored when the message is finished; `None` if the message is not
    /// in the line.
    pub(crate) line_after: Option<Line>,
}

/// The first message of a waiting line, which has to be hidden before the others.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) leased: Box<Leased>,
    /// How long the message has to be hidden.
    pub(crate) after: Duration,
    /// The counts of attempts, to be stored in the message.
    pub(crate) delivery: Delivery,
}

/// The messages of one conversation that the run has to hide, in order: first `front`, if there is a front
/// message, then `behind`.
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
    /// The lanes that have messages, in the order in which the run has made them. They are a list and not a
    /// map, because a run has at most some dozens of lanes at a time, even if the queue is long.
    lanes: Vec<Lane>,
    /// For lanes that have no messages now: the moments before which their next message must not start.
    lane_starts: NotBefore<LaneKey>,
    /// For each channel and tenant: the moment before which the next message must not start.
    tenant_starts: NotBefore<TenantKey>,
    /// The lines of lanes that have no messages now.
    lines: BTreeMap<LaneKey, Line>,
    /// The estimate of how long a message takes, from the lane that became empty last.
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

    /// Returns the line of a conversation. If the conversation has no line, makes an empty line.
    pub(crate) fn line(&mut self, key: &LaneKey) -> &mut Line {
        if let Some(index) = self.lanes.iter().position(|lane| lane.key == *key) {
            return &mut self.lanes[index].line;
        }
        self.lines.entry(*key).or_default()
    }

    /// Whether this run knows the conversation's line, so that the run need not read the line.
    pub(crate) fn knows(&self, key: &LaneKey) -> bool {
        self.lines.contains_key(key) || self.lanes.iter().any(|lane| lane.key == *key)
    }

    /// Puts a message into its lane, after the messages that are at least as old.
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

    /// Removes a lane that has no messages, and keeps its next start and its line.
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

    /// Returns how many messages in the lanes are not started.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }

    /// Takes out the messages of one lane that have to wait for an older message; `None` if no message has to
    /// wait. The older message is hidden, or this run has not dequeued it.
    pub(crate) fn next_put_back(&mut self, now: Duration) -> Option<PutBack> {
        self.lanes.iter_mut().find_map(|lane| {
            let behind = lane.take_blocked(now);
            (!behind.is_empty()).then(|| {
                lane.busy = true;
                PutBack { key: lane.key, front: None, behind, line: lane.line.clone() }
            })
        })
    }

    /// Takes the message that has been due for the longest time. If no message is due, the error is the
    /// moment at which the next message is due, or `None` if no message waits. Before this call, the caller
    /// takes out the messages that have to wait, with [`Lanes::next_put_back`].
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

    /// Records that the lane's message is finished, so that the next message can start.
    pub(crate) fn done(&mut self, key: &LaneKey, message: &str, now: Duration) {
        if let Some(lane) = self.lane(key) {
            lane.busy = false;
            lane.line.remove(message);
            // `took` is the estimate for the next message. A slow message raises the estimate at once, and a
            // fast message lowers it only a little.
            let last = now.saturating_sub(lane.began_at);
            lane.took = Some(lane.took.map_or(last, |took| last.max((took * 3 + last) / 4)));
        }
        self.remove_if_idle(key, now);
    }

    /// Takes back a message that was started and not sent.
    pub(crate) fn give_back(&mut self, leased: Leased) {
        let Some(lane) = self.lane(&leased.lane) else { return self.push(leased) };
        lane.busy = false;
        // The message was the first one of the lane, so it comes before messages of the same age.
        let at = lane.waiting.partition_point(|other| other.age() < leased.age());
        lane.waiting.insert(at, leased);
    }

    /// Records that the message `front` has to wait. Takes out the other messages of its lane, because they
    /// have to be hidden behind `front`.
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

    /// Records that the run has hidden the messages that it took out, or has moved them to the poison queue.
    /// `line` is the lane's line now.
    pub(crate) fn put_back_done(&mut self, key: &LaneKey, line: Line, now: Duration) {
        if let Some(lane) = self.lane(key) {
            (lane.busy, lane.line) = (false, line);
        }
        self.remove_if_idle(key, now);
    }

    /// Takes out the messages of one lane that is not busy; `None` if every lane with messages is busy. The
    /// messages of a busy lane stay, because the run still works on a message of this lane. If that message
    /// has to wait, the run has to hide the others behind it.
    pub(crate) fn take_idle(&mut self) -> Option<PutBack> {
        let lane = self.lanes.iter_mut().find(|lane| !lane.busy && !lane.waiting.is_empty())?;
        lane.busy = true;
        let behind = std::mem::take(&mut lane.waiting);
        Some(PutBack { key: lane.key, front: None, behind, line: lane.line.clone() })
    }

    /// Returns for how many more messages the run has time. `left` is the time that the run has. Some
    /// dequeued messages are not in their lanes yet, because the run first has to record them. The caller
    /// knows that no conversation has more than `coming` of these messages.
    pub(crate) fn room(&self, left: Duration, coming: u32, limits: &Limits) -> usize {
        let (mut total, mut messages) = (Duration::ZERO, 0);
        for lane in &self.lanes {
            let here = count(lane) + u32::from(lane.busy);
            total += lane.pace(limits, 1) * here;
            messages += here;
        }
        // Further messages probably take as long as the average message in the lanes.
        let each = total.checked_div(messages).unwrap_or(limits.conversation_gap.max(self.last_took));
        let needed = self.time_needed(limits) + limits.conversation_gap * SLOW * coming;
        let room = left.saturating_sub(needed).as_millis() / each.as_millis().max(1);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Returns the minimum time that the messages in the lanes take. The run sends the messages of a lane one
    /// after the other, and keeps the pace of each tenant.
    fn time_needed(&self, limits: &Limits) -> Duration {
        let mut tenants: Vec<(TenantKey, u32)> = Vec::new();
        let mut longest = Duration::ZERO;
        for lane in &self.lanes {
            longest = longest.max(lane.pace(limits, SLOW) * count(lane));
            // All messages of a conversation have the same tenant.
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

/// Returns how many messages of a lane are not started.
fn count(lane: &Lane) -> u32 {
    u32::try_from(lane.waiting.len()).unwrap_or(u32::MAX)
}
