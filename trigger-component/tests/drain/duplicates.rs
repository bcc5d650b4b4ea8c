//! Alerts that runs could deliver twice, because the queue holds an alert twice, a run was killed, or a call
//! failed. The tests check how often the person sees such an alert.
//!
//! The *run lock* is a record that lets only one run work at a time. The *ledger* is the table with the
//! status of each alert.

use std::cell::Cell;

use http::Method;
use serde_json::json;
use trigger_component::Limits;

use crate::sim::{Fault, POISON, Planned, QUEUE, Reply, START_SECONDS, Sim};
use crate::{counts, envelope, milliseconds, seconds};

/// Begins a run, and kills it after `after` milliseconds.
fn killed_after(sim: &Sim, after: u64) {
    let start = sim.now();
    let kill = Some(start + milliseconds(after));
    sim.run_all(vec![Planned { start, kill, limits: Limits::default() }]);
}

#[test]
fn alert_whose_run_is_killed_during_the_delete_is_shown_once() {
    let sim = Sim::new(1);
    sim.put(&envelope("a", "1"));
    // Before the attempt, the run makes five calls of 4 ms each, one after the other: it reads the run lock,
    // writes the run lock, reads the waiting lines (lists of hidden messages), dequeues the message, and
    // writes the run lock again. The attempt takes 14 ms. So the run sends the Delete after 34 ms, and the
    // Delete arrives after 36 ms.
    killed_after(&sim, 35);
    assert_eq!(sim.shown("a").len(), 1, "the run is killed after the Connector's response");
    sim.pass(seconds(61));
    assert_eq!(counts(&sim.run(), ["received"]), [0]);
    assert_eq!(sim.shown("a").len(), 1);
    let is_logged = sim.lines.borrow().iter().any(|line| line.contains("alert.delivered"));
    assert!(!is_logged, "the run was killed before the Delete's response");
}

#[test]
fn status_after_a_failed_delete_is_recorded_before_the_delete_is_repeated() {
    for fault in [Fault::Status(503), Fault::CutBefore, Fault::CutAfter] {
        let sim = Sim::new(1);
        sim.put(&envelope("a", "1"));
        sim.faults(move |request| (request.method() == Method::DELETE).then_some(fault));
        killed_after(&sim, 60);
        assert_eq!(sim.status("a-1").as_deref(), Some("delivered"), "{fault:?}: the ledger has the status");
        assert_eq!(sim.shown("a").len(), 1, "{fault:?}");
        sim.faults(|_| None);
        // The first of these runs puts the message back on the queue. The second run dequeues the message.
        for _ in 0..2 {
            sim.pass(seconds(61));
            sim.run();
        }
        assert_eq!(sim.shown("a").len(), 1, "{fault:?}");
        assert!(sim.storage.borrow().messages(QUEUE).is_empty(), "{fault:?}");
    }
}

#[test]
fn delivery_without_failures_writes_nothing_to_the_key_value_store() {
    let sim = Sim::new(1);
    for conversation in 0..40 {
        sim.put(&envelope(&conversation.to_string(), "1"));
    }
    assert_eq!(counts(&sim.run(), ["delivered"]), [40]);
    assert!(sim.writes.borrow().is_empty(), "{:?}", sim.writes.borrow());
    assert!(sim.waiting_lines_left().is_empty(), "{:?}", sim.waiting_lines_left());
    assert_eq!(sim.status("39-1").as_deref(), Some("delivered"));
}

/// The ledger cannot be written, so only the record of the run lock says that the alert is delivered. The
/// next run reads this record.
#[test]
fn alert_whose_delete_and_ledger_write_fail_is_shown_once() {
    let sim = Sim::new(2);
    let is_write = |request: &http::Request<bytes::Bytes>| request.method() != Method::GET;
    sim.table_faults(move |request| {
        (is_write(request) && request.uri().path().contains("ledger")).then_some(Fault::CutBefore)
    });
    sim.put(&envelope("a", "1"));
    sim.faults(|request| (request.method() == Method::DELETE).then_some(Fault::CutBefore));
    sim.run();
    assert!(sim.lines.borrow().iter().any(|line| line.contains("ledger.not-noted")));
    sim.faults(|_| None);
    sim.pass(seconds(61));
    assert_eq!(counts(&sim.run(), ["delivered", "alreadySent"]), [0, 1]);
    assert_eq!(sim.shown("a").len(), 1);
}

/// If runs dequeue a message more than `Limits::max_unaccounted` times without a result, the poller moves the
/// message to the poison queue. In this test, runs dequeue the message more often. But the message has a
/// result: its alert is delivered. So the poller does not move the message.
#[test]
fn delivered_alert_that_cannot_be_deleted_stays_on_the_queue_and_is_shown_once() {
    let sim = Sim::new(3);
    sim.put(&envelope("a", "1"));
    sim.faults(|request| (request.method() == Method::DELETE).then_some(Fault::Status(503)));
    for _ in 0..12 {
        sim.run();
        sim.pass(seconds(61));
    }
    sim.faults(|_| None);
    assert_eq!(counts(&sim.run(), ["alreadySent"]), [1]);
    assert_eq!(sim.shown("a").len(), 1);
    assert_eq!(sim.storage.borrow().messages(POISON).len(), 0);
}

/// If the queue's response to a Put is lost, the bot repeats the Put. So the queue can hold an alert twice.
#[test]
fn two_copies_of_an_alert_in_one_run_are_shown_once() {
    let sim = Sim::new(4);
    for _ in 0..2 {
        sim.put(&envelope("a", "1"));
    }
    assert_eq!(counts(&sim.run(), ["delivered", "alreadySent"]), [1, 1]);
    assert_eq!(sim.shown("a").len(), 1);
}

/// Inserts the row with which the bot records that the queue can hold this alert twice.
fn record_doubled(sim: &Sim, id: &str) {
    let properties = json!({"kind": "doubled", "subject": id}).as_object().unwrap().clone();
    let at = chrono::DateTime::from_timestamp(START_SECONDS, 0).unwrap() + sim.now();
    let row = format!("since.{:014}.0", at.timestamp_millis());
    sim.tables.borrow_mut().store("proactivebotruns", QUEUE, &row, properties, at);
}

/// The queue's response to the bot's first Put was late, so the bot repeated the Put. The message of the
/// second Put reaches the queue first. Its envelope has the mark `once`, which says that the queue can hold
/// this alert twice. Later, the message of the first Put reaches the queue. Its envelope does not have the
/// mark, so only the row of the bot shows that the message is a copy.
#[test]
fn late_copy_that_the_bot_has_recorded_is_not_sent() {
    for (is_recorded, shown) in [(false, 2), (true, 1)] {
        let sim = Sim::new(4);
        let mut alert = envelope("a", "1");
        alert["cancellable"] = true.into();
        let mut marked = alert.clone();
        marked["once"] = true.into();
        sim.put(&marked);
        if is_recorded {
            record_doubled(&sim, "a-1");
        }
        assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
        sim.pass(seconds(5));
        sim.put(&alert);
        sim.run();
        assert_eq!(sim.shown("a").len(), shown, "recorded: {is_recorded}");
    }
}

/// The queue gets the alert twice. The run reads only the *withdrawals* (e.g. cancellations of alerts) of the
/// last ten minutes. The bot accepted the alert earlier, so the run also reads the alert's record in the
/// ledger. When the run dequeues the second message, the record says that the alert is delivered.
#[test]
fn copy_of_an_alert_that_was_accepted_long_ago_is_not_sent() {
    for is_cancellable in [true, false] {
        let sim = Sim::new(4);
        let mut alert = envelope("a", "1");
        alert["cancellable"] = is_cancellable.into();
        sim.pass(seconds(700));
        for expected in [["delivered", "received"], ["alreadySent", "received"]] {
            sim.put(&alert);
            assert_eq!(counts(&sim.run(), expected), [1, 1], "cancellable: {is_cancellable}");
        }
        assert_eq!(sim.shown("a").len(), 1, "cancellable: {is_cancellable}");
    }
}

#[test]
fn alert_with_two_uncertain_responses_is_moved_to_the_poison_queue() {
    let sim = Sim::new(5);
    sim.connector(|_, _| Reply::cut());
    sim.put(&envelope("a", "1"));
    let mut dropped = envelope("b", "1");
    dropped["onUncertain"] = "drop".into();
    sim.put(&dropped);
    assert_eq!(counts(&sim.run(), ["possiblyDelivered", "droppedUncertain"]), [1, 1]);
    sim.pass(seconds(13));
    assert_eq!(counts(&sim.run(), ["received"]), [0], "the pause is 15 s");
    sim.pass(seconds(3));
    assert_eq!(sim.run().to_json()["poisonedBy"], json!({"possiblyDelivered": 1}));
    assert_eq!(sim.shown("a").len(), 2, "`onUncertain: retry` allows a second try");
    assert_eq!(sim.shown("b").len(), 1, "`onUncertain: drop` allows one try");
}

#[test]
fn poisoned_message_that_cannot_be_deleted_is_copied_to_the_poison_queue_once() {
    for readable in [true, false] {
        let sim = Sim::new(6);
        sim.connector(|_, _| Reply::status(404));
        if readable {
            sim.put(&envelope("a", "1"));
        } else {
            sim.storage.borrow_mut().put(QUEUE, "hello", sim.now(), None);
        }
        sim.faults(|request| (request.method() == Method::DELETE).then_some(Fault::Status(500)));
        for _ in 0..8 {
            sim.run();
            sim.pass(seconds(61));
        }
        sim.faults(|_| None);
        assert_eq!(counts(&sim.run(), ["alreadyPoisoned"]), [1]);
        assert_eq!(sim.storage.borrow().messages(POISON).len(), 1);
        assert!(sim.attempts.borrow().len() <= 1, "a message with a copy in the poison queue is not sent");
    }
}

#[test]
fn message_that_could_not_be_moved_to_the_poison_queue_stays_on_the_queue() {
    let sim = Sim::new(7);
    sim.connector(|_, _| Reply::status(404));
    sim.put(&envelope("a", "1"));
    sim.faults(|request| (request.method() == Method::POST).then_some(Fault::Status(403)));
    assert_eq!(counts(&sim.run(), ["storageTrouble", "poisoned"]), [1, 0]);
    // The queue service refused the Put (403), so the poison queue holds no copy. The table of dead letters
    // (the messages of the poison queue) must not list the message.
    let rows = sim.tables.borrow().entities("proactivebotruns").clone();
    assert!(rows.keys().all(|(partition, _)| !partition.ends_with(".dead")), "{rows:?}");
    sim.faults(|_| None);
    sim.pass(seconds(61));
    assert_eq!(counts(&sim.run(), ["poisoned"]), [1]);
    assert!(sim.storage.borrow().messages(QUEUE).is_empty());
}

/// An operator puts the message back on the queue, with its text unchanged.
#[test]
fn message_that_an_operator_puts_back_from_the_poison_queue_has_all_tries_again() {
    let sim = Sim::new(8);
    let works = std::rc::Rc::new(Cell::new(false));
    let host_works = works.clone();
    sim.connector(move |_, _| Reply::status(if host_works.get() { 201 } else { 503 }));
    sim.put(&envelope("a", "1"));
    for _ in 0..1500 {
        sim.run();
        sim.pass(seconds(1));
    }
    let text = sim.storage.borrow().messages(POISON)[0].text.clone();
    sim.storage.borrow_mut().put(QUEUE, &text, sim.now(), None);
    sim.run();
    assert_eq!(
        sim.storage.borrow().messages(POISON).len(),
        1,
        "after the message was put back, one failure does not use up all tries"
    );
    works.set(true);
    sim.pass(seconds(25));
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
}
