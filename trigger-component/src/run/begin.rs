//! Begins a run (one execution of the poller), and does its work. A run works only while it holds the *run
//! lock*, so two runs never work at the same time. When the queue is empty, the run releases the lock, and
//! then looks at the queue again. If the queue has new messages by then, the run takes the lock again, and
//! goes on.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use bot_framework::{Connector, DirectLine, Tokens};
use envelope::EnvelopeId;
use futures_util::future::join;
use platform::{Deadline, Host, Level, excerpt};
use serde_json::json;
use state::Conversations;
use state::ledger::Ledger;
use state::runs::{DeadLetters, FreeLock, LockState, PauseReason, RunLock, Runs, Withdrawals};
use storage_queue::{QueueClient, QueueError};
use storage_table::{Key, TableError};

use super::clean;
use super::error::RunError;
use super::figures::Counting;
use super::report::{Report, SkipReason};
use super::{Run, RunContext, RunEnd};
use crate::attempt::{AnswerTools, Attempts, DeliveryPath, Hosts, TokenUse};
use crate::limits::{AFTER_LAST_RESPONSE, Limits};
use crate::queue::{Queues, Warnings};
use crate::runs::{ExclusiveRun, Hint, record_idle};
use crate::settings::RunSettings;
use crate::turns::Turns;

/// The entry point that started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryPoint {
    /// A tick of the cron trigger.
    Cron,
    /// A call to `/internal/poll` without `Prefer: respond-async`.
    Http,
    /// A call to `/internal/poll` with `Prefer: respond-async`. Usually this call is the *kick*: the bot
    /// makes the call after it has put a message on the queue. The same call from another program counts as
    /// a kick, too. The poller responds when the run has begun, so the caller need not wait until the run
    /// ends.
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

/// The note for operators in the log, if a newer version of the poller wrote the record of the run lock.
const NEWER_LOCK: &str = "the record `run` in the table of runs: a newer version of the poller wrote this \
     record, so this version sends nothing; deploy the newer version again, or delete the record";

/// Does one run, and writes one log line, even if the run fails. `called_at` is the moment at which the Spin
/// host called the component, on the monotonic clock. The time limits of the run count from this moment,
/// because reading the variables can take seconds.
pub async fn run<H: Host>(
    host: &H,
    entry_point: EntryPoint,
    called_at: Duration,
) -> Result<Report, RunError> {
    run_within(host, entry_point, called_at, Limits::default()).await
}

/// Does the same as [`run`], but with other limits.
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

/// The result of [`begin`].
#[derive(Debug)]
pub enum Beginning {
    /// The run has taken the run lock, and can work.
    Begun(Box<Begun>),
    /// The run does no work: the queue is empty, or another run holds the run lock, or all runs pause (for
    /// example, because the bot's credentials were refused). In the last two cases, the report has the
    /// reason.
    Skipped(Box<Report>),
}

/// A run that holds the run lock.
#[derive(Debug)]
pub struct Begun {
    settings: RunSettings,
    limits: Limits,
    lock: RunLock,
    free: FreeLock,
    log: RunLog,
}

/// The data for the run's log line.
#[derive(Debug)]
struct RunLog {
    report: Report,
    entry_point: EntryPoint,
    start: Duration,
    /// The table key of the run lock's record, if a property of this record has an unexpected type. The run
    /// logs this key.
    odd_record: Option<Key>,
}

impl RunLog {
    fn write<H: Host>(&mut self, host: &H, error: Option<&RunError>) {
        self.report.elapsed = host.monotonic().saturating_sub(self.start);
        self.report.log(host, self.entry_point.as_str(), error.map(ToString::to_string).as_deref());
    }

    /// Returns the deadline for the moment at which the run is as old as `after`.
    fn deadline<H: Host>(&self, host: &H, after: Duration) -> Deadline {
        Deadline::after(host, after.saturating_sub(host.monotonic().saturating_sub(self.start)))
    }
}

/// Begins a run: reads the settings, and takes the run lock if there is work and the lock is free. If the run
/// does not begin, this function writes the run's log line. For `called_at`, see [`run`].
pub async fn begin<H: Host>(
    host: &H,
    entry_point: EntryPoint,
    called_at: Duration,
    limits: Limits,
) -> Result<Beginning, RunError> {
    let mut random = [0; 16];
    host.fill(&mut random);
    let report = Report::of_run(EnvelopeId::random(random).to_string());
    let mut log = RunLog { report, entry_point, start: called_at, odd_record: None };
    let begun = match RunSettings::read(host) {
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

/// Fetches a token for the storage account, if the account needs one. Then takes the run lock.
async fn prepare<H: Host>(
    host: &H,
    settings: &mut RunSettings,
    limits: &Limits,
    log: &mut RunLog,
) -> Result<Option<(RunLock, FreeLock)>, RunError> {
    settings.open_storage(host, log.deadline(host, limits.hard_end)).await?;
    take_lock(host, settings, limits, log).await
}

/// Takes the run lock. Returns `None` if there is no work, if another run holds the lock, or if all runs
/// pause. There is work if the queue has messages, or if the last run left unfinished work in the record of
/// the lock. If a kick started the run, this function does not look at the queue, because the bot has
/// probably just put a message there.
async fn take_lock<H: Host>(
    host: &H,
    settings: &RunSettings,
    limits: &Limits,
    log: &mut RunLog,
) -> Result<Option<(RunLock, FreeLock)>, RunError> {
    let deadline = log.deadline(host, limits.hard_end);
    let RunSettings { queue, tables, .. } = settings;
    let runs = Runs::new(host, &queue.account, tables, queue.name.as_str(), deadline);
    let client = QueueClient::new(host, &queue.account, &queue.name, deadline);
    let retries = || client.retries() + runs.retries();
    let (state, is_empty) = match log.entry_point {
        EntryPoint::Kick => (runs.read_lock().await, false),
        EntryPoint::Cron | EntryPoint::Http => {
            let (state, peeked) = join(runs.read_lock(), client.peek(1)).await;
            let is_empty = match peeked {
                Ok(texts) => texts.is_empty(),
                // The bot's first Put creates the queue, so a missing queue has no messages.
                Err(QueueError::QueueMissing) => true,
                // The client cannot read the response, so perhaps the queue has a message.
                Err(QueueError::Unreadable(_)) => false,
                Err(error) => return Err(error.into()),
            };
            (state, is_empty)
        }
    };
    log.odd_record = runs.skipped();
    log.report.storage_retries = retries();
    let free = match state? {
        LockState::Free(free) => free,
        state @ (LockState::Held | LockState::Newer) => {
            if state == LockState::Newer {
                host.event(
                    Level::Error,
                    "run.lock-newer",
                    json!({"run": log.report.run, "note": NEWER_LOCK}),
                );
            }
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
    if is_empty && free.left.is_empty() && free.ended.is_empty() {
        record_idle(host, &runs, queue.name.as_str()).await;
        if clean::is_due_without_messages(host) {
            clean::clean(host, settings, log.deadline(host, limits.budget)).await;
        }
        return Ok(None);
    }
    let lock = runs.take_lock(&log.report.run, &free).await?;
    log.report.storage_retries = retries();
    if lock.is_none() {
        log.report.skip(SkipReason::AnotherRun);
    }
    Ok(lock.map(|lock| (lock, *free)))
}

impl Begun {
    /// The run's id in the log.
    pub fn id(&self) -> &str {
        &self.log.report.run
    }

    /// Does the work of the run, and writes its log line, even if the run fails.
    pub async fn work<H: Host>(self, host: &H) -> Result<Report, RunError> {
        let Self { settings, limits, lock, free, mut log } = self;
        let result = do_work(host, &settings, &limits, (lock, free), &mut log).await;
        log.write(host, result.as_ref().err());
        result.map(|()| log.report)
    }
}

/// Does the work of a run until the queue is empty, or until the run is as old as [`Limits::budget`].
async fn do_work<H: Host>(
    host: &H,
    settings: &RunSettings,
    limits: &Limits,
    mut taken: (RunLock, FreeLock),
    log: &mut RunLog,
) -> Result<(), RunError> {
    let run = log.report.run.clone();
    let hard_end = log.deadline(host, limits.hard_end);
    let last_response = log.deadline(host, limits.hard_end.saturating_sub(AFTER_LAST_RESPONSE));
    let budget = log.deadline(host, limits.budget);
    let RunSettings { queue, tables, trust, tenants, .. } = settings;
    let (poison_name, replies_name) = (queue.name.poison(), queue.name.replies());
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
        dead: DeadLetters::new(host, &queue.account, tables, queue.name.as_str(), hard_end),
        seal_key: settings.seal_key.as_ref(),
        warnings: Warnings::default(),
    };
    let attempts = Attempts {
        host,
        run: &run,
        limits,
        ledger: &ledger,
        queue: &queues.main,
        conversations: Conversations::new(host, &queue.account, tables, hard_end),
        delivery_path,
        trust,
        tenants,
        seal_key: settings.seal_key.as_ref(),
        unsealed: settings.unsealed,
        token_use: TokenUse::default(),
        turns: Turns::default(),
        hosts: Hosts::read(&taken.1.hosts),
        answers: AnswerTools {
            bot: settings.bot.as_ref(),
            queue_name: queue.name.as_str(),
            callback_hosts: &settings.callback_hosts,
            secrets: settings.callback_secrets.as_ref(),
            replies: QueueClient::new(host, &queue.account, &replies_name, hard_end),
            withdrawals: Withdrawals::new(host, &queue.account, tables, queue.name.as_str(), hard_end),
            keys: OnceCell::new(),
            deadline: last_response,
        },
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
    let mut cleans = false;
    let result = loop {
        let (lock, free) = taken;
        cleans |= clean::is_due_after(lock.number());
        let figures = free.figures(host.now());
        let pauses = matches!(context.attempts.delivery_path, DeliveryPath::Connector(_));
        let counting = Counting::new(figures, &run, log.entry_point.as_str(), pauses, host.now());
        let exclusive = ExclusiveRun::new(lock, free.left, free.ended);
        let ended = Run::new(&context, exclusive, &mut hint, &mut log.report, budget, is_kicked, counting)
            .drive()
            .await;
        if !matches!(ended, Ok(RunEnd::QueueEmpty)) || budget.has_passed(host) {
            break ended.map(drop);
        }
        // Perhaps the bot has put a message on the queue after the last Get Messages call of this run, and
        // has sent the kick before this run released the run lock. Then the kick had no effect, because this
        // run still held the lock. Without another kick, the message would have to wait for the next
        // scheduled run. So this run looks at the queue again.
        match take_lock_again(&context, &run).await {
            Some(again) => taken = again,
            None => break Ok(()),
        }
    };
    let of_runs = log.odd_record.take().or(runs.skipped()).or(context.withdrawals.skipped());
    for (table, key) in [(&tables.ledger, ledger.skipped()), (&tables.runs, of_runs)] {
        if let Some(key) = key {
            let fields = json!({
                "run": run, "table": table.as_str(), "partition": excerpt(&key.partition), "row": excerpt(&key.row),
                "note": "entity: some of its properties cannot be read and are ignored; another program or a newer version wrote them",
            });
            host.event(Level::Warn, "table.entity-skipped", fields);
        }
    }
    // Some of the runs without messages delete expired rows (in `take_lock`). But some bots have no run
    // without messages: for example, their queue is never empty, or only kicks start their runs. So some of
    // the runs with messages delete expired rows, too.
    if cleans && result.is_ok() && !budget.has_passed(host) {
        clean::clean(host, settings, budget).await;
    }
    if log.report.received > 0 && trust.trusts_loopback() {
        let fields = json!({"run": run, "note": "servicehosts: names this machine; use that for tests only"});
        host.event(Level::Warn, "trust.loopback", fields);
    }
    log.report.storage_retries += [
        queues.main.retries(),
        queues.poison.retries(),
        queues.dead.retries(),
        context.attempts.answers.replies.retries(),
        runs.retries(),
        ledger.retries(),
        context.attempts.conversations.retries(),
        context.withdrawals.retries(),
        context.attempts.answers.withdrawals.retries(),
    ]
    .iter()
    .sum::<u32>();
    result
}

/// Takes the run lock again if the lock is free, unless the queue is empty. If the queue cannot be read,
/// perhaps the queue has messages, so this function takes the lock. If the record of the lock cannot be read
/// or written, this function returns `None`. The next run then delivers the messages.
async fn take_lock_again<H: Host>(context: &RunContext<'_, H>, run: &str) -> Option<(RunLock, FreeLock)> {
    if context.queues.main.peek(1).await.is_ok_and(|texts| texts.is_empty()) {
        return None;
    }
    let taken = async {
        let LockState::Free(free) = context.runs.read_lock().await? else { return Ok(None) };
        let lock = context.runs.take_lock(run, &free).await?;
        Ok::<_, TableError>(lock.map(|lock| (lock, *free)))
    };
    taken.await.unwrap_or_else(|error| {
        // The messages stay on the queue until the next run.
        context.queues.warn_once("run.not-repeated", &error);
        None
    })
}
