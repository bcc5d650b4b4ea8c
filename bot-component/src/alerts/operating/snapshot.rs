//! Reads the state of the bot at one moment: the main queue, the poison queue, and the figures (counts and
//! times) that the runs (the executions of the poller) have stored in a table.
//!
//! The number of storage calls does not depend on the number of messages. The bot makes five storage calls,
//! and sends each of these calls at most twice. If the connection string has neither an account key nor a
//! SAS, the storage calls need a token. The bot keeps tokens in Spin's key-value store. If the store has no
//! token for the storage account, the bot first requests a token from the login host. If this request fails
//! for a temporary reason, the bot sends the request once more.

use std::time::Duration;

use bot_framework::Tokens;
use chrono::{DateTime, Utc};
use futures_util::future::join4;
use platform::{Deadline, Host, Level};
use serde_json::json;
use state::runs::{Overview, Runs};
use storage_queue::{QueueClient, QueueError};

use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

/// The longest time for all storage calls together. Prometheus waits 10 s by default.
const WITHIN: Duration = Duration::from_secs(8);
/// The highest number of attempts of each storage call. Two attempts are enough, because a program that
/// watches the bot soon calls again.
const ATTEMPTS: u32 = 2;

/// The state of the bot at one moment. If the bot could not read a part of the state, the field of this part
/// is an `Err` with the reason.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// When the bot finished reading, by the clock of the bot's host.
    pub(super) now: DateTime<Utc>,
    /// The name of the queue.
    pub(super) queue_name: String,
    /// The messages on the main queue.
    pub(super) queue: Result<Backlog, String>,
    /// The number of messages in the poison queue.
    pub(super) dead_messages: Result<u64, String>,
    /// The state of the poller's runs.
    pub(super) runs: Result<Overview, String>,
    /// The time until which the bot's key-value store keeps the token for the Connector. `None` if the store
    /// has no such token.
    pub(super) token_kept_until: Option<DateTime<Utc>>,
}

/// The messages on the main queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    /// The number of all messages, hidden messages included. The queue service can report too high a number.
    pub(super) messages: u64,
    /// When the oldest visible message was put on the queue.
    pub(super) oldest_inserted_at: Option<DateTime<Utc>>,
}

impl Snapshot {
    /// Reads the state. If the bot cannot read some parts, the function still returns the other parts. The
    /// function fails if the bot can read no part, or if a setting is wrong.
    pub(super) async fn read<H: Host>(host: &H) -> Result<Self, Rejection> {
        let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
        let (account, name) = (&settings.queue.account, &settings.queue.name);
        let (poison_name, deadline) = (name.poison(), Deadline::after(host, WITHIN));
        let runs = Runs::new(host, account, &settings.tables, name.as_str(), deadline);
        let runs = runs.with_attempts(ATTEMPTS);
        let queue = QueueClient::new(host, account, name, deadline).with_attempts(ATTEMPTS);
        let poison = QueueClient::new(host, account, &poison_name, deadline).with_attempts(ATTEMPTS);
        let (overview, messages, oldest_inserted_at, dead_messages) = join4(
            runs.overview(),
            queue.approximate_count(),
            queue.oldest_insertion(),
            poison.approximate_count(),
        )
        .await;
        let queue = missing_as_empty(messages).and_then(|messages| {
            Ok(Backlog { messages, oldest_inserted_at: missing_as_empty(oldest_inserted_at)? })
        });
        let dead_messages = missing_as_empty(dead_messages);
        let runs = overview.map_err(|error| error.to_string());
        if queue.is_err() && dead_messages.is_err() && runs.is_err() {
            log_unreadable(host, "queue", queue.as_ref().err());
            log_unreadable(host, "tables", runs.as_ref().err());
            return Err(AlertRejection::NothingReadable.into());
        }
        let token_kept_until = match &settings.bot {
            Some(bot) => Tokens::new(host, bot).kept_until().await,
            None => None,
        };
        let queue_name = name.as_str().to_owned();
        Ok(Self { now: host.now(), queue_name, queue, dead_messages, runs, token_kept_until })
    }

    /// The last time at which a run ended without a failure, or found nothing to do.
    pub(super) fn last_success_at(&self) -> Option<DateTime<Utc>> {
        let overview = self.runs.as_ref().ok()?;
        time(overview.figures.succeeded_at).max(overview.idle_at)
    }

    /// The last time at which a run began, ended, or found nothing to do.
    pub(super) fn last_activity_at(&self) -> Option<DateTime<Utc>> {
        let overview = self.runs.as_ref().ok()?;
        let last_run = &overview.figures.last_run;
        time(last_run.began_at).max(time(last_run.ended_at)).max(overview.idle_at)
    }

    /// How long the oldest visible message has been on the queue, by the clock of the storage account.
    /// If the difference between the clocks is unknown, the function uses the clock of the bot's host.
    pub(super) fn oldest_age(&self) -> Option<Duration> {
        let inserted_at = self.queue.as_ref().ok()?.oldest_inserted_at?;
        let ahead = self.runs.as_ref().map(|overview| overview.clock_skew).unwrap_or_default();
        Some((self.now - ahead - inserted_at).to_std().unwrap_or_default())
    }
}

/// Converts a stored time, in milliseconds since 1970. Zero means that the event has not happened yet, so the
/// result is `None`.
pub(super) fn time(milliseconds: i64) -> Option<DateTime<Utc>> {
    (milliseconds != 0).then(|| DateTime::from_timestamp_millis(milliseconds)).flatten()
}

/// Converts the result of reading a queue. A queue that does not exist counts as empty. An error becomes a
/// text without secrets, so that the bot can show the text to callers.
fn missing_as_empty<T: Default>(result: Result<T, QueueError>) -> Result<T, String> {
    match result {
        Err(QueueError::QueueMissing) => Ok(T::default()),
        result => result.map_err(|error| error.to_string()),
    }
}

fn log_unreadable(host: &impl Host, part: &str, reason: Option<&String>) {
    host.event(Level::Error, "status.not-read", json!({"part": part, "reason": reason}));
}
