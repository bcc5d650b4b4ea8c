//! The *ledger* (the table with one record for each alert) in the *storm* (a load test with random faults).
//! At the beginning, the test puts many alerts on the queue itself, and inserts a record for each of them, as
//! the bot does. At the end, the test asks the bot for the status of each alert.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use end_to_end::alerts::call;
use end_to_end::stage::Stage;
use end_to_end::table::Table;
use end_to_end::waiting;
use serde_json::Value;
use storage_table::{Batch, Entity, Key, Operation};

/// The longest wait for the final statuses at the end of the storm. This time is long enough for two cases.
/// If a killed Spin host left an alert on the queue, a later run (execution of the poller) dequeues this
/// alert. If a killed Spin host delivered an alert, but did not record the delivery, the bot shows this alert
/// as delivered.
const SETTLED_WITHIN: Duration = Duration::from_secs(200);
const PERIOD_SECONDS: i64 = 8 * 24 * 60 * 60;
const DAY_MILLISECONDS: i64 = 24 * 60 * 60 * 1000;

/// Makes the id of an alert. The text of the alert is the same as its id. Like an id that the bot makes, this
/// id begins with the number of the current period of eight days.
pub(super) fn id(conversation: usize, index: usize) -> String {
    let period = Utc::now().timestamp() / PERIOD_SECONDS;
    format!("{period:04x}{:x}{conversation:019x}{index:08x}", conversation % 16)
}

/// Inserts the records of these alerts.
pub(super) fn insert_records(ledger: &Table, ids: impl Iterator<Item = String>) {
    let now = Utc::now().timestamp_millis();
    let mut partitions: BTreeMap<String, Vec<Entity>> = BTreeMap::new();
    for id in ids {
        let digit = u32::from_str_radix(&id[4..5], 16).unwrap();
        let period = u32::from_str_radix(&id[..4], 16).unwrap();
        let partition = format!("{period:05}.{}", digit % 4);
        let entity = Entity::new(Key::new(&partition, &id)).with("version", 1).with("status", "queued");
        let entity = entity.with_int64("acceptedAt", now).with_int64("endsAt", now + 7 * DAY_MILLISECONDS);
        partitions.entry(partition).or_default().push(entity);
    }
    for entities in partitions.values() {
        for chunk in entities.chunks(100) {
            let operations: Vec<_> = chunk.iter().map(Operation::Insert).collect();
            let done = ledger.with(async |client| client.batch(&operations).await).unwrap();
            assert_eq!(done, Batch::Done);
        }
    }
}

/// Asks the bot for the status of each alert. Repeats the call until the alert has the status that `expected`
/// returns, or until [`SETTLED_WITHIN`] has passed since the start of this function. Returns the number of
/// alerts by status, and a sentence for each wrong status.
pub(super) fn states(
    stage: &Stage,
    ids: &[String],
    expected: impl Fn(&str) -> &'static str,
) -> (BTreeMap<String, usize>, Vec<String>) {
    let deadline = Instant::now() + SETTLED_WITHIN;
    let (mut counts, mut violations) = (BTreeMap::<String, usize>::new(), Vec::new());
    for id in ids {
        loop {
            let response = call(stage, "GET", &format!("/api/alerts/{id}"), &Value::Null);
            let alert = response.json();
            let status = alert["status"].as_str().unwrap_or_default();
            if status != expected(id) && Instant::now() < deadline {
                // Perhaps no run has recorded the outcome yet, so the test starts another run. Or a run was
                // killed after the delivery, and could not record the outcome. In this case, the bot shows
                // the status `delivered` after some minutes.
                _ = stage.try_poll();
                std::thread::sleep(Duration::from_millis(500));
                continue;
            }
            if status != expected(id) {
                violations.push(format!("expected {id} to be {}, found {alert}", expected(id)));
            }
            let certainty = if alert["uncertain"] == true { " (uncertain)" } else { "" };
            *counts.entry(format!("{status}{certainty}")).or_default() += 1;
            break;
        }
    }
    (counts, violations)
}

/// The *figures*: the bot's counts, as `GET /api/status` shows them.
#[derive(Debug)]
pub(super) struct Figures {
    /// How many queue messages have left the queue.
    pub(super) gone: u64,
    /// How many of these queue messages were copies. The queue can hold several messages of one alert. A run
    /// finishes the alert with one of these messages. Runs count the other messages as copies.
    pub(super) copies: u64,
    pub(super) accepted: u64,
    pub(super) text: String,
}

/// Waits until a run has stored the final figures, and then reads the figures from the bot.
pub(super) fn figures(stage: &Stage) -> Figures {
    // Perhaps the last run that found messages could not release the run lock (which lets only one run work
    // at a time), and left some of its messages uncounted. Then the first run that finds no message counts
    // these messages, but perhaps cannot release the lock either. So the test waits for a second run that
    // finds no message.
    for _ in 0..2 {
        waiting::eventually("a run that finds no message", || {
            let response = stage.try_poll();
            let is_idle = || response.json()["received"] == 0 && response.json()["skipped"].is_null();
            Some(()).filter(|()| response.status == 200 && is_idle())
        });
    }
    let totals = waiting::eventually("the figures", || {
        let response = call(stage, "GET", "/api/status", &Value::Null);
        // The table proxy makes some calls fail, and the bot's response is then not 200. So the test calls
        // again.
        Some(response.json()["totals"].clone()).filter(|totals| response.status == 200 && totals.is_object())
    });
    let of = |value: &Value| value.as_u64().unwrap_or_default();
    let ends = [
        "delivered",
        "cancelled",
        "expired",
        "stopped",
        "dropped",
        "replaced",
        "withdrawn",
        "unrecorded",
        "copy",
    ];
    let dead: u64 = totals["dead"].as_object().map_or(0, |dead| dead.values().map(of).sum());
    let ended: u64 = ends.iter().map(|end| of(&totals[*end])).sum();
    Figures {
        gone: ended + dead - of(&totals["foundAgain"]),
        copies: of(&totals["copy"]),
        accepted: of(&totals["accepted"]),
        text: totals.to_string(),
    }
}
