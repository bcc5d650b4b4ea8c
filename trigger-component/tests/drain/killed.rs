//! Runs that are killed: what they held keeps its place, and comes back soon.

use std::time::Duration;

use trigger_component::Limits;

use crate::sim::{Fault, Planned, QUEUE, Reply, Sim};
use crate::{counts, envelope, milliseconds, seconds};

/// A run that begins now and is killed after a while.
fn killed_after(sim: &Sim, after: Duration) {
    let (start, limits) = (sim.now(), Limits::default());
    let killed = sim.run_all(vec![Planned { start, kill: Some(start + after), limits }]);
    assert!(killed[0].is_none(), "it was killed");
}

/// A run was killed that had two messages, so long ago that it is surely over.
fn with_a_run_that_is_over(seed: u64) -> Sim {
    let sim = Sim::new(seed);
    let start = sim.now();
    sim.connector(|_, _| Reply::status(201).after(seconds(9)));
    for text in ["1", "2"] {
        sim.put(&envelope("a", text));
    }
    killed_after(&sim, seconds(1));
    sim.connector(|_, _| Reply::status(201));
    sim.pass(start + seconds(30) - sim.now());
    sim
}

/// Runs every second until then.
fn poll_until(sim: &Sim, until: Duration) {
    while sim.now() < until {
        sim.run();
        sim.pass(seconds(1));
    }
}

#[test]
fn what_it_held_comes_first_and_other_conversations_go_on() {
    let sim = Sim::new(1);
    let start = sim.now();
    sim.connector(|_, _| Reply::status(201).after(seconds(2)));
    for text in ["1", "2", "3"] {
        sim.put(&envelope("a", text));
    }
    // It is killed while the Connector thinks about the first.
    killed_after(&sim, seconds(1));
    sim.connector(|_, _| Reply::status(201));
    sim.put(&envelope("a", "4"));
    sim.put(&envelope("b", "1"));
    let report = sim.run();
    assert_eq!(report.to_json()["skipped"], "anotherRun", "it may live");
    poll_until(&sim, start + seconds(7));
    assert_eq!((sim.shown("a"), sim.shown("b")), (vec!["1".to_owned()], vec!["1".to_owned()]));
    // A run may last for 30 s; then what it held is handed back.
    poll_until(&sim, start + seconds(45));
    assert_eq!(sim.shown("a"), ["1", "1", "2", "3", "4"]);
    assert!(sim.storage.borrow().queues[QUEUE].is_empty());
    assert_eq!(sim.keys_left(), ["held:bot-queue"], "nobody holds anything any more");
}

#[test]
fn what_it_had_dealt_with_is_not_waited_for_any_longer() {
    let sim = Sim::new(2);
    let start = sim.now();
    sim.connector(|_, text| Reply::status(201).after(seconds(if text == "2" { 5 } else { 0 })));
    sim.put(&envelope("a", "1"));
    sim.put(&envelope("b", "2"));
    killed_after(&sim, seconds(1));
    sim.put(&envelope("a", "3"));
    poll_until(&sim, start + seconds(42));
    assert_eq!(sim.shown("a"), ["1", "3"], "it was noted as held by the run, and off the queue");
}

#[test]
fn what_it_was_about_to_hide_keeps_its_place() {
    // Throttled, told, and killed before the Update arrived; or just after that.
    for after in [18, 20, 22, 24, 26] {
        let sim = Sim::new(3);
        let start = sim.now();
        let mut first = true;
        sim.connector(move |_, _| {
            if std::mem::replace(&mut first, false) { Reply::retry_after(3) } else { Reply::status(201) }
        });
        for text in ["1", "2", "3"] {
            sim.put(&envelope("a", text));
        }
        killed_after(&sim, milliseconds(after));
        poll_until(&sim, start + seconds(3));
        sim.put(&envelope("a", "4"));
        poll_until(&sim, start + seconds(60));
        assert_eq!(sim.shown("a"), ["1", "2", "3", "4"], "killed after {after} ms");
    }
}

#[test]
fn it_is_handed_back_once_and_comes_a_second_later() {
    let sim = with_a_run_that_is_over(4);
    assert_eq!(counts(&sim.run(), ["handedBack", "received"]), [2, 0]);
    assert_eq!(counts(&sim.run(), ["handedBack", "received"]), [0, 0]);
    sim.pass(seconds(1));
    assert_eq!(counts(&sim.run(), ["handedBack", "delivered"]), [0, 2]);
}

#[test]
fn while_the_queue_service_is_away_it_is_tried_again() {
    let sim = with_a_run_that_is_over(5);
    sim.faults(|request| (request.method() == http::Method::PUT).then_some(Fault::Status(503)));
    assert_eq!(counts(&sim.run(), ["handedBack", "received"]), [0, 0]);
    sim.faults(|_| None);
    assert_eq!(counts(&sim.run(), ["handedBack", "received"]), [2, 0]);
    sim.pass(seconds(1));
    assert_eq!(counts(&sim.run(), ["handedBack", "delivered"]), [0, 2]);
}
