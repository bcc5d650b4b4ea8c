//! The poller's hint that a run is at work. The poller writes the hint, and the bot reads it. While the hint
//! lasts, the bot does not call the poller (the *kick*), because the call would be useless.
//!
//! The hint is a record in the key-value store. A missing or wrong hint does no harm, because the hint does
//! not decide whether a run may work. The *run lock*, a record in a table, lets only one run work at a time.

use std::time::Duration;

use platform::{Clock, Host, value_of};
use serde_json::Value;

/// The longest time from now to the end of a hint. A hint with a later end is wrong, because the clock of the
/// poller's host was ahead when the poller wrote the hint. The bot ignores such a hint.
const LONGEST_HINT: Duration = Duration::from_secs(30);

/// The key of the hint for a queue, in the key-value store.
pub fn run_record_key(queue: &str) -> String {
    format!("drain:{queue}")
}

/// The time at which the hint in `record` ends, in milliseconds since 1970. The result is 0 if the record has
/// no time, or if the time is more than [`LONGEST_HINT`] ahead.
fn end_of_hint(record: &Value, clock: &impl Clock) -> i64 {
    let longest = i64::try_from(LONGEST_HINT.as_millis()).unwrap_or(i64::MAX);
    let until = record["untilMilliseconds"].as_i64().unwrap_or_default();
    let is_plausible = until.saturating_sub(clock.now().timestamp_millis()) <= longest;
    if is_plausible { until } else { 0 }
}

/// Whether a run is at work on the queue. If so, the bot does not need to call the poller. If the bot's
/// credential was refused, or the bot got no token, all runs pause. During the pause, the result is also
/// `true`, because a run could not send anything. If the key-value store fails, the result is `false`. The
/// function reads the store once.
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
