//! Records that a run found no message on the queue. With these records, an operator can distinguish a poller
//! without work from a poller that no longer runs.

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Host, Level};
use serde_json::json;
use state::runs::Runs;

/// The minimum time between two records of idle runs (runs without a message). If a scheduler starts a run
/// each minute, every third idle run makes a record. This is often enough, because monitoring raises an alarm
/// after five minutes without a record.
const EVERY: TimeDelta = TimeDelta::seconds(150);

/// Records that this run found no message, if no run has made a record within the last 150 seconds
/// ([`EVERY`]). The run reads the time of the last record from the key-value store, and not from the table. A
/// read of the table in each idle run would add 50 % to the storage calls of the run.
pub(crate) async fn record_idle<H: Host>(host: &H, runs: &Runs<'_, H>, queue: &str) {
    let key = format!("idle:{queue}");
    let now = host.now();
    let known = host.get(&key).await.ok().flatten();
    let recorded_at = known
        .and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok())
        .and_then(DateTime::<Utc>::from_timestamp_millis);
    if recorded_at.is_some_and(|at| at <= now && now - at < EVERY) {
        return;
    }
    if let Err(error) = runs.record_idle().await {
        host.event(Level::Warn, "idle.not-recorded", json!({"reason": error.to_string()}));
    }
    // If this write to the key-value store fails, the next idle run makes a record, too.
    _ = host.set(&key, now.timestamp_millis().to_string().as_bytes()).await;
}
