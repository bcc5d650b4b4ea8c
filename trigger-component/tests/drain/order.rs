//! One conversation, in order.

use std::cell::Cell;

use http::Method;
use trigger_component::Limits;

use crate::sim::{Fault, POISON, QUEUE, Reply, Sim};
use crate::{counts, envelope, milliseconds, seconds};

/// The first attempt gets this answer, every other one succeeds.
fn at_first(sim: &Sim, reply: Reply) {
    let first = Cell::new(true);
    sim.connector(move |conversation, _| {
        if conversation == "a" && first.replace(false) { reply.clone() } else { Reply::status(201) }
    });
}

/// Runs every second, as cron does, until the queue is empty.
fn poll_until_empty(sim: &Sim) {
    for _ in 0..600 {
        sim.run();
        if sim.storage.borrow().queues[QUEUE].is_empty() {
            return;
        }
        sim.pass(seconds(1));
    }
    panic!("the queue is never empty: {:#?}", sim.storage.borrow().messages(QUEUE));
}

#[test]
fn conversations_go_side_by_side_and_each_in_order() {
    let sim = Sim::new(1);
    sim.connector(|_, _| Reply::status(201).after(milliseconds(200)));
    for index in 0..6 {
        for conversation in 0..24 {
            sim.put(&envelope(&format!("c{conversation}"), &index.to_string()));
        }
    }
    let report = sim.run();
    assert_eq!(counts(&report, ["delivered", "received"]), [144, 144]);
    for conversation in 0..24 {
        assert_eq!(sim.shown(&format!("c{conversation}")), ["0", "1", "2", "3", "4", "5"]);
    }
    assert_eq!(sim.most_at_once.get(), 16);
    // Five Gets bring the messages, and one finds nothing. While the run is at work it asks again every 200 ms, three times
    // here. It asks once more after it has given up its lease.
    assert_eq!(report.polls, 5 + 1 + 3 + 1);
}

#[test]
fn what_comes_later_goes_behind_across_runs() {
    for reply in [Reply::retry_after(30), Reply::status(503), Reply::cut()] {
        let cut = reply.cut;
        let sim = Sim::new(2);
        at_first(&sim, reply);
        for text in ["1", "2", "3"] {
            sim.put(&envelope("a", text));
        }
        sim.put(&envelope("b", "other"));
        let report = sim.run();
        assert_eq!(counts(&report, ["heldBack", "delivered"]), [2, 1], "others go on");
        // These were never seen by the run that was throttled.
        for text in ["4", "5"] {
            sim.put(&envelope("a", text));
            assert_eq!(counts(&sim.run(), ["heldBack", "delivered"]), [1, 0]);
        }
        poll_until_empty(&sim);
        let expected: &[&str] =
            if cut { &["1", "1", "2", "3", "4", "5"] } else { &["1", "2", "3", "4", "5"] };
        assert_eq!(sim.shown("a"), expected);
        assert!(sim.lines_left().is_empty(), "nothing is held any more");
    }
}

/// A hidden message comes back behind everything that stands on the queue by then.
#[test]
fn a_long_queue_does_not_overtake_what_was_hidden() {
    let sim = Sim::new(3);
    at_first(&sim, Reply::retry_after(1));
    sim.settings.borrow_mut().insert("pace".into(), "30".into());
    for text in 0..8 {
        sim.put(&envelope("a", &text.to_string()));
        for other in 0..60 {
            sim.put(&envelope(&format!("b{}", other % 10), &format!("{text}-{other}")));
        }
    }
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn a_message_that_could_not_be_hidden_is_waited_for_too() {
    let sim = Sim::new(4);
    at_first(&sim, Reply::retry_after(2));
    // The Update of the first message fails for good: it comes back when its lease ends.
    sim.faults(|request| {
        let is_first = request.uri().path().ends_with("000000000001");
        (request.method() == Method::PUT && is_first).then_some(Fault::Status(503))
    });
    for text in ["1", "2", "3"] {
        sim.put(&envelope("a", text));
    }
    sim.run();
    sim.put(&envelope("a", "4"));
    sim.faults(|_| None);
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["1", "2", "3", "4"]);
    assert!(sim.now() >= seconds(60));
}

#[test]
fn what_fails_when_the_budget_has_ended_still_comes_first() {
    let sim = Sim::new(5);
    at_first(&sim, Reply::status(503).after(seconds(7)));
    for text in ["1", "2", "3"] {
        sim.put(&envelope("a", text));
    }
    let report = sim.run_with(Limits { budget: seconds(3), ..Limits::default() }).unwrap();
    assert_eq!(counts(&report, ["released", "heldBack", "retried"]), [0, 2, 1]);
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["1", "2", "3"]);
}

#[test]
fn without_key_value_everything_goes_on() {
    let sim = Sim::new(6);
    sim.store_fails.set(true);
    at_first(&sim, Reply::retry_after(3));
    for text in ["1", "2", "3"] {
        sim.put(&envelope("a", text));
    }
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["1", "2", "3"]);
}

#[test]
fn what_is_given_up_holds_nobody() {
    let sim = Sim::new(8);
    at_first(&sim, Reply::status(404));
    for text in ["1", "2"] {
        sim.put(&envelope("a", text));
    }
    assert_eq!(counts(&sim.run(), ["poisoned", "delivered"]), [1, 1]);
    assert_eq!(sim.storage.borrow().messages(POISON).len(), 1);
}

/// The poison queue may have it although it does not say so; but if it has not, the message comes again, and may be
/// delivered then.
#[test]
fn what_poison_did_not_take_is_waited_for() {
    let sim = Sim::new(11);
    at_first(&sim, Reply::status(400));
    for text in ["1", "2"] {
        sim.put(&envelope("a", text));
    }
    sim.faults(|request| {
        let is_to_poison = request.method() == Method::POST && request.uri().path().contains(POISON);
        is_to_poison.then_some(Fault::Status(503))
    });
    assert_eq!(counts(&sim.run(), ["storageTrouble", "heldBack", "delivered"]), [1, 1, 0]);
    sim.faults(|_| None);
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["1", "2"]);
}

/// The front message was taken by a run that did not live to tell: the conversation goes on all the same.
#[test]
fn a_hold_whose_message_is_never_seen_again_ends() {
    let sim = Sim::new(9);
    at_first(&sim, Reply::retry_after(10));
    sim.put(&envelope("a", "1"));
    sim.put(&envelope("a", "2"));
    sim.run();
    sim.storage.borrow_mut().queues.get_mut(QUEUE).unwrap().remove(0);
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["2"]);
    assert!((seconds(90)..seconds(120)).contains(&sim.now()), "{:?}", sim.now());
}

/// Three attempts of one call fail, and those of the next.
#[test]
fn line_that_cannot_be_written_at_first_keeps_the_order_of_later_runs() {
    let sim = Sim::new(12);
    at_first(&sim, Reply::retry_after(30));
    for text in ["1", "2"] {
        sim.put(&envelope("a", text));
    }
    let mut times = 0;
    sim.table_faults(move |request| {
        let is_line = request.method() == Method::PUT && request.uri().path().contains("line.");
        times += usize::from(is_line);
        (is_line && times <= 7).then_some(Fault::CutBefore)
    });
    assert_eq!(counts(&sim.run(), ["heldBack", "throttled"]), [1, 1]);
    sim.put(&envelope("a", "3"));
    assert_eq!(counts(&sim.run(), ["heldBack", "delivered"]), [1, 0], "this run reads the line");
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["1", "2", "3"]);
}

/// Nothing waits longer than some seconds for tables that do not answer.
#[test]
fn line_that_cannot_be_written_at_all_loses_nothing() {
    let sim = Sim::new(13);
    at_first(&sim, Reply::retry_after(2));
    for text in ["1", "2"] {
        sim.put(&envelope("a", text));
    }
    sim.table_faults(|request| request.uri().path().contains("line.").then_some(Fault::Status(503)));
    let begin = sim.now();
    assert_eq!(counts(&sim.run(), ["throttled"]), [1]);
    assert!(sim.now() - begin < seconds(15), "{:?}", sim.now() - begin);
    assert!(sim.lines.borrow().iter().any(|line| line.contains("line.not-written")));
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["1", "2"]);
}
