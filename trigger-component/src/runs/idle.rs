//! Records that a run found no message on the queue. So an operator can distinguish a poller without work
//! from a poller that no longer runs.

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Host, Level};
use serde_json::json;
use state::runs::Runs;

/// The minimum time between two records of idle runs (runs without a message). If a scheduler starts a run
/// each minute, every third idle run makes a record. This is often enough, because monitoring raises an alarm
/// after five minutes without a record. The run reads the time of the last record from the key-value store,
/// because a table call in each run would add 50 % to the storage calls of an idle bot.
const EVERY: TimeDelta = TimeDelta::seconds(150);

/// Records that this run found no message, unless an idle run has made a record shortly before.
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
    // If this write fails, the next idle run makes a record again.
    _ = host.set(&key, now.timestamp_millis().to_string().as_bytes()).await;
}
