//! The drain: one [run](Run), from its settings to its line in the log.

use std::cell::Cell;

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
use crate::run::Run;
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
    let mut lease = RunLease::new(settings.queue.name.as_str(), run.clone(), host);
    if let Some(busy) = lease.holder(host).await {
        report.skip(busy);
        return Ok(());
    }
    let hard_end = Deadline::after(host, limits.hard_end);
    let last_answer = Deadline::after(host, limits.hard_end.saturating_sub(AFTER_THE_LAST_ANSWER));
    let poison_name = settings.queue.name.poison();
    let tokens = settings.bot.as_ref().map(|bot| Tokens::new(host, bot));
    let courier = match &settings.direct_line {
        None => Courier::Connector(Connector::new(host, tokens.as_ref(), last_answer)),
        Some(direct_line) => Courier::DirectLine(DirectLine::new(host, direct_line, last_answer)),
    };
    let desk = Desk {
        host,
        run: &run,
        limits: &limits,
        queue: QueueClient::new(host, &settings.queue.account, &settings.queue.name, hard_end),
        poison: QueueClient::new(host, &settings.queue.account, &poison_name, hard_end),
        holds: Holds::new(settings.queue.name.as_str()),
        courier,
        trust: &settings.trust,
        seal_key: settings.seal_key.as_ref(),
        unsealed: settings.unsealed,
        has_delivered: Cell::new(false),
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
        // It has nothing else to do.
        Marks::sweep(&ALL_MARKS, host).await;
    }
    result
}
