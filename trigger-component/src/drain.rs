//! The drain: takes messages off the queue until it is empty or the budget is used, works on many conversations at once,
//! each in order, and hands back what it had no time for.
//!
//! One loop over events: every call to the outside is a job that ends in an [`Event`], and only the loop changes the
//! run's state. Correctness rests on the queue's leases; everything else only makes it fast.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use bot_framework::{Connector, DirectLine, Tokens};
use envelope::{Arrival, CALLED, CANCELLED, Envelope, EnvelopeId, SENT, UNSURE};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use platform::{Deadline, Host, Level, Marks, SettingsError};
use serde_json::json;
use storage_queue::{QueueClient, QueueError, QueueMessage};
use thiserror::Error;

use crate::courier::Courier;
use crate::delivery::{Desk, Next, Settled};
use crate::disposition::Stop;
use crate::lanes::{Held, LaneKey, Lanes, Pushed};
use crate::lease::RunLease;
use crate::limits::Limits;
use crate::report::{Count, Report};
use crate::settings::DrainSettings;

/// Which door a run came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A tick of the cron trigger.
    Cron,
    /// `POST /internal/poll`.
    Http,
}

/// Why a run could not do its work. Nothing is lost by it.
#[derive(Debug, Error)]
pub enum RunError {
    /// A variable is wrong.
    #[error("{0}")]
    Misconfigured(#[from] SettingsError),
    /// The queue cannot be read.
    #[error("the queue cannot be read: {0}")]
    Queue(#[from] QueueError),
}

/// Runs once, and logs one line whatever happens.
pub async fn run<H: Host>(host: &H, door: Door) -> Result<Report, RunError> {
    run_within(host, door, Limits::default()).await
}

/// [`run`] with other limits.
pub async fn run_within<H: Host>(host: &H, door: Door, limits: Limits) -> Result<Report, RunError> {
    let mut random = [0; 16];
    host.fill(&mut random);
    let mut report = Report::of_run(EnvelopeId::random(random).to_string());
    let start = host.monotonic();
    let result = match DrainSettings::read(host) {
        Ok(settings) => drain(host, &settings, limits.with_pace(settings.pace), &mut report).await,
        Err(error) => Err(error.into()),
    };
    report.elapsed = host.monotonic().saturating_sub(start);
    let door = match door {
        Door::Cron => "cron",
        Door::Http => "http",
    };
    report.log(host, door, result.as_ref().err().map(ToString::to_string).as_deref());
    result.map(|()| report)
}

async fn drain<H: Host>(
    host: &H,
    settings: &DrainSettings,
    limits: Limits,
    report: &mut Report,
) -> Result<(), RunError> {
    let run = report.run.clone();
    let mut lease = RunLease::new(settings.queue.name.as_str(), run.clone());
    if let Some(busy) = lease.holder(host).await {
        report.skip(busy);
        return Ok(());
    }
    let hard_end = Deadline::after(host, limits.hard_end);
    let poison_name = settings.queue.name.poison();
    let tokens = settings.bot.as_ref().map(|bot| Tokens::new(host, bot));
    let courier = match &settings.direct_line {
        None => Courier::Connector(Connector::new(host, tokens.as_ref(), hard_end)),
        Some(direct_line) => Courier::DirectLine(DirectLine::new(host, direct_line, hard_end)),
    };
    let desk = Desk {
        host,
        run: &run,
        limits: &limits,
        queue: QueueClient::new(host, &settings.queue.account, &settings.queue.name, hard_end),
        poison: QueueClient::new(host, &settings.queue.account, &poison_name, hard_end),
        courier,
        trust: &settings.trust,
        seal_key: settings.seal_key.as_ref(),
        unsealed: settings.unsealed,
    };
    let result = Run::new(&desk, &mut lease, report).drive().await;
    if report.received > 0 && settings.trust.trusts_loopback() {
        let fields =
            json!({"run": report.run, "note": "servicehosts names this machine, which is for tests"});
        host.event(Level::Warn, "trust.loopback", fields);
    }
    report.storage_retries = desk.queue.retries() + desk.poison.retries();
    lease.release(host).await;
    if report.received == 0 {
        Marks::sweep(&[SENT, UNSURE, CANCELLED, CALLED], host).await;
    }
    result
}

/// Something that a job has done.
enum Event {
    Fetched(Result<Vec<QueueMessage>, QueueError>),
    /// The message of this name, in this lane.
    Worked(LaneKey, String, Settled),
    /// A message that was no envelope, or whose text nobody could read.
    Buried(Settled),
    Hidden(Count, usize),
    Renewed(LaneKey, Vec<Held>, usize),
    Woke,
}

type Job<'a> = Pin<Box<dyn Future<Output = Event> + 'a>>;

struct Run<'a, 'r, H> {
    desk: &'a Desk<'a, H>,
    lease: &'r mut RunLease,
    report: &'r mut Report,
    budget: Deadline,
    lanes: Lanes,
    jobs: FuturesUnordered<Job<'a>>,
    /// Conversations being worked on.
    busy: usize,
    fetching: bool,
    /// The queue has answered "nothing".
    empty: bool,
    /// Nothing more is started.
    stopping: bool,
    /// Nothing more can be sent, and the log says why.
    stopped: bool,
    /// When the loop is woken for what is due, so that it is asked for once.
    wakes_at: Option<Duration>,
    delivered: BTreeSet<String>,
}

impl<'a, 'r, H: Host> Run<'a, 'r, H> {
    fn new(desk: &'a Desk<'a, H>, lease: &'r mut RunLease, report: &'r mut Report) -> Self {
        Self {
            desk,
            lease,
            report,
            budget: Deadline::after(desk.host, desk.limits.budget),
            lanes: Lanes::default(),
            jobs: FuturesUnordered::new(),
            busy: 0,
            fetching: false,
            empty: false,
            stopping: false,
            stopped: false,
            wakes_at: None,
            delivered: BTreeSet::new(),
        }
    }

    async fn drive(mut self) -> Result<(), RunError> {
        let mut failure = None;
        self.fetch();
        while let Some(event) = self.jobs.next().await {
            match event {
                Event::Fetched(Ok(messages)) => {
                    self.fetching = false;
                    if messages.is_empty() {
                        self.empty = true;
                    } else {
                        self.lease.hold(self.desk.host).await;
                    }
                    for message in messages {
                        self.take_in(message);
                    }
                }
                // A queue that nobody has written to yet is an empty one.
                Event::Fetched(Err(QueueError::QueueMissing)) => (self.fetching, self.empty) = (false, true),
                Event::Fetched(Err(error)) => {
                    (self.fetching, self.stopping) = (false, true);
                    failure = Some(RunError::from(error));
                }
                Event::Worked(key, mark_name, settled) => {
                    self.busy -= 1;
                    self.report.add(settled.count);
                    if settled.count == Count::Delivered {
                        self.delivered.insert(mark_name);
                    }
                    match settled.next {
                        Next::GoOn => {}
                        Next::Wait(after) => self.hold_back(&key, after),
                        Next::StopRun(stop, reason) => self.stop(stop, &reason).await,
                    }
                    self.lanes.done(&key);
                }
                Event::Buried(settled) => self.report.add(settled.count),
                Event::Hidden(count, messages) => (0..messages).for_each(|_| self.report.add(count)),
                Event::Renewed(key, held, lost) => {
                    (0..lost).for_each(|_| self.report.add(Count::LeaseLost));
                    self.lanes.put_back(&key, held);
                }
                Event::Woke => self.wakes_at = None,
            }
            self.go_on().await;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Starts whatever can be started now.
    async fn go_on(&mut self) {
        if self.budget.has_passed(self.desk.host) && !self.stopping {
            self.stopping = true;
            self.report.out_of_budget = !self.empty || self.lanes.waiting() > 0;
        }
        if self.stopping {
            let waiting = self.lanes.take_all();
            self.hide(waiting, Duration::ZERO, Count::Released);
            return;
        }
        if self.busy > 0 {
            self.lease.hold(self.desk.host).await;
        }
        self.renew();
        self.start_what_is_due();
        if !self.empty && self.lanes.waiting() < self.desk.limits.fetch_below {
            self.fetch();
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

    fn fetch(&mut self) {
        if !self.fetching {
            self.fetching = true;
            self.report.polls += 1;
            let desk = self.desk;
            let lease_seconds = u32::try_from(desk.limits.lease.as_secs()).unwrap_or(u32::MAX);
            self.jobs.push(Box::pin(async move {
                Event::Fetched(desk.queue.get(desk.limits.batch, lease_seconds).await)
            }));
        }
    }

    fn take_in(&mut self, message: QueueMessage) {
        let desk = self.desk;
        self.report.received += 1;
        self.report.saw((desk.host.now() - message.insertion_time).to_std().unwrap_or_default());
        let arrival =
            Arrival { id: EnvelopeId::of_queue_message(message.id.as_str()), at: message.insertion_time };
        let (envelope, seal) = match Envelope::decode(&message.text, desk.seal_key, arrival) {
            Ok(opened) => opened,
            Err(reason) => {
                self.jobs.push(Box::pin(async move {
                    Event::Buried(desk.poison_unreadable(&message, &reason.to_string()).await)
                }));
                return;
            }
        };
        let now = desk.host.monotonic();
        let held = Held { message, envelope, seal, leased_at: now };
        if let Pushed::Blocked(held, wait) = self.lanes.push(held, now) {
            self.hide([*held], behind(wait), Count::HeldBack);
        }
    }

    fn start_what_is_due(&mut self) {
        let desk = self.desk;
        while self.busy < desk.limits.conversations_at_once {
            let now = desk.host.monotonic();
            match self.lanes.start(now, desk.limits) {
                Ok((key, held)) => {
                    self.busy += 1;
                    let already = self.delivered.contains(&held.mark_name());
                    self.jobs.push(Box::pin(async move {
                        let settled =
                            if already { desk.delete_double(&held).await } else { desk.work(&held).await };
                        Event::Worked(key, held.mark_name(), settled)
                    }));
                }
                Err(due) => {
                    self.wake_at(due);
                    return;
                }
            }
        }
    }

    /// Wakes the loop when the next message is due, or when the budget ends.
    fn wake_at(&mut self, due: Option<Duration>) {
        let Some(due) = due else { return };
        let host = self.desk.host;
        let now = host.monotonic();
        let moment = due.min(now + self.budget.remaining(host));
        if self.wakes_at.is_none_or(|earlier| moment < earlier) {
            self.wakes_at = Some(moment);
            self.jobs.push(Box::pin(async move {
                host.sleep(moment.saturating_sub(now)).await;
                Event::Woke
            }));
        }
    }

    /// Pushes what waits in a conversation behind a message that has to wait; other conversations go on.
    fn hold_back(&mut self, key: &LaneKey, after: Duration) {
        let until = self.desk.host.monotonic() + after;
        let waiting = self.lanes.block(key, until);
        self.hide(waiting, behind(after), Count::HeldBack);
    }

    fn hide(&mut self, held: impl Into<VecDeque<Held>>, after: Duration, count: Count) {
        let held: VecDeque<Held> = held.into();
        if held.is_empty() {
            return;
        }
        let desk = self.desk;
        self.jobs.push(Box::pin(async move {
            // One after the other: their order is the order in which they come back.
            for held in &held {
                desk.hide(held, after, None).await;
            }
            Event::Hidden(count, held.len())
        }));
    }

    /// Renews the leases that are half over, of messages that nobody works on.
    fn renew(&mut self) {
        let desk = self.desk;
        let Some(moment) = desk.host.monotonic().checked_sub(desk.limits.lease / 2) else { return };
        while let Some((key, held)) = self.lanes.take_leased_before(moment) {
            self.jobs.push(Box::pin(async move {
                let (mut kept, mut lost) = (Vec::new(), 0);
                for mut held in held {
                    match desk.renew(&mut held).await {
                        Ok(()) => kept.push(held),
                        // Somebody else has it now, or soon will.
                        Err(_) => lost += 1,
                    }
                }
                Event::Renewed(key, kept, lost)
            }));
        }
    }
}

/// A pause that ends after that of the message in front.
fn behind(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0) + 1)
}
