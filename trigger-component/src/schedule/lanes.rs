//! Lanes: each lane holds the dequeued messages of one conversation. The run sends the messages of a lane in
//! order, one at a time. The run also keeps the *pace*: a minimum time between the starts of two messages,
//! for each conversation and for each tenant. The *line* of a lane is the *waiting line* of the conversation:
//! the list of its hidden messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use envelope::Delivery;

use super::leased::{LaneKey, Leased, TenantKey};
use super::line::{Line, Place};
use super::pace::NotBefore;
use crate::limits::Limits;

/// The factor for the first estimate of the time that a message takes. If the run has not finished a message
/// of the conversation yet, the estimate is this factor times the minimum gap between two messages
/// (`conversation_gap`). The factor is high, so that the run does not dequeue too many messages of a slow
/// conversation.
const ASSUMED_GAPS: u32 = 4;

#[derive(Debug)]
struct Lane {
    key: LaneKey,
    /// The messages that the run has not started yet, the oldest first.
    waiting: VecDeque<Leased>,
    /// Whether the run works on a message of the lane, hides messages of the lane, or makes them visible
    /// again.
    busy: bool,
    /// The earliest start of the next message, because of the pace.
    next_start: Duration,
    /// The start of the last message.
    began_at: Duration,
    /// The estimate of the time that a message of the lane takes; `None` until the run has finished the first
    /// message.
    took: Option<Duration>,
    line: Line,
}

impl Lane {
    /// Returns the time that the lane needs for each message. (The name `pace` does not mean the minimum time
    /// here.) The returned time is the estimate `took`, but at least `conversation_gap` (the gap between two
    /// messages). If the lane has no estimate yet, the time is `conversation_gap`, multiplied by
    /// `assumed_gaps`.
    fn pace(&self, limits: &Limits, assumed_gaps: u32) -> Duration {
        let gap = limits.conversation_gap;
        self.took.map_or(gap * assumed_gaps, |took| took.max(gap))
    }

    /// Takes messages out of the lane if they have to wait for an older message. The older message is in the
    /// line, but not in the lane: it is hidden, or this run has not dequeued it.
    fn take_blocked(&mut self, now: Duration) -> VecDeque<Leased> {
        let mut blocked = VecDeque::new();
        if self.busy || !self.line.is_live(now) {
            return blocked;
        }
        loop {
            // If the loop has taken out a message, younger messages perhaps have to wait for this message. So
            // the loop repeats the check until it takes out no message.
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
    /// The line without this message. The run stores this line when the message is finished. `None` if the
    /// message is not in the line.
    pub(crate) line_after: Option<Line>,
}

/// The *front message* of a waiting line. The other messages wait for the front message, so the run hides the
/// front message first.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) leased: Box<Leased>,
    /// How long the message has to be hidden.
    pub(crate) after: Duration,
    /// The counts of failed attempts. The run stores these counts in the message.
    pub(crate) delivery: Delivery,
}

/// Messages of one conversation that the run has to hide or to make visible again. The run begins with
/// `front`, if there is a front message, and then takes the messages of `behind` in order.
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
    /// The lanes that have messages, in the order in which the run has made the lanes. This is a list and not
    /// a map, because a run has at most some dozens of lanes at a time, even if the queue is long.
    lanes: Vec<Lane>,
    /// For each lane that has no messages now: the earliest start of its next message.
    lane_starts: NotBefore<LaneKey>,
    /// For each tenant on each channel: the earliest start of the next message.
    tenant_starts: NotBefore<TenantKey>,
    /// The lines of lanes that have no messages now.
    lines: BTreeMap<LaneKey, Line>,
    /// The last estimate `took` of a lane that has become empty.
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

    /// Whether this run knows the conversation's line. If so, the run need not read the line.
    pub(crate) fn knows(&self, key: &LaneKey) -> bool {
        self.lines.contains_key(key) || self.lanes.iter().any(|lane| lane.key == *key)
    }

    /// Puts a message into its lane, directly before the younger messages.
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

    /// Removes a lane that has no messages and is not busy. Keeps the next start and the line of this lane.
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

    /// Returns how many messages in the lanes the run has not started.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }

    /// Takes messages out of one lane if they have to wait for an older message; `None` if no message has to
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
    /// moment at which the next message is due, or `None` if every lane is busy or empty. Before this call,
    /// the caller takes out the messages that have to wait, with [`Lanes::next_put_back`].
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

    /// Records that the run has finished a message of the lane. Then the next message of the lane can start.
    pub(crate) fn done(&mut self, key: &LaneKey, message: &str, now: Duration) {
        if let Some(lane) = self.lane(key) {
            lane.busy = false;
            lane.line.remove(message);
            // `took` is the estimate for the next message. A slow message raises the estimate at once, and a
            // fast message lowers the estimate only a little.
            let last = now.saturating_sub(lane.began_at);
            lane.took = Some(lane.took.map_or(last, |took| last.max((took * 3 + last) / 4)));
        }
        self.remove_if_idle(key, now);
    }

    /// Puts a message back into its lane, because the run has started the message, but has not sent it.
    pub(crate) fn give_back(&mut self, leased: Leased) {
        let Some(lane) = self.lane(&leased.lane) else { return self.push(leased) };
        lane.busy = false;
        // The message was the first one of the lane, so it comes before messages of the same age.
        let at = lane.waiting.partition_point(|other| other.age() < leased.age());
        lane.waiting.insert(at, leased);
    }

    /// Records that the front message has to wait. Takes the other messages out of the lane, because the run
    /// has to hide them behind the front message.
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

    /// Records that the run has finished a [`PutBack`]: the messages are hidden, are visible again, or are on
    /// the poison queue. `line` is the lane's line now.
    pub(crate) fn put_back_done(&mut self, key: &LaneKey, line: Line, now: Duration) {
        if let Some(lane) = self.lane(key) {
            (lane.busy, lane.line) = (false, line);
        }
        self.remove_if_idle(key, now);
    }

    /// Takes all messages out of one lane that is not busy; `None` if every lane with messages is busy. The
    /// messages of a busy lane stay, because the run still works on one message of this lane. If this one
    /// message has to wait, the run has to hide the other messages behind it.
    pub(crate) fn take_idle(&mut self) -> Option<PutBack> {
        let lane = self.lanes.iter_mut().find(|lane| !lane.busy && !lane.waiting.is_empty())?;
        lane.busy = true;
        let behind = std::mem::take(&mut lane.waiting);
        Some(PutBack { key: lane.key, front: None, behind, line: lane.line.clone() })
    }

    /// Returns the number of further messages for which the run has time. `left` is the time that the run
    /// has. Some dequeued messages are not in their lanes yet, because the run first has to list them in a
    /// table (see `runs/exclusive.rs`). No conversation has more than `coming` of these unlisted messages.
    pub(crate) fn room(&self, left: Duration, coming: u32, limits: &Limits) -> usize {
        let (mut total, mut messages) = (Duration::ZERO, 0);
        for lane in &self.lanes {
            let here = count(lane) + u32::from(lane.busy);
            total += lane.pace(limits, 1) * here;
            messages += here;
        }
        // Further messages probably take as long as the average message in the lanes.
        let each = total.checked_div(messages).unwrap_or(limits.conversation_gap.max(self.last_took));
        let needed = self.time_needed(limits) + limits.conversation_gap * ASSUMED_GAPS * coming;
        let room = left.saturating_sub(needed).as_millis() / each.as_millis().max(1);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Returns an estimate of the time for the messages in the lanes. The run sends the messages of a lane
    /// one after the other, and keeps the pace of each tenant. So the estimate is the time of the slowest
    /// lane or of the slowest tenant, whichever is longer.
    fn time_needed(&self, limits: &Limits) -> Duration {
        let mut tenants: Vec<(TenantKey, u32)> = Vec::new();
        let mut longest = Duration::ZERO;
        for lane in &self.lanes {
            longest = longest.max(lane.pace(limits, ASSUMED_GAPS) * count(lane));
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

/// Returns how many messages of a lane the run has not started.
fn count(lane: &Lane) -> u32 {
    u32::try_from(lane.waiting.len()).unwrap_or(u32::MAX)
}
