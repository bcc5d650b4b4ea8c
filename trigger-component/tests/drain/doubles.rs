//! Nobody sees an alert twice, unless an answer was lost.

use std::cell::Cell;

use http::Method;
use serde_json::json;
use trigger_component::Limits;

use crate::sim::{Fault, POISON, Planned, QUEUE, Reply, START_SECONDS, Sim};
use crate::{counts, envelope, milliseconds, seconds};

/// A run that is killed so long after it began.
fn killed_after(sim: &Sim, after: u64) {
    let start = sim.now();
    let kill = Some(start + milliseconds(after));
    sim.run_all(vec![Planned { start, kill, limits: Limits::default() }]);
}

#[test]
fn delete_that_is_under_way_when_the_run_is_killed_leaves_no_double() {
    let sim = Sim::new(1);
    sim.put(&envelope("a", "1"));
    // Looking, taking the hold, the lines, the Get, and telling of it take 4 ms each, the Connector 14 ms: killed while the
    // Delete is under way.
    killed_after(&sim, 35);
    assert_eq!(sim.shown("a").len(), 1, "the moment is right");
    sim.pass(seconds(61));
    assert_eq!(counts(&sim.run(), ["received"]), [0]);
    assert_eq!(sim.shown("a").len(), 1);
    assert!(!sim.lines.borrow().iter().any(|line| line.contains("alert.delivered")), "it was killed before");
}

#[test]
fn the_ledger_is_told_before_a_delete_that_failed_is_repeated() {
    for fault in [Fault::Status(503), Fault::CutBefore, Fault::CutAfter] {
        let sim = Sim::new(1);
        sim.put(&envelope("a", "1"));
        sim.faults(move |request| (request.method() == Method::DELETE).then_some(fault));
        killed_after(&sim, 60);
        assert_eq!(sim.status("a-1").as_deref(), Some("delivered"), "{fault:?}: the moment is right");
        assert_eq!(sim.shown("a").len(), 1, "{fault:?}");
        sim.faults(|_| None);
        // The next run hands it back, and the one after that is handed it.
        for _ in 0..2 {
            sim.pass(seconds(61));
            sim.run();
        }
        assert_eq!(sim.shown("a").len(), 1, "{fault:?}");
        assert!(sim.storage.borrow().messages(QUEUE).is_empty(), "{fault:?}");
    }
}

#[test]
fn delivery_that_goes_well_writes_nothing_to_key_value() {
    let sim = Sim::new(1);
    for conversation in 0..40 {
        sim.put(&envelope(&conversation.to_string(), "1"));
    }
    assert_eq!(counts(&sim.run(), ["delivered"]), [40]);
    assert!(sim.writes.borrow().is_empty(), "{:?}", sim.writes.borrow());
    assert!(sim.lines_left().is_empty(), "{:?}", sim.lines_left());
    assert_eq!(sim.status("39-1").as_deref(), Some("delivered"));
}

/// What the ledger is for, and what happens without it.
#[test]
fn without_the_ledger_such_an_alert_comes_twice() {
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
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
    assert_eq!(sim.shown("a").len(), 2);
}

/// However often it is handed out: it was delivered, so it is not given up either.
#[test]
fn a_delivered_alert_that_cannot_be_deleted_is_neither_sent_again_nor_poisoned() {
    let sim = Sim::new(3);
    sim.put(&envelope("a", "1"));
    sim.faults(|request| (request.method() == Method::DELETE).then_some(Fault::Status(503)));
    for _ in 0..12 {
        sim.run();
        sim.pass(seconds(61));
    }
    sim.faults(|_| None);
    assert_eq!(counts(&sim.run(), ["alreadySent"]), [1]);
    assert_eq!((sim.shown("a").len(), sim.storage.borrow().messages(POISON).len()), (1, 0));
}

/// A Put whose answer was lost is repeated, and may have stored the message twice.
#[test]
fn two_copies_in_one_run_are_shown_once() {
    let sim = Sim::new(4);
    for _ in 0..2 {
        sim.put(&envelope("a", "1"));
    }
    assert_eq!(counts(&sim.run(), ["delivered", "alreadySent"]), [1, 1]);
    assert_eq!(sim.shown("a").len(), 1);
}

/// The bot has told runs of the copies of this alert.
fn tell_of_copies(sim: &Sim, id: &str) {
    let properties = json!({"kind": "doubled", "subject": id}).as_object().unwrap().clone();
    let at = chrono::DateTime::from_timestamp(START_SECONDS, 0).unwrap() + sim.now();
    let row = format!("since.{:014}.0", at.timestamp_millis());
    sim.tables.borrow_mut().store("proactivebotruns", QUEUE, &row, properties, at);
}

/// The copy of a Put whose answer was late comes last, and says nothing of the others.
#[test]
fn late_copy_is_not_sent_where_the_bot_has_told_of_it() {
    for (is_told, shown) in [(false, 2), (true, 1)] {
        let sim = Sim::new(4);
        let mut alert = envelope("a", "1");
        alert["cancellable"] = true.into();
        let mut marked = alert.clone();
        marked["once"] = true.into();
        sim.put(&marked);
        if is_told {
            tell_of_copies(&sim, "a-1");
        }
        assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
        sim.pass(seconds(5));
        sim.put(&alert);
        sim.run();
        assert_eq!(sim.shown("a").len(), shown, "told: {is_told}");
    }
}

/// A run looks up every alert that may have been cancelled before it began to ask, and what became of it stands there, too.
#[test]
fn copy_of_an_alert_that_was_accepted_long_ago_is_not_sent() {
    let sim = Sim::new(4);
    let mut alert = envelope("a", "1");
    alert["cancellable"] = true.into();
    sim.pass(seconds(700));
    for expected in [["delivered", "received"], ["alreadySent", "received"]] {
        sim.put(&alert);
        assert_eq!(counts(&sim.run(), expected), [1, 1]);
    }
    assert_eq!(sim.shown("a").len(), 1);
}

#[test]
fn nobody_knows_twice_is_enough() {
    let sim = Sim::new(5);
    sim.connector(|_, _| Reply::cut());
    sim.put(&envelope("a", "1"));
    let mut dropped = envelope("b", "1");
    dropped["onUncertain"] = "drop".into();
    sim.put(&dropped);
    assert_eq!(counts(&sim.run(), ["possiblyDelivered", "droppedUncertain"]), [1, 1]);
    sim.pass(seconds(13));
    assert_eq!(counts(&sim.run(), ["received"]), [0], "the pause is longer");
    sim.pass(seconds(3));
    assert_eq!(sim.run().to_json()["poisonedBy"], json!({"possiblyDelivered": 1}));
    assert_eq!((sim.shown("a").len(), sim.shown("b").len()), (2, 1));
}

#[test]
fn a_copy_in_poison_that_was_not_deleted_stays_the_only_one() {
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
        assert!(sim.attempts.borrow().len() <= 1, "what stands in poison is not sent");
    }
}

#[test]
fn what_the_poison_queue_does_not_take_stays() {
    let sim = Sim::new(7);
    sim.connector(|_, _| Reply::status(404));
    sim.put(&envelope("a", "1"));
    sim.faults(|request| (request.method() == Method::POST).then_some(Fault::Status(503)));
    assert_eq!(counts(&sim.run(), ["storageTrouble", "poisoned"]), [1, 0]);
    sim.faults(|_| None);
    sim.pass(seconds(61));
    assert_eq!(counts(&sim.run(), ["poisoned"]), [1]);
    assert!(sim.storage.borrow().messages(QUEUE).is_empty());
}

/// Whoever mends a destination puts the message back as it is.
#[test]
fn what_comes_back_from_poison_starts_anew() {
    let sim = Sim::new(8);
    let works = std::rc::Rc::new(Cell::new(false));
    let answers = works.clone();
    sim.connector(move |_, _| Reply::status(if answers.get() { 201 } else { 503 }));
    sim.put(&envelope("a", "1"));
    for _ in 0..400 {
        sim.run();
        sim.pass(seconds(1));
    }
    let text = sim.storage.borrow().messages(POISON)[0].text.clone();
    sim.storage.borrow_mut().put(QUEUE, &text, sim.now(), None);
    sim.run();
    assert_eq!(sim.storage.borrow().messages(POISON).len(), 1, "it has five tries again");
    works.set(true);
    sim.pass(seconds(25));
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
}
