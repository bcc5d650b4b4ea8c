//! Hides messages of a conversation for a while, or makes them visible again at the end of the run. Both
//! operations keep the order of the conversation. The *waiting line* (*line*) of a conversation lists its
//! hidden messages. The other messages of the line wait for the *front message*. The front message is
//! *overdue* if it has become visible, and this run has not dequeued it.

use std::collections::VecDeque;
use std::time::Duration;

use platform::Host;

use super::Run;
use super::apply::Ended;
use super::context::RunContext;
use super::events::{Event, PutBackDone};
use super::report::Count;
use crate::attempt::{PoisonReason, hide_for};
use crate::limits::LONGEST_YOUNGER_PAUSE;
use crate::runs::write_line;
use crate::schedule::{Leased, Line, PutBack};

/// If hidden messages become visible within this time, the run waits for them.
const VISIBLE_SOON: Duration = Duration::from_secs(3);

impl<H: Host> Run<'_, '_, H> {
    /// Makes dequeued messages visible again, because the run is stopping. If the run still works on a
    /// message, the other messages of the same conversation stay hidden for now. Messages without an
    /// *envelope* (an alert as JSON) stay hidden, too.
    pub(super) fn release_waiting(&mut self) {
        let context = self.context;
        // The messages without an envelope stay hidden until their leases end. (The *lease* is the time for
        // which the queue hides a dequeued message.) If this run still holds the run lock at its end, the
        // record of the run lock lists these messages. Then the next run makes these messages visible.
        self.unreadable.clear();
        // Without the run lock, this run must not change a line.
        let holds_lock = !self.exclusive.is_lost(context.host);
        for leased in std::mem::take(&mut self.decoded) {
            if holds_lock && (self.knows_all_lines || self.lanes.knows(&leased.lane)) {
                self.lanes.push(leased);
                continue;
            }
            // The argument `false` makes `release` store no line. The run must not overwrite the stored line,
            // because the run has lost the run lock, or has not read this line.
            let (key, behind) = (leased.lane, VecDeque::from([leased]));
            self.release(PutBack { key, front: None, behind, line: Line::default() }, false);
        }
        while let Some(put_back) = self.lanes.take_idle() {
            self.release(put_back, holds_lock);
        }
    }

    fn release(&mut self, put_back: PutBack, stores_line: bool) {
        let context = self.context;
        self.jobs.push(Box::pin(async move {
            Event::PutBack(Box::new(context.release(put_back, stores_line).await))
        }));
    }
}

impl<H: Host> RunContext<'_, H> {
    /// Hides the front message, if there is one, and the messages behind it. The function stores the line
    /// first. So the conversation keeps its order even if the run is killed before it has hidden all
    /// messages. After such a kill, the line lists messages that are not hidden, and the conversation perhaps
    /// waits longer than necessary.
    pub(super) async fn put_back(&self, put_back: PutBack) -> PutBackDone {
        let PutBack { key, front, behind, mut line } = put_back;
        let pauses: Vec<Option<Duration>> = behind
            .iter()
            .map(|leased| {
                let pause = self.pause_behind(leased, &line);
                if let Some(pause) = pause {
                    line.set_hidden(&leased.place(), self.host.monotonic() + pause);
                }
                pause
            })
            .collect();
        write_line(self.queues, self.runs, &key, &line).await;
        let written = line.clone();
        let (mut ids, mut counts, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(front) = front {
            let hidden_for = self.queues.hide(&front.leased, front.after, Some(front.delivery)).await;
            if hidden_for > front.after {
                line.wait_behind(&front.leased.place(), &[], self.host.monotonic() + hidden_for);
            }
            ids.push(front.leased.id().to_owned());
        }
        // The messages become visible in the order of these calls. So the run makes the calls one after the
        // other.
        for (leased, pause) in behind.iter().zip(&pauses) {
            let Some(pause) = *pause else {
                match self.out_of_time(leased, &mut line).await {
                    Some(end) => ended.push((leased.id().to_owned(), end)),
                    None => {
                        ids.push(leased.id().to_owned());
                        counts.push(Count::StorageTrouble);
                    }
                }
                continue;
            };
            ids.push(leased.id().to_owned());
            counts.push(Count::HiddenBehind);
            let hidden_for = self.queues.hide(leased, pause, None).await;
            if hidden_for > pause {
                line.set_hidden(&leased.place(), self.host.monotonic() + hidden_for);
            }
        }
        if line != written {
            write_line(self.queues, self.runs, &key, &line).await;
        }
        // `tail` is the moment at which all messages of the line are visible. The calls above take time, so
        // the last message becomes visible later than `tail` says. This code corrects `tail`, because younger
        // messages must not become visible before the last message.
        if let Some(pause) = pauses.into_iter().flatten().last() {
            line.tail = line.tail.max(self.host.monotonic() + pause);
        }
        let is_soon = !line.has_front() && line.tail < self.host.monotonic() + VISIBLE_SOON;
        let visible_soon = is_soon.then_some(line.tail);
        PutBackDone { key, line, ids, counts, ended, visible_soon }
    }

    /// Makes messages visible again, because the run is stopping. Younger messages of the conversation can be
    /// visible already. The queue hands out these younger messages first, because it hands out a message that
    /// becomes visible again after all messages that are already visible. To keep the order, this function
    /// first stores a line that lists the released messages. Then the younger messages wait for the released
    /// messages. If `stores_line` is `false`, the function stores no line.
    async fn release(&self, put_back: PutBack, stores_line: bool) -> PutBackDone {
        let PutBack { key, behind, mut line, .. } = put_back;
        if stores_line {
            let now = self.host.monotonic();
            behind.iter().for_each(|leased| line.set_hidden(&leased.place(), now));
            write_line(self.queues, self.runs, &key, &line).await;
        }
        let (mut ids, mut counts) = (Vec::new(), Vec::new());
        for leased in &behind {
            // If this call fails, the message stays in the run's list of messages in hand (dequeued and not
            // finished). The next run makes the messages of this list visible again.
            if self.queues.hide(leased, Duration::ZERO, None).await.is_zero() {
                ids.push(leased.id().to_owned());
                counts.extend((!leased.is_counted).then_some(Count::Released));
            }
        }
        PutBackDone { key, line, ids, counts, ended: Vec::new(), visible_soon: None }
    }

    /// Moves a message to the poison queue, because the queue deletes the message soon, and the older
    /// messages of its conversation are not finished. Returns `None` if the move failed.
    async fn out_of_time(&self, leased: &Leased, line: &mut Line) -> Option<Ended> {
        let reason = "message: the queue deletes it before the older messages of its conversation are \
             finished; use a longer time to live";
        let why = PoisonReason::OutOfTime;
        let poisoned = self.queues.move_to_poison_queue(leased, why, reason, None).await;
        let ended = Ended::of_poisoned(poisoned, why);
        if ended.is_some() {
            line.remove(leased.id());
        } else {
            line.set_hidden(&leased.place(), leased.leased_at + self.limits.lease);
        }
        ended
    }

    /// Returns how long the run has to hide a message. After this pause, the message becomes visible later
    /// than the messages that are in the line already. But if the queue would delete the message during the
    /// pause or soon after it, the pause is shorter, and the message perhaps becomes visible before older
    /// messages. Returns `None` if the deletion is too close for any pause.
    fn pause_behind(&self, leased: &Leased, line: &Line) -> Option<Duration> {
        let now = self.host.monotonic();
        // The front message becomes visible at least a second before this message, so that a run tries the
        // front message first. If the attempt for the front message fails again, this message has to wait
        // again.
        let earliest = (line.until + Duration::from_secs(1)).max(line.tail);
        // If the front message is overdue, perhaps another run has dequeued the front message and was killed.
        // Then the lease of the front message lasts for up to a minute. With pauses of one second, runs would
        // dequeue and hide the younger messages again and again during the lease. So the pause is at least
        // half of the time for which the front message has been overdue.
        let overdue = (line.overdue(now) / 2).min(LONGEST_YOUNGER_PAUSE);
        let pause = earliest.saturating_sub(now).max(overdue);
        hide_for(pause, leased.until_deletion(self.host))
    }
}
