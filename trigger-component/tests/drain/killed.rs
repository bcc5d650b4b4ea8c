//! Runs that are killed. A run has a message *in hand* from the time at which it dequeues the message until
//! it has finished the message. If a run is killed, its messages in hand keep their places in the order of
//! the conversation. The next run puts these messages back on the queue (the *recovery*). The messages
//! become visible one second after the recovery. The *run lock* is a record that lets only one run work at a
//! time. The lock *ends* if the run does not renew the lock for nine seconds.

use std::time::Duration;

use trigger_component::Limits;

use crate::sim::{Fault, Planned, QUEUE, Reply, Sim};
use crate::{counts, envelope, milliseconds, seconds};

/// Begins a run, and kills it after `after`.
fn killed_after(sim: &Sim, after: Duration) {
    let (start, limits) = (sim.now(), Limits::default());
    let killed = sim.run_all(vec![Planned { start, kill: Some(start + after), limits }]);
    assert!(killed[0].is_none(), "the run ended before it was killed");
}

/// Makes a world after a killed run. This run had two messages in hand, and its run lock has ended.
fn world_after_a_killed_run(seed: u64) -> Sim {
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

/// Runs once a second until the moment `until`.
fn poll_until(sim: &Sim, until: Duration) {
    while sim.now() < until {
        sim.run();
        sim.pass(seconds(1));
    }
}

#[test]
fn messages_of_a_killed_run_are_sent_first_and_delay_no_other_conversation() {
    let sim = Sim::new(1);
    let start = sim.now();
    sim.connector(|_, _| Reply::status(201).after(seconds(2)));
    for text in ["1", "2", "3"] {
        sim.put(&envelope("a", text));
    }
    // The run is killed while the Connector handles the first message.
    killed_after(&sim, seconds(1));
    sim.connector(|_, _| Reply::status(201));
    sim.put(&envelope("a", "4"));
    sim.put(&envelope("b", "1"));
    let report = sim.run();
    assert_eq!(report.to_json()["skipped"], "anotherRun", "the killed run's lock has not ended");
    poll_until(&sim, start + seconds(8));
    assert!(sim.shown("b").is_empty(), "no other run sends anything before the lock has ended");
    // The run lock ends nine seconds after its last renewal.
    poll_until(&sim, start + seconds(15));
    assert_eq!(sim.shown("a"), ["1", "1", "2", "3", "4"]);
    assert!(sim.storage.borrow().queues[QUEUE].is_empty());
    assert!(sim.waiting_lines_left().is_empty(), "no message waits any more");
    assert!(sim.now() < start + seconds(16));
    assert_eq!(sim.shown("b"), ["1"]);
}

#[test]
fn message_that_a_killed_run_had_finished_delays_no_other_message() {
    let sim = Sim::new(2);
    let start = sim.now();
    sim.connector(|_, text| Reply::status(201).after(seconds(if text == "2" { 5 } else { 0 })));
    sim.put(&envelope("a", "1"));
    sim.put(&envelope("b", "2"));
    killed_after(&sim, seconds(1));
    sim.put(&envelope("a", "3"));
    poll_until(&sim, start + seconds(42));
    assert_eq!(
        sim.shown("a"),
        ["1", "3"],
        "message 3 does not wait for message 1, which the killed run had deleted"
    );
}

#[test]
fn message_that_a_killed_run_was_hiding_keeps_its_place() {
    // The Connector throttles the first message. The run stores the *waiting line* (the list of the
    // conversation's hidden messages), and then sends an Update that hides the message. The run is killed
    // shortly before or after the Update reaches the queue.
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
fn message_of_a_killed_run_is_put_back_once_and_delivered_a_second_later() {
    let sim = world_after_a_killed_run(4);
    assert_eq!(counts(&sim.run(), ["recovered", "received"]), [2, 0]);
    assert_eq!(counts(&sim.run(), ["recovered", "received"]), [0, 0]);
    sim.pass(seconds(1));
    assert_eq!(counts(&sim.run(), ["recovered", "delivered"]), [0, 2]);
}

#[test]
fn recovery_while_the_queue_fails_is_repeated_by_the_next_run() {
    let sim = world_after_a_killed_run(5);
    sim.faults(|request| (request.method() == http::Method::PUT).then_some(Fault::Status(503)));
    assert_eq!(counts(&sim.run(), ["recovered", "received"]), [0, 0]);
    sim.faults(|_| None);
    assert_eq!(counts(&sim.run(), ["recovered", "received"]), [2, 0]);
    sim.pass(seconds(1));
    assert_eq!(counts(&sim.run(), ["recovered", "delivered"]), [0, 2]);
}

/// In the recovery, the responses to the first attempts of the Updates are lost. So the run does not know
/// whether the messages are visible. Then the run's Get Messages fails, and the next run begins 20 s later.
#[test]
fn messages_that_were_put_back_without_a_response_keep_their_places() {
    let sim = world_after_a_killed_run(6);
    sim.put(&envelope("a", "3"));
    let mut times = 0;
    sim.faults(move |request| {
        let is_get = request.method() == http::Method::GET && !request.uri().to_string().contains("peekonly");
        times += usize::from(request.method() == http::Method::PUT);
        // The first attempts of the two Updates are the first and the third PUT.
        match request.method() == http::Method::PUT && matches!(times, 1 | 3) {
            true => Some(Fault::CutAfter),
            false => is_get.then_some(Fault::Status(503)),
        }
    });
    assert!(sim.run_with(Limits::default()).is_err(), "the run recovers the messages, and its Get fails");
    sim.faults(|_| None);
    sim.pass(seconds(20));
    // Each run dequeues one message at a time, and the queue hands out message 3 first.
    for _ in 0..3 {
        sim.run_with(Limits { batch: 1, ..Limits::default() }).unwrap();
        sim.pass(seconds(20));
    }
    assert_eq!(sim.shown("a"), ["1", "1", "2", "3"]);
}

/// The killed run had deleted its messages. In the recovery, the Update of a deleted message gets the
/// response 404. If the first attempt gets this 404, no other message waits for the deleted message. In this
/// test, the responses to the first attempts are lost, and the second attempts get 404. This 404 has two
/// possible causes: the message is deleted, or the first attempt has changed the pop receipt of the message.
/// So the run does not know whether the message is deleted.
#[test]
fn messages_that_a_killed_run_had_deleted_delay_a_younger_message_for_some_seconds_only() {
    let sim = world_after_a_killed_run(7);
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
