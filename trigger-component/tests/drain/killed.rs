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
    sim.pass(start + seconds(11) - sim.now());
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
    poll_until(&sim, start + seconds(8));
    assert!(sim.shown("b").is_empty(), "nobody can know whether it lives");
    // It had to renew its hold after two seconds.
    poll_until(&sim, start + seconds(15));
    assert_eq!(sim.shown("a"), ["1", "1", "2", "3", "4"]);
    assert!(sim.storage.borrow().queues[QUEUE].is_empty());
    assert!(sim.lines_left().is_empty(), "nobody waits for anything any more");
    assert!(sim.now() < start + seconds(16));
    assert_eq!(sim.shown("b"), ["1"]);
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
    for after in [35, 36, 38, 40, 42, 44] {
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

/// The answers to the Updates were lost. The messages are back on the queue, and the next run comes late, because the one that
/// put them back was killed as well.
#[test]
fn messages_that_were_put_back_without_an_answer_keep_their_places() {
    let sim = with_a_run_that_is_over(6);
    sim.put(&envelope("a", "3"));
    let mut times = 0;
    sim.faults(move |request| {
        let is_get = request.method() == http::Method::GET && !request.uri().to_string().contains("peekonly");
        times += usize::from(request.method() == http::Method::PUT);
        // The first attempt of each of the two Updates.
        match request.method() == http::Method::PUT && matches!(times, 1 | 3) {
            true => Some(Fault::CutAfter),
            false => is_get.then_some(Fault::Status(503)),
        }
    });
    assert!(sim.run_with(Limits::default()).is_err(), "it hands back, and fetches nothing");
    sim.faults(|_| None);
    sim.pass(seconds(20));
    // One at a time: the third message stands first.
    for _ in 0..3 {
        sim.run_with(Limits { batch: 1, ..Limits::default() }).unwrap();
        sim.pass(seconds(20));
    }
    assert_eq!(sim.shown("a"), ["1", "1", "2", "3"]);
}

/// The killed run had deleted them, and the answers that would have told that were lost.
#[test]
fn messages_that_are_gone_are_waited_for_some_seconds_only() {
    let sim = with_a_run_that_is_over(7);
    let start = sim.now();
    sim.storage.borrow_mut().queues.get_mut(QUEUE).unwrap().clear();
    sim.put(&envelope("a", "3"));
    let mut times = 0;
    sim.faults(move |request| {
        times += usize::from(request.method() == http::Method::PUT);
        (request.method() == http::Method::PUT && matches!(times, 1 | 3)).then_some(Fault::CutAfter)
    });
    poll_until(&sim, start + seconds(25));
    assert_eq!(sim.shown("a"), ["1", "3"]);
}
