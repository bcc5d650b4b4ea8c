//! A hint in key-value that a run is at work, so that the bot does not call the poller for each of a thousand
//! messages. A lost or wrong hint does no harm, because the run lock in the table keeps runs apart.

use std::time::Duration;

use envelope::run_record_key;
use platform::Host;
use serde_json::json;

/// How long a hint is valid. If a run is killed, its hint keeps the bot from calling the poller for at most
/// this time.
const TERM: Duration = Duration::from_secs(5);
const RENEW_AFTER: Duration = Duration::from_secs(2);
/// A run that is shorter than this writes no hint, because a write to key-value may be slow: the host may
/// have to flush it to disk.
const FIRST_AFTER: Duration = Duration::from_millis(150);

/// The hint of one run.
#[derive(Debug)]
pub(crate) struct Hint {
    key: String,
    due: Duration,
    is_written: bool,
}

impl Hint {
    /// The hint of a run that begins now.
    pub(crate) fn new(host: &impl Host, queue: &str) -> Self {
        Self { key: run_record_key(queue), due: host.monotonic() + FIRST_AFTER, is_written: false }
    }

    /// Writes the hint, if that is due. If the write fails, the bot only calls the poller needlessly.
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

    /// Keeps the bot from calling the poller before `until`, because no alert can be sent before then.
    pub(crate) async fn pause(&mut self, host: &impl Host, until: chrono::DateTime<chrono::Utc>) {
        self.is_written = false;
        let hint = json!({"untilMilliseconds": until.timestamp_millis()});
        _ = host.set(&self.key, hint.to_string().as_bytes()).await;
    }

    /// Deletes the hint, if this run has written one.
    pub(crate) async fn delete(&mut self, host: &impl Host) {
        if std::mem::take(&mut self.is_written) {
            _ = host.delete(&self.key).await;
        }
    }
}
