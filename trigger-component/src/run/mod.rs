//! One run (one execution of the poller). The run dequeues messages until the queue is empty or its budget of
//! time is used up. It works on many conversations at once, and sends the messages of each conversation in
//! order. At its end, the run has perhaps dequeued messages that it has not finished. The run makes these
//! messages visible again.
//!
//! The run is one loop over events. Jobs (futures) make the calls to other services. Each job returns an
//! `Event`, and only the loop changes the fields of `Run`. An *attempt* is a try to send one message. The
//! module `apply.rs` changes the queue and the tables according to the outcome of each attempt.
//!
//! The *run lock* is a record in a table. Only the run that holds the run lock sends messages, so the
//! messages keep their order. Even without the run lock, no message would be lost. The queue hides a dequeued
//! message only for a limited time (the *lease*). If no run deletes the message, the message becomes visible
//! again.

mod apply;
mod begin;
mod clean;
mod context;
mod ends;
mod error;
mod events;
mod figures;
mod intake;
mod ledger_writes;
mod put_back;
mod recent;
mod report;
mod timer;
mod unreadable;
mod write_transitions;

use std::rc::Rc;
use std::time::Duration;

use bot_framework::Verdict;
use futures_util::stream::FuturesUnordered;
use platform::{Deadline, Host, Level};
use serde_json::json;
use state::ledger::Status;
use state::runs::{EndedAlert, InHand, PauseReason};

pub use begin::{Beginning, Begun, EntryPoint, begin, run, run_within};
use context::RunContext;
pub use error::RunError;
pub use report::Report;

use crate::attempt::{Outcome, Stop, Withdrawn, stops_the_run};
use crate::runs::{ExclusiveRun, Hint, recover};
use crate::schedule::{Front, LaneKey, Lanes, Leased, Line, PutBack};
use events::{Event, Job, PutBackDone, Timer, TokenFetch};
use figures::Counting;
use ledger_writes::LedgerWrites;
use recent::{RecentEnd, RecentEnds};
use report::Count;
use unreadable::Unreadable;

/// The pause of all runs after the login host or the Connector has refused the bot's credentials. Without
/// this pause, each run would try again and fill the log.
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(30);
/// The pause of all runs after the login host issued no token, or Direct Line (only with
/// `delivery=directline`) opened no conversation. This constant applies if the response had no `Retry-After`.
const NO_TOKEN_PAUSE: Duration = Duration::from_secs(10);
/// The upper limit of a pause that `Retry-After` asks for. The limit is low, so that runs work soon after an
/// operator has corrected the settings.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The way in which a run has ended, if it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunEnd {
    /// The last Get Messages call returned no message.
    QueueEmpty,
    /// The run has ended early, so the queue perhaps has more messages. There are three possible reasons: the
    /// budget was used up, the run could send no alert, or the run has lost the run lock.
    Early,
}

struct Run<'a, 'r, H> {
    context: &'a RunContext<'a, H>,
    exclusive: ExclusiveRun,
    hint: &'r mut Hint,
    report: &'r mut Report,
    budget: Deadline,
    lanes: Lanes,
    /// Whether the run has read the waiting lines of all conversations at its start. A *waiting line*
    /// (*line*) lists the hidden messages of one conversation. If this field is `false`, the run reads the
    /// line of a conversation when it dequeues a message of the conversation.
    knows_all_lines: bool,
    jobs: FuturesUnordered<Job<'a>>,
    timer: Timer<'a>,
    /// The number of messages on which jobs work now. All these messages are of different conversations.
    busy: usize,
    fetching: bool,
    /// The dequeued messages that hold an *envelope* (an alert as JSON), and that the record of the run lock
    /// does not list yet.
    decoded: Vec<Leased>,
    /// The current write of the run lock adds messages to the record. This field counts these messages by
    /// conversation, and holds the highest of the counts. For example, if the write adds 3 messages of
    /// conversation A and 5 of conversation B, this field is 5. Zero if no write is under way. Before the end
    /// of the write, these messages are in no *lane* (the list of a conversation's dequeued messages).
    most_in_write: u32,
    /// The dequeued messages that hold no envelope, and that the record of the run lock does not list yet.
    unreadable: Vec<Unreadable>,
    withdrawn: Rc<Withdrawn>,
    token_fetch: TokenFetch,
    /// The number of jobs that move messages without an envelope to the poison queue now.
    poisoning: usize,
    /// Whether the last Get Messages call returned no message.
    empty: bool,
    /// Whether a *kick* has begun the run. A kick is a call from the bot to the poller after the bot has put
    /// a message on the queue.
    is_kicked: bool,
    /// The number of messages that the run has dequeued since its last wait for new messages.
    received_since_wait: usize,
    /// Whether the run has no work, but does not end yet, because it expects new messages soon.
    awaits_more: bool,
    /// The moment until which the run waits for hidden messages. If this run has hidden messages for a few
    /// seconds only, it waits until they are visible.
    awaited_until: Option<Duration>,
    /// The earliest moment of the next Get Messages call, if the last call returned no message.
    next_get_at: Duration,
    /// Whether the run is at its end, and starts no more work.
    stopping: bool,
    /// Set if the run can send no alert at all. The values are the reason as an enum, the length of the pause
    /// that all runs make after this run, and the reason as a text. The run has already logged the reason.
    stopped: Option<(PauseReason, Duration, String)>,
    failure: Option<RunError>,
    recent_ends: RecentEnds,
    ledger_writes: LedgerWrites,
    counting: Counting,
}

impl<'a, 'r, H: Host> Run<'a, 'r, H> {
    /// Makes a run that starts no more work after `budget`.
    fn new(
        context: &'a RunContext<'a, H>,
        exclusive: ExclusiveRun,
        hint: &'r mut Hint,
        report: &'r mut Report,
        budget: Deadline,
        is_kicked: bool,
        counting: Counting,
    ) -> Self {
        Self {
            context,
            exclusive,
            hint,
            report,
            budget,
            lanes: Lanes::default(),
            knows_all_lines: false,
            jobs: FuturesUnordered::new(),
            timer: Timer::default(),
            busy: 0,
            fetching: false,
            decoded: Vec::new(),
            most_in_write: 0,
            unreadable: Vec::new(),
            withdrawn: Rc::default(),
            token_fetch: TokenFetch::NotBegun,
            poisoning: 0,
            empty: false,
            is_kicked,
            received_since_wait: 0,
            awaits_more: false,
            awaited_until: None,
            next_get_at: Duration::ZERO,
            stopping: false,
            stopped: None,
            failure: None,
            recent_ends: RecentEnds::default(),
            ledger_writes: LedgerWrites::default(),
            counting,
        }
    }

    /// Does the work of the whole run, and then releases the run lock.
    async fn drive(mut self) -> Result<RunEnd, RunError> {
        self.context.attempts.may_send_until.set(self.exclusive.valid_until());
        match self.prepare().await {
            Err(error) => self.fail(error),
            Ok(()) if self.exclusive.is_lost(self.context.host) => {}
            Ok(()) => self.fetch(self.context.limits.batch),
        }
        self.go_on().await;
        while let Some(event) = self.next_event().await {
            match event {
                Event::Fetched { result, asked_at } => self.fetched(result, asked_at),
                Event::LockWritten(done) => self.lock_written(*done),
                Event::Worked { leased, applied } => self.worked(leased, applied),
                Event::PutBack(done) => self.put_back_done(*done),
                Event::Poisoned { message, ended } => {
                    self.poisoning -= 1;
                    match ended {
                        Some(ended) => self.ended(&message, *ended),
                        None => {
                            self.report.add(Count::StorageTrouble);
                            self.exclusive.remove(&message);
                        }
                    }
                }
                Event::LedgerWritten(written) => self.ledger_written(written),
                Event::TokenFetched(outcome) => self.token_fetched(outcome),
                Event::TimerFired => {}
            }
            self.go_on().await;
        }
        self.end().await
    }

    /// Reads the waiting lines. Perhaps the last run left messages *in hand* (dequeued and not finished),
    /// e.g. because that run was killed. If so, makes these messages visible again.
    async fn prepare(&mut self) -> Result<(), RunError> {
        let context = self.context;
        let (lines, is_all) = context.runs.lines().await?;
        for stored in &lines {
            let line = Line::from_stored(stored, context.host);
            if let Some(lane) =
                LaneKey::named(&stored.lane).filter(|_| line.is_live(context.host.monotonic()))
            {
                self.lanes.set_line(lane, line);
            }
        }
        self.knows_all_lines = is_all;
        // Perhaps the last run has finished alerts, and could not record their final status in the *ledger*
        // (the table with one record for each alert). A job of this run records the status. The run does not
        // wait for the job, because the ledger can be slow to respond.
        let now = context.host.monotonic();
        for end in self.exclusive.ended().iter().filter_map(EndedAlert::transition) {
            if matches!(end.status, Status::Delivered | Status::Dropped) {
                let known = RecentEnd { message: end.message.clone(), status: end.status };
                self.recent_ends.insert(end.key.clone(), known);
            }
            self.ledger_writes.add(Some(end), now);
        }
        let left: Vec<InHand> = self.exclusive.in_hand().to_vec();
        if !left.is_empty() {
            let until = self.exclusive.valid_until();
            let ended = self.exclusive.ended();
            let recovered = recover(context.queues, context.runs, &mut self.lanes, &left, ended, until).await;
            self.report.add_many(Count::Recovered, recovered.put_back);
            recovered.missed.iter().for_each(|(message, missed)| self.counting.missed(message, *missed));
            recovered.done.iter().for_each(|id| self.exclusive.remove(id));
        }
        Ok(())
    }

    /// Starts all jobs that can start now, and sets the timer.
    async fn go_on(&mut self) {
        let context = self.context;
        if self.budget.has_passed(context.host) && !self.stopping {
            self.stopping = true;
            self.report.out_of_budget = !self.empty || self.waiting() > 0;
        }
        if self.exclusive.is_lost(context.host) {
            self.stopping = true;
        }
        self.put_back_waiting_messages();
        let mut due = None;
        if self.stopping {
            self.awaits_more = false;
            self.release_waiting();
        } else {
            if self.busy > 0 {
                self.hint.write(context.host).await;
            }
            due = self.start_due_messages();
            self.fetch_more();
        }
        self.write_lock();
        self.write_due_transitions();
        self.set_timer(due);
    }

    /// Hides messages that have to wait for an older message of their conversation. The run cannot send the
    /// older message now, because the older message is hidden, or because this run has not dequeued it.
    fn put_back_waiting_messages(&mut self) {
        while let Some(put_back) = self.lanes.next_put_back(self.context.host.monotonic()) {
            self.put_back(put_back);
        }
    }

    fn put_back(&mut self, put_back: PutBack) {
        let context = self.context;
        self.jobs.push(Box::pin(async move { Event::PutBack(Box::new(context.put_back(put_back).await)) }));
    }

    fn put_back_done(&mut self, done: PutBackDone) {
        done.ids.iter().for_each(|id| self.exclusive.remove(id));
        done.counts.into_iter().for_each(|count| self.report.add(count));
        done.ended.into_iter().for_each(|(id, ended)| self.ended(&id, ended));
        self.awaited_until = self.awaited_until.max(done.visible_soon);
        self.lanes.put_back_done(&done.key, done.line, self.context.host.monotonic());
    }

    /// Starts the attempts that are due. Returns the moment at which the next attempt is due.
    fn start_due_messages(&mut self) -> Option<Duration> {
        let context = self.context;
        if self.token_fetch != TokenFetch::Ended {
            if self.token_fetch == TokenFetch::NotBegun && self.lanes.waiting() + self.decoded.len() > 0 {
                self.token_fetch = TokenFetch::UnderWay;
                self.jobs.push(Box::pin(async move {
                    Event::TokenFetched(context.attempts.delivery_path.get_ready().await)
                }));
            }
            return None;
        }
        while self.busy < context.limits.conversations_at_once {
            let now = context.host.monotonic();
            let started = match self.lanes.start(now, context.limits) {
                Ok(started) => started,
                Err(due) => return due,
            };
            self.busy += 1;
            let (mut leased, line_after) = (started.leased, started.line_after);
            if now >= leased.leased_at + context.limits.lease {
                // The lease of the message has ended, perhaps because the Spin host has suspended this run.
                // Perhaps another run has dequeued the message.
                self.busy -= 1;
                self.report.add(Count::LeaseLost);
                let (after, delivery) = (context.limits.lease, leased.envelope.delivery.clone());
                let front = Front { leased: Box::new(leased), after, delivery };
                let put_back = self.lanes.wait(front, now);
                self.put_back(put_back);
                continue;
            }
            // Perhaps a run has ended this alert already (see `recent.rs`). If the run ended the alert with
            // another queue message, this message is a copy. If the run ended the alert with this message,
            // the Delete of this message has failed.
            let sent = self.recent_ends.find(&leased.record).map(|sent| {
                let is_copy = sent.message.as_deref().is_some_and(|message| message != leased.id());
                (!is_copy).then_some(sent.status)
            });
            let withdrawn = Rc::clone(&self.withdrawn);
            self.jobs.push(Box::pin(async move {
                let outcome = match sent {
                    Some(end) => Outcome::AlreadyEnded(end),
                    None => context.attempts.attempt(&mut leased, &withdrawn).await,
                };
                let applied = context.apply(&leased, outcome, line_after).await;
                Event::Worked { leased: Box::new(leased), applied }
            }));
        }
        None
    }

    /// Stops the run. Logs the reason only once in a run, because many attempts can have the same outcome.
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
        self.context.host.event(level, event, json!({"run": self.context.run, "reason": reason}));
        self.stopped = Some((why, pause, reason.to_owned()));
    }

    fn fail(&mut self, error: RunError) {
        self.stopping = true;
        self.failure.get_or_insert(error);
    }

    fn token_fetched(&mut self, outcome: Result<(), Verdict>) {
        self.token_fetch = TokenFetch::Ended;
        // If the run goes on after a failure, the first attempt gets the same verdict (the result of a call),
        // and stops the run. But a run that is stopping makes no more attempts, so this function calls `stop`
        // itself.
        if let (true, Err(verdict)) = (self.stopping, outcome)
            && let Some(stop) = stops_the_run(&verdict, false)
        {
            self.stop(stop, &verdict.reason);
        }
    }

    /// Writes the remaining transitions (new statuses of alerts) to the ledger, and releases the run lock.
    async fn end(mut self) -> Result<RunEnd, RunError> {
        let context = self.context;
        let left = self.flush_ledger().await;
        if left > 0 {
            context.host.event(Level::Warn, "ledger.not-noted", json!({"run": context.run, "alerts": left}));
        }
        let ended = if self.empty && !self.stopping { RunEnd::QueueEmpty } else { RunEnd::Early };
        self.hint.delete(context.host).await;
        let stop_reason = self.stopped.as_ref().map(|(.., reason)| reason.clone());
        let failure = self.failure.as_ref().map(ToString::to_string).or(stop_reason).unwrap_or_default();
        let hosts = &context.attempts.hosts;
        hosts.remove_old(context.host);
        self.counting.end(self.report, hosts.out(), failure, context.host.now());
        self.exclusive.set_results(hosts.stored(), self.counting.figures());
        let Some((lock, left)) = self.exclusive.into_lock() else {
            context.host.event(Level::Warn, "run.taken-over", json!({"run": context.run}));
            return self.failure.map_or(Ok(RunEnd::Early), Err);
        };
        let write = match self.stopped {
            None => lock.release(&left),
            Some((why, pause, _)) => {
                let until = context.host.now() + pause;
                self.hint.pause(context.host, until).await;
                lock.release_and_pause(&left, why, until)
            }
        };
        // If the release fails, the run lock ends by itself, because no run renews it.
        if let Err(error) = context.runs.write(write).await {
            let fields = json!({"run": context.run, "reason": error.to_string()});
            context.host.event(Level::Warn, "run.lock-not-released", fields);
        }
        self.failure.map_or(Ok(ended), Err)
    }
}
