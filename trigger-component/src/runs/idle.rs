//! Records when a run found no message on the queue. So an operator can distinguish a poller without work
//! from a poller that no longer runs.

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Host, Level};
use serde_json::json;
use state::runs::Runs;

/// The least time between two records of idle runs. If a scheduler starts a run each minute, every third idle
/// run makes a record. Monitoring raises an alarm after five minutes without a sign of a run. Key-value holds
/// the time of the last record, because a call to the table in each run would add half to the calls of an
/// idle bot.
const EVERY: TimeDelta = TimeDelta::seconds(150);

/// Records that this run found nothing to do, unless a run has recorded that shortly before.
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
    // If this write fails, the next run records it again.
    _ = host.set(&key, now.timestamp_millis().to_string().as_bytes()).await;
}
