//! The hint that a run of the poller is at work. The poller writes the hint into the key-value store, and the
//! bot reads the hint. A *kick* is a request from the bot to the poller, and starts a run. While the hint is
//! valid, the bot sends no kick, because the run at work also dequeues new messages.
//!
//! A missing or wrong hint does no harm, because the hint does not decide whether a run may work. The *run
//! lock* (a row in a table) decides: it lets one run work at a time.

use std::time::Duration;

use platform::{Clock, Host, value_of};
use serde_json::Value;

/// The longest time from now to the end of a hint. The bot ignores a hint with a later end, because the
/// poller writes no such hint if the poller's clock is right.
const LONGEST_HINT: Duration = Duration::from_secs(30);

/// The key of the hint for a queue, in the key-value store.
pub fn run_record_key(queue: &str) -> String {
    format!("drain:{queue}")
}

/// The time at which the hint in `record` ends, in milliseconds since 1970. The result is 0 if the record has
/// no time, or if the time is further in the future than [`LONGEST_HINT`].
fn end_of_hint(record: &Value, clock: &impl Clock) -> i64 {
    let longest = i64::try_from(LONGEST_HINT.as_millis()).unwrap_or(i64::MAX);
    let until = record["untilMilliseconds"].as_i64().unwrap_or_default();
    let is_plausible = until.saturating_sub(clock.now().timestamp_millis()) <= longest;
    if is_plausible { until } else { 0 }
}

/// Whether a run is at work on the queue, according to the hint. If the result is `true`, the bot sends no
/// kick. If the key-value store fails, the result is `false`. The function reads the store once.
///
/// The poller also writes a hint when it pauses all runs: after a service refused the bot's credentials, or
/// gave no token. The result is then `true`, because a run could send nothing during the pause.
pub async fn is_run_at_work(host: &impl Host, queue: &str) -> bool {
    let record = host.get(&run_record_key(queue)).await.ok().flatten();
    let record = record.and_then(|bytes| value_of(&bytes)).unwrap_or_default();
    end_of_hint(&record, host) > host.now().timestamp_millis()
}

#[cfg(test)]
mod tests {
    use platform::testing::{FakeHost, run};
    use serde_json::json;

    use super::*;

    #[test]
    fn run_is_at_work_until_the_time_in_the_record() {
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
