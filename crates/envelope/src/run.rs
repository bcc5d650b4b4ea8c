//! What the bot has to know of the poller's runs: whether one is at work.

use std::time::Duration;

use platform::{Clock, Host};
use serde_json::Value;

/// A run holds the queue, or keeps others away from it, for no longer than this without saying so again.
pub const LONGEST_HOLD: Duration = Duration::from_secs(30);

/// The key of the record by which the runs of a queue know of each other.
pub fn run_record_key(queue: &str) -> String {
    format!("drain:{queue}")
}

/// Until when a record says that a run is at work, or that none may be, in milliseconds since 1970. What makes no sense
/// says nothing: a record from a clock that was ahead must not keep anybody away for longer than any record could.
pub fn run_holds_until(record: &Value, clock: &impl Clock) -> i64 {
    let longest = i64::try_from(LONGEST_HOLD.as_millis()).unwrap_or(i64::MAX);
    let until = record["untilMilliseconds"].as_i64().unwrap_or_default();
    let makes_sense = until.saturating_sub(clock.now().timestamp_millis()) <= longest;
    if makes_sense { until } else { 0 }
}

/// Whether a run is at work on the queue, or none may be because the bot's credentials were refused. A store that does not
/// answer says no. One read.
pub async fn is_run_at_work(host: &impl Host, queue: &str) -> bool {
    let record = host.get(&run_record_key(queue)).await.ok().flatten();
    let record: Value = record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    run_holds_until(&record, host) > host.now().timestamp_millis()
}

#[cfg(test)]
mod tests {
    use platform::testing::{FakeHost, run};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_at_work_until_its_record_ends() {
        let host = FakeHost::default();
        let now = host.now().timestamp_millis();
        for (record, expected) in [
            (json!({"run": "a", "untilMilliseconds": now + 1}), true),
            (json!({"run": "a", "untilMilliseconds": now}), false),
            (json!({"run": "", "untilMilliseconds": now + 30_000, "why": "noToken"}), true),
            (json!({"run": "a", "untilMilliseconds": now + 30_001}), false),
            (json!({"run": "a"}), false),
            (json!([]), false),
        ] {
            host.store.borrow_mut().insert("drain:q".into(), record.to_string().into_bytes());
            assert_eq!(run(is_run_at_work(&host, "q")), expected, "{record}");
        }
        assert!(!run(is_run_at_work(&host, "another")));
    }
}
