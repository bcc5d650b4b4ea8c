//! One run of the drain: takes messages off the queue until it is empty or the budget is used, works on many
//! conversations at once, each in order, and hands back what it had no time for.
//!
//! One loop over events: every call to the outside is a job that ends in an [`Event`], and only the loop changes the
//! run's state. Correctness rests on the queue's leases; everything else only makes it fast.

mod jobs;

use std::time::Duration;

use bot_framework::Verdict;
use envelope::{Arrival, Delivery, Envelope, EnvelopeId};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use platform::{Deadline, Host, Level};
use serde_json::json;
use storage_queue::{QueueError, QueueMessage};

use crate::delivery::{Desk, Next, Settled};
use crate::disposition::{Stop, stops_everybody};
use crate::drain::RunError;
use crate::events::{Event, Job, Readiness};
use crate::held::{Held, LaneKey};
use crate::hold::Change;
use crate::lanes::Lanes;
use crate::lease::RunLease;
use crate::pushing::Pushed;
use crate::recent::Recent;
use crate::report::{Count, Report};

/// How long a run that is still at work waits before it asks an empty queue again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// How a run ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The last Get brought nothing.
    QueueEmpty,
    /// Something may be left: time was up, nothing could be sent, or another run has taken over.
    Early,
}

pub(crate) struct Run<'a, 'r, H> {
    desk: &'a Desk<'a, H>,
    lease: &'r mut RunLease,
    report: &'r mut Report,
    budget: Deadline,
    lanes: Lanes,
    jobs: FuturesUnordered<Job<'a>>,
    /// The moment for which the loop's alarm is set, and the alarm: among others, alone, so that it is looked at only when
    /// it rings.
    alarm: Option<(Duration, FuturesUnordered<Job<'a>>)>,
    /// Conversations being worked on.
    busy: usize,
    fetching: bool,
    readiness: Readiness,
    /// Messages that are no envelopes, on their way to the poison queue.
    burying: usize,
    /// The queue has answered "nothing" last.
    empty: bool,
    /// After that answer, the moment of the next Get, if the run is still at work then: what comes meanwhile is taken in.
    look_again_at: Duration,
    /// Nothing more is started.
    stopping: bool,
    /// Nothing more can be sent, and the log says why.
    stopped: bool,
    delivered: Recent,
}

impl<'a, 'r, H: Host> Run<'a, 'r, H> {
    /// A run that starts nothing more after `budget`.
    pub(crate) fn new(
        desk: &'a Desk<'a, H>,
        lease: &'r mut RunLease,
        report: &'r mut Report,
        budget: Deadline,
    ) -> Self {
        Self {
            desk,
            lease,
            report,
            budget,
            lanes: Lanes::default(),
            jobs: FuturesUnordered::new(),
            alarm: None,
            busy: 0,
            fetching: false,
            readiness: Readiness::Unknown,
            burying: 0,
            empty: false,
            look_again_at: Duration::ZERO,
            stopping: false,
            stopped: false,
            delivered: Recent::default(),
        }
    }

    pub(crate) async fn drive(mut self) -> Result<Ended, RunError> {
        let mut failure = None;
        self.hand_back();
        self.fetch(self.desk.limits.batch);
        while let Some(event) = self.next_event().await {
            match event {
                Event::Fetched(Ok(messages), asked_at) => {
                    self.fetching = false;
                    self.take_in(messages, asked_at).await;
                }
                // A queue that nobody has written to yet is an empty one.
                Event::Fetched(Err(QueueError::QueueMissing), _) => {
                    self.fetching = false;
                    self.found_nothing();
                }
                Event::Fetched(Err(error), _) => {
                    (self.fetching, self.stopping) = (false, true);
                    failure = Some(RunError::from(error));
                }
                Event::Worked(key, held, settled) => {
                    self.busy -= 1;
                    self.worked(key, held, settled).await;
                }
                Event::Hidden(key, held, longer) => {
                    self.lease.let_go(&held.message.id);
                    if let Some(until) = longer {
                        let change = self.lanes.hold(key, held.place(), until);
                        self.tell(key, change).await;
                    }
                }
                Event::Buried(count) => {
                    self.burying -= 1;
                    self.report.add(count);
                }
                Event::Pushed(key, pushed) => self.pushed(key, *pushed).await,
                Event::Released(messages) => self.report.add_many(Count::Released, messages),
                Event::HandedBack(run, messages, all) => {
                    self.report.add_many(Count::HandedBack, messages);
                    if all {
                        self.lease.is_handed_back(self.desk.host, run).await;
                    }
                }
                Event::Renewed(key, renewed) => {
                    self.report.add_many(Count::LeaseLost, renewed.lost);
                    renewed.kept.iter().for_each(|held| self.lease.keep(held.taken()));
                    self.lanes.put_back(key, renewed.kept);
                    if let Some((front, until)) = renewed.first_lost {
                        let change = self.lanes.hold(key, front, until);
                        self.tell(key, change).await;
                    }
                }
                Event::Ready(outcome) => self.ready(outcome).await,
                Event::Woke => {}
            }
            self.go_on().await;
        }
        match failure {
            Some(failure) => Err(failure),
            None if self.empty && !self.stopping && !self.lease.is_lost() => Ok(Ended::QueueEmpty),
            None => Ok(Ended::Early),
        }
    }

    /// What happens next; `None` when nothing goes on and nothing waits.
    async fn next_event(&mut self) -> Option<Event> {
        let Some((_, alarm)) = &mut self.alarm else { return self.jobs.next().await };
        let woke = if self.jobs.is_empty() {
            if self.lanes.waiting() == 0 {
                return None;
            }
            alarm.next().await
        } else {
            match select(self.jobs.next(), alarm.next()).await {
                Either::Left((event, _)) => return event,
                Either::Right((woke, _)) => woke,
            }
        };
        self.alarm = None;
        woke
    }

    /// Starts whatever can be started now.
    async fn go_on(&mut self) {
        let desk = self.desk;
        if self.budget.has_passed(desk.host) && !self.stopping {
            self.stopping = true;
            self.report.out_of_budget = !self.empty || self.lanes.waiting() > 0;
        }
        while let Some(push) = self.lanes.next_push() {
            self.push_behind(push);
        }
        if self.stopping {
            self.alarm = None;
            while let Some(held) = self.lanes.take_idle() {
                self.release(held);
            }
            return;
        }
        self.lease.renew(desk.host).await;
        self.renew();
        let due = self.start_what_is_due().await;
        self.fetch_more();
        self.set_alarm(due);
    }

    fn fetch_more(&mut self) {
        let limits = self.desk.limits;
        let in_hand = self.lanes.waiting() + self.burying;
        let is_early = self.empty && self.desk.host.monotonic() < self.look_again_at;
        if self.fetching || is_early || self.lease.is_lost() || in_hand >= limits.fetch_below {
            return;
        }
        // As many as there is time for: what is handed back goes behind everything that came meanwhile.
        let left = self.budget.remaining(self.desk.host).saturating_sub(self.lanes.time_needed(limits));
        let gap = limits.conversation_gap.as_millis().max(1);
        let room = u8::try_from(left.as_millis() / gap).unwrap_or(u8::MAX).min(limits.batch);
        if room >= limits.batch.div_ceil(4) {
            self.fetch(room);
        }
    }

    fn fetch(&mut self, count: u8) {
        self.fetching = true;
        self.report.polls += 1;
        let desk = self.desk;
        let asked_at = desk.host.monotonic();
        self.jobs.push(Box::pin(async move {
            Event::Fetched(desk.queue.get(count, desk.limits.lease_seconds()).await, asked_at)
        }));
    }

    fn found_nothing(&mut self) {
        self.empty = true;
        self.look_again_at = self.desk.host.monotonic() + LOOK_AGAIN_AFTER;
    }

    async fn take_in(&mut self, messages: Vec<QueueMessage>, leased_at: Duration) {
        let desk = self.desk;
        if messages.is_empty() {
            self.found_nothing();
            return;
        }
        self.empty = false;
        let wall = desk.host.now();
        let mut opened = Vec::new();
        for message in messages {
            self.report.received += 1;
            self.report.saw((wall - message.insertion_time).to_std().unwrap_or_default());
            let arrival =
                Arrival { id: EnvelopeId::of_queue_message(message.id.as_str()), at: message.insertion_time };
            match Envelope::decode(&message.text, desk.seal_key, arrival) {
                Ok((mut envelope, seal)) => {
                    // Somebody has put it back from the poison queue: it starts anew.
                    if envelope.rest.remove("failure").is_some() {
                        envelope.delivery = Delivery::default();
                    }
                    opened.push(Held::new(message, envelope, seal, leased_at));
                }
                Err(reason) => {
                    self.burying += 1;
                    self.jobs.push(Box::pin(async move {
                        Event::Buried(desk.poison_unreadable(&message, &reason.to_string()).await)
                    }));
                }
            }
        }
        // Before anything is done about them.
        self.lease.take(desk.host, opened.iter().map(Held::taken).collect()).await;
        self.hand_back();
        let mut told = desk.holds.read(desk.host, opened.iter().map(|held| held.lane.name())).await;
        for custody in self.lease.others() {
            custody.hold_back(&mut told, desk.host);
        }
        // What failed once more comes back after those that were pushed behind it before. And conversations in which something
        // comes back begin last: one whose Connector refuses the bot must not be the first that is asked, again and again.
        let again = |held: &&Held| held.message.dequeue_count > 1;
        let again: Vec<LaneKey> = opened.iter().filter(again).map(|held| held.lane).collect();
        opened.sort_by_key(|held| (again.contains(&held.lane), held.age()));
        let now = desk.host.monotonic();
        for held in opened {
            self.lanes.push(held, now, &told);
        }
    }

    async fn worked(&mut self, key: LaneKey, held: Box<Held>, settled: Settled) {
        let message = &held.message.id;
        self.report.add(settled.count);
        if settled.count == Count::Delivered {
            self.delivered.remember(held.mark_name());
        }
        match settled.next {
            Next::GoOn => {
                self.lease.let_go(message);
                self.lanes.done(key, message.as_str(), self.desk.host.monotonic());
            }
            Next::Wait(after, delivery) => self.hide(key, held, after, delivery).await,
            Next::StopRun(stop, reason) => {
                self.stop(stop, &reason).await;
                self.lease.let_go(message);
                self.lanes.done(key, message.as_str(), self.desk.host.monotonic());
            }
        }
    }

    /// Hides a message that has to wait. Told first: a run that is killed in between leaves a line that is waited for in
    /// vain for a while, not one that nobody knows of.
    async fn hide(&mut self, key: LaneKey, held: Box<Held>, after: Duration, delivery: Delivery) {
        let desk = self.desk;
        let change = self.lanes.hold(key, held.place(), desk.host.monotonic() + after);
        self.tell(key, change).await;
        self.jobs.push(Box::pin(async move {
            let away = desk.hide(&held, after, Some(delivery)).await;
            let longer = (away > after).then(|| desk.host.monotonic() + away);
            Event::Hidden(key, held, longer)
        }));
    }

    async fn pushed(&mut self, key: LaneKey, pushed: Pushed) {
        let Pushed { messages, counts, told, news } = pushed;
        messages.iter().for_each(|message| self.lease.let_go(message));
        counts.into_iter().for_each(|count| self.report.add(count));
        let now = self.desk.host.monotonic();
        self.lanes.pushed(key, std::iter::once(&told).chain(&news), now);
        for change in news {
            self.tell(key, Some(change)).await;
        }
    }

    /// Stops the run, and says why: once, although many messages may have met the same.
    async fn stop(&mut self, stop: Stop, reason: &str) {
        let host = self.desk.host;
        if !std::mem::replace(&mut self.stopped, true) {
            let (level, event) = match stop {
                Stop::CredentialsRefused => (Level::Error, "credentials.refused"),
                Stop::NoToken { .. } => (Level::Warn, "token.unavailable"),
            };
            host.event(level, event, json!({"run": self.desk.run, "reason": reason}));
            self.lease.pause(host, stop).await;
        }
        self.stopping = true;
    }

    async fn tell(&self, key: LaneKey, change: Option<Change>) {
        if let Some(change) = change {
            self.desk.holds.tell(self.desk.host, &key.name(), &change).await;
        }
    }

    async fn ready(&mut self, outcome: Result<(), Verdict>) {
        self.readiness = Readiness::Ready;
        // Whatever is sent now says the same, and stops the run; but if the run's time is over, nothing is.
        if let (true, Err(verdict)) = (self.stopping, outcome)
            && let Some(stop) = stops_everybody(&verdict, false)
        {
            self.stop(stop, &verdict.reason).await;
        }
    }

    /// Starts the messages whose turn it is; returns when the next one is due.
    async fn start_what_is_due(&mut self) -> Option<Duration> {
        let desk = self.desk;
        if self.readiness != Readiness::Ready {
            if self.readiness == Readiness::Unknown && self.lanes.waiting() > 0 {
                self.readiness = Readiness::GettingReady;
                self.jobs.push(Box::pin(async move { Event::Ready(desk.courier.get_ready().await) }));
            }
            return None;
        }
        while self.busy < desk.limits.conversations_at_once {
            let now = desk.host.monotonic();
            let (key, held) = match self.lanes.start(now, desk.limits) {
                Ok(started) => started,
                Err(due) => return due,
            };
            if now >= held.leased_at + desk.limits.lease {
                // We were stopped for a minute, it seems: somebody else may have it.
                self.report.add(Count::LeaseLost);
                self.lease.let_go(&held.message.id);
                let change = self.lanes.hold(key, held.place(), now + desk.limits.lease);
                self.tell(key, change).await;
                continue;
            }
            self.busy += 1;
            let already = self.delivered.holds(&held.mark_name());
            self.jobs.push(Box::pin(async move {
                let mut held = held;
                let settled =
                    if already { desk.delete_double(&held).await } else { desk.work(&mut held).await };
                Event::Worked(key, Box::new(held), settled)
            }));
        }
        None
    }

    /// Wakes the loop for what comes by itself: the next message's time, the next lease's half, the end of the budget.
    fn set_alarm(&mut self, due: Option<Duration>) {
        let host = self.desk.host;
        // One that rings too early does no harm. What was leased since is not half over when it rings, but for seconds.
        if self.alarm.as_ref().is_some_and(|(moment, _)| due.is_none_or(|due| *moment <= due)) {
            return;
        }
        let now = host.monotonic();
        let budget_ends = now + self.budget.remaining(host);
        let half_lease = now + self.desk.limits.lease / 2;
        let renewal = self.lanes.next_renewal(self.desk.limits);
        let again = (self.empty && !self.fetching).then_some(self.look_again_at);
        let moments = due.into_iter().chain(renewal).chain(self.lease.next_renewal()).chain(again);
        let moment = moments.fold(budget_ends.min(half_lease), Duration::min);
        // Whatever is due already was started above; were it not, this must not become a busy loop.
        let moment = moment.max(now + Duration::from_millis(1));
        let alarm: Job<'a> = Box::pin(async move {
            host.sleep(moment.saturating_sub(now)).await;
            Event::Woke
        });
        self.alarm = Some((moment, FuturesUnordered::from_iter([alarm])));
    }
}
