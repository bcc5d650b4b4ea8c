//! How a run begins, and that it is followed by another one if something came in its last moment.

use std::cell::Cell;
use std::time::Duration;

use bot_framework::outbound::TokenError;
use bot_framework::{Connector, DirectLine, Tokens};
use envelope::EnvelopeId;
use futures_util::future::join;
use platform::{Deadline, Host, Level, SettingsError};
use serde_json::json;
use state::Conversations;
use state::ledger::Ledger;
use state::runs::{FreeLock, LockState, PauseReason, RunLock, Runs, Withdrawals};
use storage_queue::{QueueClient, QueueError};
use storage_table::TableError;
use thiserror::Error;

use super::report::{Report, SkipReason};
use super::{Ended, Run, RunContext};
use crate::attempt::{Attempts, DeliveryPath, Hosts, TokenUse};
use crate::limits::{AFTER_LAST_RESPONSE, Limits};
use crate::queue::{Queues, Warnings};
use crate::runs::{ExclusiveRun, Hint};
use crate::settings::DrainSettings;

/// Which door a run came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryPoint {
    /// A tick of the cron trigger.
    Cron,
    /// `POST /internal/poll`.
    Http,
    /// The same with `Prefer: respond-async`: somebody says that there is something to do, and waits for nothing.
    Kick,
}

impl EntryPoint {
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
    /// The login host gives no token for the storage account.
    #[error("the storage account cannot be opened: {0}")]
    NoStorageToken(#[from] TokenError),
    /// The tables cannot be read or written. Without them nobody knows whether another run is at work, so nothing is sent.
    #[error("the tables cannot be used, so nothing is sent: {0}")]
    State(#[from] TableError),
}

/// After how many runs that find nothing, on average, what is over is taken out of the tables.
const CLEAN_ONE_IN: u64 = 60;
/// Pages of the ledger that one cleaning looks at.
const PAGES_AT_ONCE: u32 = 8;

/// Runs once, and logs one line whatever happens. `called_at` is when the host called the component, on the monotonic clock:
/// the limits count from there, because reading the variables can take seconds.
pub async fn run<H: Host>(
    host: &H,
    entry_point: EntryPoint,
    called_at: Duration,
) -> Result<Report, RunError> {
    run_within(host, entry_point, called_at, Limits::default()).await
}

/// [`run`] with other limits.
pub async fn run_within<H: Host>(
    host: &H,
    entry_point: EntryPoint,
    called_at: Duration,
    limits: Limits,
) -> Result<Report, RunError> {
    match begin(host, entry_point, called_at, limits).await? {
        Beginning::Begun(begun) => begun.work(host).await,
        Beginning::Skipped(report) => Ok(*report),
    }
}

/// What became of the attempt to begin a run.
#[derive(Debug)]
pub enum Beginning {
    /// The run may work.
    Begun(Box<Begun>),
    /// There is nothing to do, or others do it, or nobody may; the report says why.
    Skipped(Box<Report>),
}

/// A run that is the one at work.
#[derive(Debug)]
pub struct Begun {
    settings: DrainSettings,
    limits: Limits,
    lock: RunLock,
    free: FreeLock,
    log: RunLog,
}

/// What a run's line in the log needs.
#[derive(Debug)]
struct RunLog {
    report: Report,
    entry_point: EntryPoint,
    start: Duration,
}

impl RunLog {
    fn write<H: Host>(&mut self, host: &H, error: Option<&RunError>) {
        self.report.elapsed = host.monotonic().saturating_sub(self.start);
        self.report.log(host, self.entry_point.as_str(), error.map(ToString::to_string).as_deref());
    }

    /// `after` the run's start.
    fn deadline<H: Host>(&self, host: &H, after: Duration) -> Deadline {
        Deadline::after(host, after.saturating_sub(host.monotonic().saturating_sub(self.start)))
    }
}

/// Begins a run: reads its settings, and takes the hold on the queue if there is something to do and nobody else has it. If it
/// cannot begin, that is logged. `called_at` as for [`run`].
pub async fn begin<H: Host>(
    host: &H,
    entry_point: EntryPoint,
    called_at: Duration,
    limits: Limits,
) -> Result<Beginning, RunError> {
    let mut random = [0; 16];
    host.fill(&mut random);
    let report = Report::of_run(EnvelopeId::random(random).to_string());
    let mut log = RunLog { report, entry_point, start: called_at };
    let begun = match DrainSettings::read(host) {
        Err(error) => Err(error.into()),
        Ok(mut settings) => match prepare(host, &mut settings, &limits, &mut log).await {
            Ok(taken) => Ok(taken.map(|taken| (settings, taken))),
            Err(error) => Err(error),
        },
    };
    match begun {
        Ok(Some((settings, (lock, free)))) => {
            let limits = limits.with_pace(settings.pace);
            Ok(Beginning::Begun(Box::new(Begun { settings, limits, lock, free, log })))
        }
        Ok(None) => {
            log.write(host, None);
            Ok(Beginning::Skipped(Box::new(log.report)))
        }
        Err(error) => {
            log.write(host, Some(&error));
            Err(error)
        }
    }
}

/// Gets what opens the storage account, and takes the lock.
async fn prepare<H: Host>(
    host: &H,
    settings: &mut DrainSettings,
    limits: &Limits,
    log: &mut RunLog,
) -> Result<Option<(RunLock, FreeLock)>, RunError> {
    settings.open_storage(host, log.deadline(host, limits.hard_end)).await?;
    take_lock(host, settings, limits, log).await
}

/// Takes the lock; `None` if there is nothing to do, or it is not for this run. A run that was called because there is
/// something to do does not look first.
async fn take_lock<H: Host>(
    host: &H,
    settings: &DrainSettings,
    limits: &Limits,
    log: &mut RunLog,
) -> Result<Option<(RunLock, FreeLock)>, RunError> {
    let deadline = log.deadline(host, limits.hard_end);
    let DrainSettings { queue, tables, .. } = settings;
    let runs = Runs::new(host, &queue.account, tables, queue.name.as_str(), deadline);
    let client = QueueClient::new(host, &queue.account, &queue.name, deadline);
    let (state, is_empty) = match log.entry_point {
        EntryPoint::Kick => (runs.read_lock().await, false),
        EntryPoint::Cron | EntryPoint::Http => {
            let (state, peeked) = join(runs.read_lock(), client.peek(1)).await;
            let is_empty = match peeked {
                Ok(texts) => texts.is_empty(),
                // A queue that nobody has written to yet is an empty one; a message that makes no sense is one.
                Err(QueueError::QueueMissing) => true,
                Err(QueueError::Unreadable(_)) => false,
                Err(error) => return Err(error.into()),
            };
            (state, is_empty)
        }
    };
    let free = match state? {
        LockState::Free(free) => free,
        LockState::Held => {
            log.report.skip(SkipReason::AnotherRun);
            return Ok(None);
        }
        LockState::Paused(why) => {
            log.report.skip(match why {
                PauseReason::CredentialsRefused => SkipReason::CredentialsRefused,
                PauseReason::NoToken => SkipReason::NoToken,
            });
            return Ok(None);
        }
    };
    if log.entry_point != EntryPoint::Kick {
        log.report.polls += 1;
    }
    if is_empty && free.left.is_empty() {
        if host.up_to(CLEAN_ONE_IN - 1) == 0 {
            let ledger = Ledger::new(host, &queue.account, tables, log.deadline(host, limits.budget));
            clean(host, &runs, &ledger).await;
        }
        return Ok(None);
    }
    let lock = runs.take_lock(&log.report.run, &free).await?;
    if lock.is_none() {
        log.report.skip(SkipReason::AnotherRun);
    }
    Ok(lock.map(|lock| (lock, free)))
}

/// Takes what is over out of the tables. It has nothing else to do.
async fn clean<H: Host>(host: &H, runs: &Runs<'_, H>, ledger: &Ledger<'_, H>) {
    let (records, rest) = join(ledger.clean(PAGES_AT_ONCE), runs.clean()).await;
    let fields = match (records, rest) {
        (Ok(0), Ok(0)) => return,
        (Ok(records), Ok(rest)) => json!({"records": records, "rest": rest}),
        (Err(error), _) | (_, Err(error)) => json!({"reason": error.to_string()}),
    };
    host.event(Level::Info, "tables.cleaned", fields);
}

impl Begun {
    /// Its id in the log.
    pub fn id(&self) -> &str {
        &self.log.report.run
    }

    /// Does the work, and logs one line whatever happens.
    pub async fn work<H: Host>(self, host: &H) -> Result<Report, RunError> {
        let Self { settings, limits, lock, free, mut log } = self;
        let result = drain(host, &settings, &limits, (lock, free), &mut log).await;
        log.write(host, result.as_ref().err());
        result.map(|()| log.report)
    }
}

/// Works until the queue is empty or the budget is used.
async fn drain<H: Host>(
    host: &H,
    settings: &DrainSettings,
    limits: &Limits,
    mut taken: (RunLock, FreeLock),
    log: &mut RunLog,
) -> Result<(), RunError> {
    let run = log.report.run.clone();
    let hard_end = log.deadline(host, limits.hard_end);
    let last_response = log.deadline(host, limits.hard_end.saturating_sub(AFTER_LAST_RESPONSE));
    let budget = log.deadline(host, limits.budget);
    let DrainSettings { queue, tables, trust, tenants, .. } = settings;
    let poison_name = queue.name.poison();
    let tokens = settings.bot.as_ref().map(|bot| Tokens::new(host, bot));
    let delivery_path = match &settings.direct_line {
        None => DeliveryPath::Connector(Connector::new(host, tokens.as_ref(), last_response)),
        Some(direct_line) => DeliveryPath::DirectLine(DirectLine::new(host, direct_line, last_response)),
    };
    let runs = Runs::new(host, &queue.account, tables, queue.name.as_str(), hard_end);
    let ledger = Ledger::new(host, &queue.account, tables, hard_end);
    let queues = Queues {
        host,
        run: &run,
        limits,
        main: QueueClient::new(host, &queue.account, &queue.name, hard_end),
        poison: QueueClient::new(host, &queue.account, &poison_name, hard_end),
        ledger: &ledger,
        seal_key: settings.seal_key.as_ref(),
        warnings: Warnings::default(),
    };
    let attempts = Attempts {
        host,
        run: &run,
        limits,
        ledger: &ledger,
        conversations: Conversations::new(host, &queue.account, tables, hard_end),
        delivery_path,
        trust,
        tenants,
        seal_key: settings.seal_key.as_ref(),
        unsealed: settings.unsealed,
        token_use: TokenUse::default(),
        hosts: Hosts::read(&taken.1.hosts),
        may_send_until: Cell::new(Duration::ZERO),
    };
    let withdrawals = Withdrawals::new(host, &queue.account, tables, queue.name.as_str(), hard_end);
    let context = RunContext {
        host,
        run: &run,
        limits,
        queues: &queues,
        attempts,
        runs: &runs,
        ledger: &ledger,
        withdrawals,
    };
    let mut hint = Hint::new(host, queue.name.as_str());
    let is_kicked = log.entry_point == EntryPoint::Kick;
    let result = loop {
        let (lock, free) = taken;
        let exclusive = ExclusiveRun::new(lock, free.left);
        let ended =
            Run::new(&context, exclusive, &mut hint, &mut log.report, budget, is_kicked).drive().await;
        if !matches!(ended, Ok(Ended::QueueEmpty)) || budget.has_passed(host) {
            break ended.map(drop);
        }
        // Who put something on the queue after the last Get, and called while the hold was not given up, was sent away: it
        // would wait for the scheduler.
        match take_lock_again(&context, &run).await {
            Some(again) => taken = again,
            None => break Ok(()),
        }
    };
    if log.report.received > 0 && trust.trusts_loopback() {
        let fields = json!({"run": run, "note": "servicehosts names this machine, which is for tests"});
        host.event(Level::Warn, "trust.loopback", fields);
    }
    log.report.storage_retries =
        queues.main.retries() + queues.poison.retries() + runs.retries() + ledger.retries();
    result
}

/// Takes the hold again, if something is on the queue and nobody else has taken it. A failure leaves it to the next run.
async fn take_lock_again<H: Host>(context: &RunContext<'_, H>, run: &str) -> Option<(RunLock, FreeLock)> {
    if context.queues.main.peek(1).await.is_ok_and(|texts| texts.is_empty()) {
        return None;
    }
    let taken = async {
        let LockState::Free(free) = context.runs.read_lock().await? else { return Ok(None) };
        let lock = context.runs.take_lock(run, &free).await?;
        Ok::<_, TableError>(lock.map(|lock| (lock, free)))
    };
    taken.await.unwrap_or_else(|error| {
        // A message that came at the end of the run waits for the scheduler.
        context.queues.warn_once("run.not-repeated", &error);
        None
    })
}
