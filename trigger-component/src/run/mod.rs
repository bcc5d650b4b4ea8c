//! One run: takes messages off the queue until it is empty or the budget is used, works on many conversations at once, each
//! in order, and hands back what it had no time for.
//!
//! One loop over events: every call to the outside is a job that ends in an [`Event`], and only the loop changes the run's
//! state. What an attempt comes to is done in one place ([`apply`]). That there is one run at a time only makes the order
//! sure; that nothing is lost rests on the queue's leases.

mod apply;
mod begin;
mod desk;
mod events;
mod intake;
mod notes;
mod put_back;
mod recent;
mod report;
mod timer;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bot_framework::Verdict;
use futures_util::stream::FuturesUnordered;
use platform::{Deadline, Host, Level};
use serde_json::json;
use state::runs::{InHand, PauseReason};

pub use begin::{Beginning, Begun, Door, RunError, begin, run, run_within};
use desk::Desk;
pub use report::Report;

use crate::attempt::{Outcome, Stop, Withdrawn, stops_everybody};
use crate::runs::{ExclusiveRun, Hint, recover};
use crate::schedule::{Front, LaneKey, Lanes, Leased, Line, PutBack};
use apply::Applied;
use events::{Event, Job, Readiness};
use notes::Notes;
use put_back::PutBackDone;
use recent::Recent;
use report::Count;

/// After credentials were refused: trying every second would only fill the log.
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(30);
/// After the login host gave no token, unless it says itself how long to wait.
const NO_TOKEN_PAUSE: Duration = Duration::from_secs(10);
/// No pause is longer, so that a bot that is set right is not kept waiting.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a run ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The last Get brought nothing.
    QueueEmpty,
    /// Something may be left: time was up, nothing could be sent, or another run has taken over.
    Early,
}

struct Run<'a, 'r, H> {
    desk: &'a Desk<'a, H>,
    exclusive: ExclusiveRun,
    hint: &'r mut Hint,
    report: &'r mut Report,
    budget: Deadline,
    lanes: Lanes,
    /// Whether every line is known; if not, each is read when its conversation comes.
    knows_all_lines: bool,
    jobs: FuturesUnordered<Job<'a>>,
    alarm: timer::Alarm<'a>,
    /// Conversations being worked on.
    busy: usize,
    fetching: bool,
    /// Messages of which the table does not know yet that they are in hand.
    opened: Vec<Leased>,
    withdrawn: Rc<Withdrawn>,
    readiness: Readiness,
    /// Messages that are no envelopes, on their way to the poison queue.
    burying: usize,
    /// The queue has answered "nothing" last.
    empty: bool,
    /// Whether the bot's kick began the run: then more will come, and each would begin a run.
    is_kicked: bool,
    /// How many messages were handed out since the run last waited for more.
    since_rest: usize,
    /// The run waits for more, although it has nothing to do.
    resting: bool,
    /// After that answer, the moment of the next Get, if the run is still at work then: what comes meanwhile is taken in.
    look_again_at: Duration,
    /// Nothing more is started.
    stopping: bool,
    /// Nothing more can be sent, and the log says why.
    stopped: Option<(PauseReason, Duration)>,
    failure: Option<RunError>,
    delivered: Recent,
    notes: Notes,
}

impl<'a, 'r, H: Host> Run<'a, 'r, H> {
    /// A run that starts nothing more after `budget`.
    fn new(
        desk: &'a Desk<'a, H>,
        exclusive: ExclusiveRun,
        hint: &'r mut Hint,
        report: &'r mut Report,
        budget: Deadline,
        is_kicked: bool,
    ) -> Self {
        Self {
            desk,
            exclusive,
            hint,
            report,
            budget,
            lanes: Lanes::default(),
            knows_all_lines: false,
            jobs: FuturesUnordered::new(),
            alarm: timer::Alarm::default(),
            busy: 0,
            fetching: false,
            opened: Vec::new(),
            withdrawn: Rc::default(),
            readiness: Readiness::Unknown,
            burying: 0,
            empty: false,
            is_kicked,
            since_rest: 0,
            resting: false,
            look_again_at: Duration::ZERO,
            stopping: false,
            stopped: None,
            failure: None,
            delivered: Recent::default(),
            notes: Notes::default(),
        }
    }

    /// The whole run, up to giving up its hold.
    async fn drive(mut self) -> Result<Ended, RunError> {
        self.desk.attempts.may_send_until.set(self.exclusive.valid_until());
        match self.prepare().await {
            Err(error) => self.fail(error),
            Ok(()) if self.exclusive.is_lost(self.desk.host) => {}
            Ok(()) => self.fetch(self.desk.limits.batch),
        }
        self.go_on().await;
        while let Some(event) = self.next_event().await {
            match event {
                Event::Fetched { result, asked_at } => self.fetched(result, asked_at),
                Event::Told(told) => self.told(*told),
                Event::Worked { leased, applied } => self.worked(leased, applied),
                Event::PutBack(done) => self.put_back_done(*done),
                Event::Buried(count) => {
                    self.burying -= 1;
                    self.report.add(count);
                }
                Event::Released { ids } => self.released(&ids),
                Event::Noted { left } => self.notes.noted(left, self.desk.host),
                Event::Ready(outcome) => self.ready(outcome),
                Event::Woke => {}
            }
            self.go_on().await;
        }
        self.end().await
    }

    /// Reads the lines, and hands back what a run had that was killed.
    async fn prepare(&mut self) -> Result<(), RunError> {
        let desk = self.desk;
        let (lines, is_all) = desk.runs.lines().await?;
        for stored in &lines {
            let line = Line::from_stored(stored, desk.host);
            if let Some(lane) = LaneKey::named(&stored.lane).filter(|_| line.is_live(desk.host.monotonic())) {
                self.lanes.set_line(lane, line);
            }
        }
        self.knows_all_lines = is_all;
        let left: Vec<InHand> = self.exclusive.in_hand().to_vec();
        if !left.is_empty() {
            let until = self.exclusive.valid_until();
            let recovered = recover(desk.queues, desk.runs, &mut self.lanes, &left, until).await;
            self.report.add_many(Count::HandedBack, recovered.handed_back);
            recovered.done.iter().for_each(|id| self.exclusive.let_go(id));
        }
        Ok(())
    }

    /// Starts whatever can be started now.
    async fn go_on(&mut self) {
        let desk = self.desk;
        if self.budget.has_passed(desk.host) && !self.stopping {
            self.stopping = true;
            self.report.out_of_budget = !self.empty || self.lanes.waiting() + self.opened.len() > 0;
        }
        if self.exclusive.is_lost(desk.host) {
            self.stopping = true;
        }
        self.hand_back_what_waits_for_others();
        let mut due = None;
        if self.stopping {
            self.resting = false;
            self.release_everything();
        } else {
            if self.busy > 0 {
                self.hint.give(desk.host).await;
            }
            due = self.start_what_is_due();
            self.fetch_more();
        }
        self.tell_the_table();
        self.note_what_is_due();
        self.set_alarm(due);
    }

    /// Puts messages back that have to wait for others of their conversation.
    fn hand_back_what_waits_for_others(&mut self) {
        while let Some(put_back) = self.lanes.next_put_back(self.desk.host.monotonic()) {
            self.put_back(put_back);
        }
    }

    fn put_back(&mut self, put_back: PutBack) {
        let desk = self.desk;
        self.jobs.push(Box::pin(async move { Event::PutBack(Box::new(desk.put_back(put_back).await)) }));
    }

    fn put_back_done(&mut self, done: PutBackDone) {
        done.ids.iter().for_each(|id| self.exclusive.let_go(id));
        done.counts.into_iter().for_each(|count| self.report.add(count));
        self.lanes.put_back_done(&done.key, done.line, self.desk.host.monotonic());
    }

    /// Hands back whatever nobody works on.
    fn release_everything(&mut self) {
        let opened = std::mem::take(&mut self.opened);
        if !opened.is_empty() {
            self.release(opened.into());
        }
        while let Some(messages) = self.lanes.take_idle() {
            self.release(messages);
        }
    }

    fn release(&mut self, messages: VecDeque<Leased>) {
        let desk = self.desk;
        self.jobs.push(Box::pin(async move {
            let mut ids = Vec::new();
            for leased in &messages {
                // One that could not be handed back stays in hand: the next run hands it back.
                if desk.queues.hide(leased, Duration::ZERO, None).await.is_zero() {
                    ids.push(leased.id().to_owned());
                }
            }
            Event::Released { ids }
        }));
    }

    fn released(&mut self, ids: &[String]) {
        self.report.add_many(Count::Released, ids.len());
        ids.iter().for_each(|id| self.exclusive.let_go(id));
    }

    /// Starts the messages whose turn it is; returns when the next one is due.
    fn start_what_is_due(&mut self) -> Option<Duration> {
        let desk = self.desk;
        if self.readiness != Readiness::Ready {
            if self.readiness == Readiness::Unknown && self.lanes.waiting() + self.opened.len() > 0 {
                self.readiness = Readiness::GettingReady;
                self.jobs
                    .push(Box::pin(async move { Event::Ready(desk.attempts.courier.get_ready().await) }));
            }
            return None;
        }
        while self.busy < desk.limits.conversations_at_once {
            let now = desk.host.monotonic();
            let started = match self.lanes.start(now, desk.limits) {
                Ok(started) => started,
                Err(due) => return due,
            };
            self.busy += 1;
            let (mut leased, line_after) = (started.leased, started.line_after);
            if now >= leased.leased_at + desk.limits.lease {
                // We were stopped for a minute, it seems: somebody else may have it.
                self.busy -= 1;
                self.report.add(Count::LeaseLost);
                let (after, delivery) = (desk.limits.lease, leased.envelope.delivery.clone());
                let front = Front { leased: Box::new(leased), after, delivery };
                let put_back = self.lanes.wait(front, now);
                self.put_back(put_back);
                continue;
            }
            let is_double = self.delivered.holds(&leased.record);
            let withdrawn = Rc::clone(&self.withdrawn);
            self.jobs.push(Box::pin(async move {
                let outcome = if is_double {
                    Outcome::AlreadySent
                } else {
                    desk.attempts.attempt(&mut leased, &withdrawn).await
                };
                let applied = desk.apply(&leased, outcome, line_after).await;
                Event::Worked { leased: Box::new(leased), applied }
            }));
        }
        None
    }

    fn worked(&mut self, leased: Box<Leased>, applied: Applied) {
        self.busy -= 1;
        let now = self.desk.host.monotonic();
        match applied {
            Applied::Done { count, note } => {
                if count == Count::Delivered {
                    self.delivered.remember(leased.record.clone());
                }
                self.report.add(count);
                self.notes.add(note, now);
                self.exclusive.let_go(leased.id());
                self.lanes.done(&leased.lane, leased.id(), now);
            }
            Applied::Wait { count, after, delivery, note } => {
                self.report.add(count);
                self.notes.add(note, now);
                let put_back = self.lanes.wait(Front { leased, after, delivery }, now);
                self.put_back(put_back);
            }
            Applied::StopRun { count, stop, reason } => {
                self.report.add(count);
                self.stop(stop, &reason);
                self.exclusive.let_go(leased.id());
                self.lanes.done(&leased.lane, leased.id(), now);
            }
        }
    }

    /// Stops the run, and says why: once, although many messages may have met the same.
    fn stop(&mut self, stop: Stop, reason: &str) {
        self.stopping = true;
        if self.stopped.is_some() {
            return;
        }
        let (level, event, why, pause) = match stop {
            Stop::CredentialsRefused => {
                (Level::Error, "credentials.refused", PauseReason::CredentialsRefused, CREDENTIALS_PAUSE)
            }
            Stop::NoToken { retry_after } => {
                let pause = retry_after.unwrap_or(NO_TOKEN_PAUSE).min(LONGEST_PAUSE);
                (Level::Warn, "token.unavailable", PauseReason::NoToken, pause)
            }
        };
        self.desk.host.event(level, event, json!({"run": self.desk.run, "reason": reason}));
        self.stopped = Some((why, pause));
    }

    fn fail(&mut self, error: RunError) {
        self.stopping = true;
        self.failure.get_or_insert(error);
    }

    fn ready(&mut self, outcome: Result<(), Verdict>) {
        self.readiness = Readiness::Ready;
        // Whatever is sent now says the same, and stops the run; but if the run's time is over, nothing is.
        if let (true, Err(verdict)) = (self.stopping, outcome)
            && let Some(stop) = stops_everybody(&verdict, false)
        {
            self.stop(stop, &verdict.reason);
        }
    }

    /// Tells the ledger the rest, and gives up the hold.
    async fn end(mut self) -> Result<Ended, RunError> {
        let desk = self.desk;
        let left = self.notes.flush(desk).await;
        if left > 0 {
            desk.host.event(Level::Warn, "ledger.not-noted", json!({"run": desk.run, "alerts": left}));
        }
        let ended = if self.empty && !self.stopping { Ended::QueueEmpty } else { Ended::Early };
        self.hint.take_back(desk.host).await;
        self.exclusive.set_hosts(desk.attempts.hosts.stored());
        let Some((lock, left)) = self.exclusive.into_lock() else {
            desk.host.event(Level::Warn, "run.taken-over", json!({"run": desk.run}));
            return self.failure.map_or(Ok(Ended::Early), Err);
        };
        let telling = match self.stopped {
            None => lock.release(&left),
            Some((why, pause)) => {
                let until = desk.host.now() + pause;
                self.hint.pause(desk.host, until).await;
                lock.release_and_pause(&left, why, until)
            }
        };
        // If it cannot be given up, it ends by itself.
        if let Err(error) = desk.runs.write(telling).await {
            let fields = json!({"run": desk.run, "reason": error.to_string()});
            desk.host.event(Level::Warn, "run.not-given-up", fields);
        }
        self.failure.map_or(Ok(ended), Err)
    }
}
