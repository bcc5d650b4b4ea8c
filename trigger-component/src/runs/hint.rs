//! A hint in key-value that a run is at work, so that the bot does not call the poller for each of a thousand messages. It may
//! be lost or wrong: what keeps runs apart is the table.

use std::time::Duration;

use envelope::run_record_key;
use platform::Host;
use serde_json::json;

/// A run that was killed keeps the bot from calling for no longer.
const TERM: Duration = Duration::from_secs(5);
const RENEW_AFTER: Duration = Duration::from_secs(2);
/// A run that is over before that gives none: a write to key-value may be a flush of the disk.
const FIRST_AFTER: Duration = Duration::from_millis(150);

/// What a run has told the bot.
#[derive(Debug)]
pub(crate) struct Hint {
    key: String,
    due: Duration,
    is_written: bool,
}

impl Hint {
    /// Of a run that begins now.
    pub(crate) fn new(host: &impl Host, queue: &str) -> Self {
        Self { key: run_record_key(queue), due: host.monotonic() + FIRST_AFTER, is_written: false }
    }

    /// Gives it, if that is due. Where that fails, the bot calls in vain.
    pub(crate) async fn write(&mut self, host: &impl Host) {
        let now = host.monotonic();
        if now < self.due {
            return;
        }
        self.due = now + RENEW_AFTER;
        self.is_written = true;
        let until = (host.now() + TERM).timestamp_millis();
        _ = host.set(&self.key, json!({"untilMilliseconds": until}).to_string().as_bytes()).await;
    }

    /// Keeps the bot from calling while nothing can be sent.
    pub(crate) async fn pause(&mut self, host: &impl Host, until: chrono::DateTime<chrono::Utc>) {
        self.is_written = false;
        let hint = json!({"untilMilliseconds": until.timestamp_millis()});
        _ = host.set(&self.key, hint.to_string().as_bytes()).await;
    }

    /// Takes it back.
    pub(crate) async fn delete(&mut self, host: &impl Host) {
        if std::mem::take(&mut self.is_written) {
            _ = host.delete(&self.key).await;
        }
    }
}
