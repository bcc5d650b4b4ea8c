//! The drain: one [run](Run), from its settings to its line in the log.

use std::cell::Cell;
use std::time::Duration;

use bot_framework::{Connector, DirectLine, Tokens};
use envelope::{ALL_MARKS, EnvelopeId};
use platform::{Deadline, Host, Level, Marks, SettingsError};
use serde_json::json;
use storage_queue::{QueueClient, QueueError};
use thiserror::Error;

use crate::courier::Courier;
use crate::delivery::Desk;
use crate::hold::Holds;
use crate::lease::RunLease;
use crate::limits::{AFTER_THE_LAST_ANSWER, Limits};
use crate::report::Report;
use crate::run::{Ended, Run};
use crate::run_record::Busy;
use crate::settings::DrainSettings;

/// Which door a run came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A tick of the cron trigger.
    Cron,
    /// `POST /internal/poll`.
    Http,
    /// The same with `Prefer: respond-async`: somebody says that there is something to do, and waits for nothing.
    Kick,
}

impl Door {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Http => "http",
            Self::Kick => "kick",
        }
    }
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

/// After how many runs that find nothing, on average, marks that are over are looked for.
const SWEEP_ONE_IN: u64 = 60;

/// Runs once, and logs one line whatever happens.
pub async fn run<H: Host>(host: &H, door: Door) -> Result<Report, RunError> {
    run_within(host, door, Limits::default()).await
}

/// [`run`] with other limits.
pub async fn run_within<H: Host>(host: &H, door: Door, limits: Limits) -> Result<Report, RunError> {
    match begin(host, door, limits).await? {
        Beginning::Begun(begun) => begun.work(host).await,
        Beginning::Skipped(report) => Ok(*report),
    }
}

/// What became of the attempt to begin a run.
#[derive(Debug)]
pub enum Beginning {
    /// The run may work.
    Begun(Box<Begun>),
    /// Others do, or nobody may; the report says why.
    Skipped(Box<Report>),
}

/// A run whose settings are read, and that no other run keeps away.
#[derive(Debug)]
pub struct Begun {
    settings: DrainSettings,
    limits: Limits,
    lease: RunLease,
    log: RunLog,
}

/// What a run's line in the log needs.
#[derive(Debug)]
struct RunLog {
    report: Report,
    door: Door,
    start: Duration,
}

impl RunLog {
    fn write<H: Host>(&mut self, host: &H, error: Option<&RunError>) {
        self.report.elapsed = host.monotonic().saturating_sub(self.start);
        self.report.log(host, self.door.as_str(), error.map(ToString::to_string).as_deref());
    }
}

/// Begins a run: reads its settings, and looks whether others are at work. If it cannot begin, that is logged.
pub async fn begin<H: Host>(host: &H, door: Door, limits: Limits) -> Result<Beginning, RunError> {
    // The budget counts from here: reading variables can take its time.
    let start = host.monotonic();
    let mut random = [0; 16];
    host.fill(&mut random);
    let report = Report::of_run(EnvelopeId::random(random).to_string());
    let mut log = RunLog { report, door, start };
    let settings = match DrainSettings::read(host) {
        Ok(settings) => settings,
        Err(error) => {
            let error = RunError::from(error);
            log.write(host, Some(&error));
            return Err(error);
        }
    };
    let mut lease = RunLease::new(settings.queue.name.as_str(), log.report.run.clone(), host);
    if let Some(busy) = lease.holder(host).await {
        log.report.skip(busy);
        log.write(host, None);
        return Ok(Beginning::Skipped(Box::new(log.report)));
    }
    if door == Door::Kick && !lease.announce(host).await {
        log.report.skip(Busy::AnotherRun);
        log.write(host, None);
        return Ok(Beginning::Skipped(Box::new(log.report)));
    }
    let limits = limits.with_pace(settings.pace);
    Ok(Beginning::Begun(Box::new(Begun { settings, limits, lease, log })))
}

impl Begun {
    /// Its id in the log.
    pub fn id(&self) -> &str {
        &self.log.report.run
    }

    /// Does the work, and logs one line whatever happens.
    pub async fn work<H: Host>(mut self, host: &H) -> Result<Report, RunError> {
        let result = self.drain(host).await;
        self.log.write(host, result.as_ref().err());
        result.map(|()| self.log.report)
    }

    async fn drain<H: Host>(&mut self, host: &H) -> Result<(), RunError> {
        let Self { settings, limits, lease, log: RunLog { report, start, .. } } = self;
        let ends = |after: Duration| {
            Deadline::after(host, after.saturating_sub(host.monotonic().saturating_sub(*start)))
        };
        let run = report.run.clone();
        let hard_end = ends(limits.hard_end);
        let last_answer = ends(limits.hard_end.saturating_sub(AFTER_THE_LAST_ANSWER));
        let budget = ends(limits.budget);
        let poison_name = settings.queue.name.poison();
        let tokens = settings.bot.as_ref().map(|bot| Tokens::new(host, bot));
        let courier = match &settings.direct_line {
            None => Courier::Connector(Connector::new(host, tokens.as_ref(), last_answer)),
            Some(direct_line) => Courier::DirectLine(DirectLine::new(host, direct_line, last_answer)),
        };
        let desk = Desk {
            host,
            run: &run,
            limits,
            queue: QueueClient::new(host, &settings.queue.account, &settings.queue.name, hard_end),
            poison: QueueClient::new(host, &settings.queue.account, &poison_name, hard_end),
            holds: Holds::new(settings.queue.name.as_str()),
            courier,
            trust: &settings.trust,
            seal_key: settings.seal_key.as_ref(),
            unsealed: settings.unsealed,
            has_delivered: Cell::new(false),
        };
        let mut had_lease = false;
        let result = loop {
            let ended = Run::new(&desk, lease, report, budget).drive().await;
            let has_lease = lease.is_taken();
            had_lease |= has_lease;
            lease.release(host).await;
            // The bot calls nobody while a run is at work. What it put on the queue after the last Get and before the lease
            // was given up would wait for the scheduler: so there is another Get, unless somebody else makes it.
            let look_again = has_lease && matches!(ended, Ok(Ended::QueueEmpty));
            if !look_again || budget.has_passed(host) || lease.holder(host).await.is_some() {
                break ended.map(drop);
            }
        };
        if had_lease {
            lease.make_sure_it_is_released(host).await;
        }
        if report.received > 0 && settings.trust.trusts_loopback() {
            let fields =
                json!({"run": report.run, "note": "servicehosts names this machine, which is for tests"});
            host.event(Level::Warn, "trust.loopback", fields);
        }
        report.storage_retries = desk.queue.retries() + desk.poison.retries();
        if report.received == 0 && host.up_to(SWEEP_ONE_IN - 1) == 0 {
            // It has nothing else to do.
            Marks::sweep(&ALL_MARKS, host).await;
        }
        result
    }
}
