//! A hint in the key-value store of the Spin host. The hint says that a run is at work, or that all runs
//! pause. While the hint is valid, the bot sends no *kick* (a call to the poller, which starts a run). If a
//! run is at work, a kick is not necessary, because this run also dequeues the new messages. If the hint is
//! lost, the bot sends more kicks. More kicks do no harm, because the run lock (a record in a table) lets
//! only one run work at a time.

use std::time::Duration;

use envelope::run_record_key;
use platform::Host;
use serde_json::json;

/// How long a hint is valid. If a run is killed, its hint prevents kicks for at most this time.
const TERM: Duration = Duration::from_secs(5);
const RENEW_AFTER: Duration = Duration::from_secs(2);
/// The time from the beginning of a run to the first write of the hint. A shorter run writes no hint, because
/// the write can be slow: the Spin host perhaps flushes each write to disk.
const FIRST_AFTER: Duration = Duration::from_millis(150);

/// The hint of one run.
#[derive(Debug)]
pub(crate) struct Hint {
    key: String,
    due: Duration,
    is_written: bool,
}

impl Hint {
    /// Makes the hint of a run that begins now, and writes nothing yet.
    pub(crate) fn new(host: &impl Host, queue: &str) -> Self {
        Self { key: run_record_key(queue), due: host.monotonic() + FIRST_AFTER, is_written: false }
    }

    /// Writes the hint if a write is due. If the write fails, the bot sends kicks that are not necessary.
    /// These kicks do no harm.
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

    /// Writes a hint that prevents kicks until `until`. All runs pause until this time, because the poller
    /// cannot send alerts now. For example, the login host has refused the bot's credentials.
    pub(crate) async fn pause(&mut self, host: &impl Host, until: chrono::DateTime<chrono::Utc>) {
        self.is_written = false;
        let hint = json!({"untilMilliseconds": until.timestamp_millis()});
        _ = host.set(&self.key, hint.to_string().as_bytes()).await;
    }

    /// Deletes the hint if [`Hint::write`] has written it. A hint from [`Hint::pause`] stays.
    pub(crate) async fn delete(&mut self, host: &impl Host) {
        if std::mem::take(&mut self.is_written) {
            _ = host.delete(&self.key).await;
        }
    }
}
