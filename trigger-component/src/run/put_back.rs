//! Hides messages of a conversation for a while, or makes them visible again at the end of the run. Both
//! operations keep the order of the conversation. The *front message* of a waiting line (*line*) is the
//! message for which the others wait. It is *overdue* if its pause has ended, and this run has not dequeued
//! it.

use std::collections::VecDeque;
use std::time::Duration;

use platform::Host;

use super::Run;
use super::apply::Ended;
use super::context::RunContext;
use super::events::{Event, PutBackDone};
use super::report::Count;
use crate::attempt::{PoisonReason, hide_for};
use crate::limits::LONGEST_PUSH;
use crate::runs::write_line;
use crate::schedule::{Leased, Line, PutBack};

/// If the messages that the run has hidden become visible within this time, the run waits for them.
const VISIBLE_SOON: Duration = Duration::from_secs(3);

impl<H: Host> Run<'_, '_, H> {
    /// Puts messages back on the queue: all dequeued messages, except the messages on which the run works
    /// now.
    pub(super) fn release_everything(&mut self) {
        let context = self.context;
        // The messages that are no envelopes stay leased. The record of the run lock lists the messages that
        // the run has dequeued and not finished. If this run still holds the run lock when it releases the
        // lock, the list has these messages, and the next run makes them visible.
        self.unreadable.clear();
        // Only the run that holds the run lock changes a line.
        let holds_lock = !self.exclusive.is_lost(context.host);
        for leased in std::mem::take(&mut self.opened) {
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

    fn release(&mut self, put_back: PutBack, keeps_order: bool) {
        let context = self.context;
        self.jobs.push(Box::pin(async move {
            Event::PutBack(Box::new(context.release(put_back, keeps_order).await))
        }));
    }
}

impl<H: Host> RunContext<'_, H> {
    /// Hides the front message, if there is one, and the messages behind it. The line is stored first, so
    /// that the conversation keeps its order even if the run is killed before it has hidden the messages. In
    /// this case, the stored line lists messages that are not hidden, so the conversation perhaps waits
    /// longer than necessary.
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
        // The run hides one message after the other, because the messages become visible in the order of
        // these calls.
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
        // The calls above take time, so the last message becomes visible later than planned. `tail` gets this
        // later moment, because younger messages must not become visible before this last message.
        if let Some(pause) = pauses.into_iter().flatten().last() {
            line.tail = line.tail.max(self.host.monotonic() + pause);
        }
        let is_soon = !line.has_front() && line.tail < self.host.monotonic() + VISIBLE_SOON;
        let visible_soon = is_soon.then_some(line.tail);
        PutBackDone { key, line, ids, counts, ended, visible_soon }
    }

    /// Makes messages visible again, because the run has no time for them. Younger messages of the
    /// conversation can be visible already, and the queue hands out these younger messages first. To keep the
    /// order, this function first stores a line that lists the released messages. So the younger messages
    /// wait for them.
    async fn release(&self, put_back: PutBack, keeps_order: bool) -> PutBackDone {
        let PutBack { key, behind, mut line, .. } = put_back;
        if keeps_order {
            let now = self.host.monotonic();
            behind.iter().for_each(|leased| line.set_hidden(&leased.place(), now));
            write_line(self.queues, self.runs, &key, &line).await;
        }
        let (mut ids, mut counts) = (Vec::new(), Vec::new());
        for leased in &behind {
            // If this call fails, the message stays in the list of messages in hand, and the next run
            // recovers the message.
            if self.queues.hide(leased, Duration::ZERO, None).await.is_zero() {
                ids.push(leased.id().to_owned());
                counts.extend((!leased.is_counted).then_some(Count::Released));
            }
        }
        PutBackDone { key, line, ids, counts, ended: Vec::new(), visible_soon: None }
    }

    /// Moves a message to the poison queue, because its time to live ends too soon to wait for the older
    /// messages. Returns `None` if the move failed.
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

    /// Returns how long a message has to be hidden so that it becomes visible after the other messages of the
    /// line. The pause is shorter if the queue would delete the message before the end of the pause. Returns
    /// `None` if the deletion is too close for any pause.
    fn pause_behind(&self, leased: &Leased, line: &Line) -> Option<Duration> {
        let now = self.host.monotonic();
        // The front message becomes visible a second before the others, so that a run tries the front message
        // first. If this attempt fails again, the others still have to wait.
        let earliest = (line.until + Duration::from_secs(1)).max(line.tail);
        // If the front message is overdue, perhaps another run has dequeued it and was killed. Then the lease
        // of that run ends only in a minute. With a pause of one second, runs would dequeue and hide the
        // younger messages again and again. So the pause is half of the time for which the front message has
        // been overdue.
        let overdue = (line.overdue(now) / 2).min(LONGEST_PUSH);
        let pause = earliest.saturating_sub(now).max(overdue);
        hide_for(pause, leased.until_deletion(self.host))
    }
}
