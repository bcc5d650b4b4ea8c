//! Recurring alerts. A *series* is a recurring alert: one alert after the other, at regular times. A failure
//! does not end the series. After an outage, only the newest alert of the series is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use state::ledger::{AlertId, Following, Ledger, NewAlert, Period, Status};
use state::{ConversationKey, Tables};
use storage_account::Account;

use crate::settled::{poll_for, record, wall, with_tables};
use crate::sim::{Planned, QUEUE, Reply, Sim};
use crate::{envelope, milliseconds, seconds};
use platform::Deadline;
use platform::testing::FakeHost;
use trigger_component::Limits;

const EVERY: u64 = 60;

/// Inserts the record of the first alert of a series into the ledger, and puts this alert on the queue, as
/// the bot does. One alert of the series is due each minute; `alerts` is the number of alerts.
fn accept_series(sim: &Sim, conversation: &str, alerts: u32) -> AlertId {
    let key = ConversationKey::parse(&platform::name_of(&["msteams", conversation])).unwrap();
    let id = AlertId::of_activity(wall(sim), &key, "series");
    let alert = NewAlert {
        tag: Some("news".into()),
        key: Some("ci".into()),
        series: Some(id.as_str().to_owned()),
        ..NewAlert::queued(id.clone(), key.as_str())
    };
    with_tables(sim, async |host: &FakeHost, account: &Account, tables: &Tables, deadline: Deadline| {
        Ledger::new(host, account, tables, deadline).accept(&alert).await.unwrap()
    });
    let mut message = envelope(conversation, "tick");
    let until = wall(sim) + TimeDelta::seconds(i64::from(alerts - 1) * EVERY as i64);
    message["id"] = id.as_str().into();
    (message["cancellable"], message["stoppable"]) = (true.into(), true.into());
    message["enqueuedAt"] = wall(sim).to_rfc3339().into();
    message["series"] = json!({
        "first": id.as_str(), "start": wall(sim).to_rfc3339(), "every": EVERY, "until": until.to_rfc3339(), "index": 0,
    });
    sim.put(&message);
    id
}

fn id_of(sim: &Sim, first: &AlertId, index: u32, start: Duration) -> AlertId {
    let accepted = wall(sim) - TimeDelta::from_std(sim.now() - start).unwrap();
    AlertId::of_series(first, index, Period::of(accepted))
}

/// Returns how often each alert of the series was sent. The keys of the map are the indexes of the alerts.
fn sent(sim: &Sim, start: Duration) -> BTreeMap<u64, usize> {
    let mut sent = BTreeMap::new();
    for attempt in sim.attempts.borrow().iter().filter(|attempt| attempt.shown) {
        *sent.entry((attempt.at - start).as_secs() / EVERY).or_default() += 1;
    }
    sent
}

#[test]
fn series_sends_one_alert_at_each_time_until_the_end() {
    let sim = Sim::new(1);
    let start = sim.now();
    let first = accept_series(&sim, "a", 4);
    poll_for(&sim, seconds(400));
    assert_eq!(sent(&sim, start), BTreeMap::from([(0, 1), (1, 1), (2, 1), (3, 1)]));
    let late = |at: Duration| (at - start).as_millis() % (u128::from(EVERY) * 1000);
    assert!(sim.attempts.borrow().iter().all(|attempt| late(attempt.at) < 2500));
    assert!(sim.storage.borrow().queues[QUEUE].is_empty());
    let found = record(&sim, &first);
    assert_eq!((found.status, found.following()), (Status::Delivered, Following::Nothing));
    for index in 1..4 {
        let found = record(&sim, &id_of(&sim, &first, index, start));
        assert_eq!(found.status, Status::Delivered, "{index}");
        assert_eq!((found.key.as_deref(), found.tag.as_deref()), (Some("ci"), Some("news")), "{index}");
        assert_eq!(found.series.as_deref(), Some(first.as_str()), "{index}");
    }
}

#[test]
fn run_that_is_killed_at_any_moment_loses_no_alert_of_a_series() {
    for index in [0_u32, 1] {
        for after in (1..80).step_by(2) {
            let sim = Sim::new(after + 1000 * u64::from(index));
            let start = sim.now();
            let first = accept_series(&sim, "a", 4);
            if index > 0 {
                poll_for(&sim, seconds(EVERY - 2));
                sim.pass(start + seconds(EVERY) + milliseconds(10) - sim.now());
            }
            let (begin, limits) = (sim.now(), Limits::default());
            let kill = begin + milliseconds(after);
            sim.run_all(vec![Planned { start: begin, kill: Some(kill), limits }]);
            // The queue can hide the message of the killed run until the *lease* ends: 60 s after the run
            // dequeued the message. At that time, the next alert of the series is already due, and is sent
            // instead. So the test expects three of the four alerts or more.
            poll_for(&sim, seconds(500));
            let shown = sent(&sim, start);
            let times_sent = shown.get(&u64::from(index)).copied().unwrap_or_default();
            // If the run is killed after it has sent an alert, and before it has deleted the message, a later
            // run can send the alert again. `can_repeat`: whether the kill came less than 12 ms after an
            // attempt.
            let can_repeat = sim
                .attempts
                .borrow()
                .iter()
                .any(|attempt| attempt.at <= kill && kill - attempt.at < milliseconds(12));
            for (alert, count) in &shown {
                assert!(
                    *count == 1 || can_repeat,
                    "killed after {after} ms: alert {alert} was sent {count} times"
                );
            }
            let newest = shown.keys().next_back();
            assert_eq!(newest, Some(&3), "killed after {after} ms: {shown:?}");
            assert!(
                shown.len() >= 3 && (times_sent <= 1 || can_repeat),
                "killed after {after} ms: {shown:?}"
            );
            assert!(sim.storage.borrow().queues[QUEUE].is_empty(), "killed after {after} ms");
            let found = record(&sim, &first);
            assert_eq!(found.following(), Following::Nothing, "killed after {after} ms");
        }
    }
}

#[test]
fn series_after_an_outage_sends_only_the_newest_alert() {
    let sim = Sim::new(3);
    let start = sim.now();
    let first = accept_series(&sim, "a", 30);
    poll_for(&sim, seconds(10));
    sim.pass(seconds(10 * EVERY));
    poll_for(&sim, seconds(3));
    assert_eq!(sent(&sim, start), BTreeMap::from([(0, 1), (10, 1)]));
    let missed = record(&sim, &id_of(&sim, &first, 1, start));
    assert_eq!(missed.status, Status::Expired);
    assert!(missed.reason.unwrap().starts_with("series: a newer alert"));
    poll_for(&sim, seconds(EVERY));
    assert_eq!(sent(&sim, start).get(&11), Some(&1), "the series goes on");
    // The Connector fails for five minutes. The queue must not collect all alerts of this time.
    sim.connector(|_, _| Reply::status(503));
    poll_for(&sim, seconds(5 * EVERY));
    sim.connector(|_, _| Reply::status(201));
    poll_for(&sim, seconds(2 * EVERY));
    let shown = sent(&sim, start);
    assert!(shown.values().all(|count| *count == 1) && shown.keys().next_back() >= Some(&17), "{shown:?}");
    assert!(sim.storage.borrow().queues[QUEUE].len() <= 2);
}

#[test]
fn series_that_the_sender_has_ended_sends_no_more_alerts() {
    let sim = Sim::new(4);
    let start = sim.now();
    let first = accept_series(&sim, "a", 30);
    poll_for(&sim, seconds(EVERY + 5));
    let before = with_tables(&sim, async |host, account, tables, deadline| {
        Ledger::new(host, account, tables, deadline).end_series(&first).await.unwrap().unwrap()
    });
    assert_eq!(before.following(), Following::Alert(id_of(&sim, &first, 2, start)));
    poll_for(&sim, seconds(3 * EVERY));
    assert_eq!(sent(&sim, start), BTreeMap::from([(0, 1), (1, 1)]));
    assert_eq!(record(&sim, &id_of(&sim, &first, 2, start)).status, Status::Cancelled);
    assert!(sim.storage.borrow().queues[QUEUE].is_empty());
}

#[test]
fn failed_put_of_the_next_alert_delays_the_alert_and_no_alert_is_sent_twice() {
    let sim = Sim::new(5);
    let start = sim.now();
    accept_series(&sim, "a", 3);
    let refused = std::cell::Cell::new(0);
    sim.faults(move |request| {
        let is_put = request.method() == http::Method::POST && refused.get() < 6;
        refused.set(refused.get() + usize::from(is_put));
        is_put.then_some(crate::sim::Fault::Status(503))
    });
    poll_for(&sim, seconds(4 * EVERY));
    assert_eq!(sent(&sim, start), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
}
