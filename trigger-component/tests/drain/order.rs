//! The order of the messages of a conversation. A *line* (waiting line) lists the hidden messages of a
//! conversation, the oldest first, and is stored in a table. The *front message* of a line is the message for
//! which the other messages of the line wait.

use std::cell::Cell;

use http::Method;
use trigger_component::Limits;

use crate::sim::{Fault, POISON, QUEUE, Reply, Sim};
use crate::{counts, envelope, milliseconds, seconds};

/// Lets the Connector return `reply` to the first attempt in conversation `a`. All other attempts succeed.
fn first_attempt_gets(sim: &Sim, reply: Reply) {
    let first = Cell::new(true);
    sim.connector(move |conversation, _| {
        if conversation == "a" && first.replace(false) { reply.clone() } else { Reply::status(201) }
    });
}

/// Runs once a second, like the cron trigger, until the queue is empty.
fn poll_until_empty(sim: &Sim) {
    for _ in 0..600 {
        sim.run();
        if sim.storage.borrow().queues[QUEUE].is_empty() {
            return;
        }
        sim.pass(seconds(1));
    }
    panic!("expected an empty queue after 600 runs, found {:#?}", sim.storage.borrow().messages(QUEUE));
}

#[test]
fn messages_of_many_conversations_are_sent_at_once_and_each_conversation_in_order() {
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
    // The run peeks at the queue once. Then five Get Messages calls return all messages, and a sixth call
    // returns none. While the run sends the messages, it calls Get Messages again every 200 ms. In this test,
    // these are three further calls.
    assert_eq!(report.polls, 1 + 5 + 1 + 3);
}

#[test]
fn message_that_arrives_while_an_older_message_is_hidden_waits_even_in_later_runs() {
    for reply in [Reply::retry_after(30), Reply::status(503), Reply::cut()] {
        let cut = reply.cut;
        let sim = Sim::new(2);
        first_attempt_gets(&sim, reply);
        for text in ["1", "2", "3"] {
            sim.put(&envelope("a", text));
        }
        sim.put(&envelope("b", "other"));
        let report = sim.run();
        assert_eq!(counts(&report, ["hiddenBehind", "delivered"]), [2, 1], "other conversations go on");
        // These messages reach the queue after the first run, while message 1 is hidden.
        for text in ["4", "5"] {
            sim.put(&envelope("a", text));
            assert_eq!(counts(&sim.run(), ["hiddenBehind", "delivered"]), [1, 0]);
        }
        poll_until_empty(&sim);
        let expected: &[&str] =
            if cut { &["1", "1", "2", "3", "4", "5"] } else { &["1", "2", "3", "4", "5"] };
        assert_eq!(sim.shown("a"), expected);
        assert!(sim.waiting_lines_left().is_empty(), "no message waits any more");
    }
}

/// When a hidden message becomes visible, the queue hands it out after all messages that are already visible.
#[test]
fn message_hidden_behind_a_long_queue_keeps_its_place() {
    let sim = Sim::new(3);
    first_attempt_gets(&sim, Reply::retry_after(1));
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
fn message_that_could_not_be_hidden_keeps_its_place() {
    let sim = Sim::new(4);
    first_attempt_gets(&sim, Reply::retry_after(2));
    // Every Update of the first message fails. So the message stays hidden until the end of its *lease* (the
    // time for which the queue hides a dequeued message).
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

/// After its budget of 3 s, the run begins no further attempt to send a message. The attempt for message 1
/// takes 7 s, so this attempt fails after the budget has ended.
#[test]
fn message_that_fails_after_the_budget_keeps_its_place() {
    let sim = Sim::new(5);
    first_attempt_gets(&sim, Reply::status(503).after(seconds(7)));
    for text in ["1", "2", "3"] {
        sim.put(&envelope("a", text));
    }
    let report = sim.run_with(Limits { budget: seconds(3), ..Limits::default() }).unwrap();
    assert_eq!(counts(&report, ["released", "hiddenBehind", "retried"]), [0, 2, 1]);
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["1", "2", "3"]);
}

/// The run puts back the messages that it has dequeued, but has no time to send. The queue hands out these
/// messages after the messages that the run has not dequeued.
#[test]
fn messages_for_which_a_run_had_no_time_stay_before_younger_messages() {
    let sim = Sim::new(7);
    sim.connector(|_, _| Reply::status(201).after(seconds(7)));
    let texts: Vec<String> = (0..150).map(|text| text.to_string()).collect();
    texts.iter().for_each(|text| sim.put(&envelope("a", text)));
    assert_eq!(counts(&sim.run(), ["delivered", "released"]), [3, 29]);
    sim.connector(|_, _| Reply::status(201));
    sim.pass(seconds(40));
    sim.put(&envelope("b", "other"));
    let report = sim.run();
    assert!(
        counts(&report, ["delivered"])[0] > 100,
        "the run waits until the messages that it has hidden are visible again: {report:?}"
    );
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), texts);
    assert!(sim.waiting_lines_left().is_empty(), "no message waits any more");
}

#[test]
fn messages_of_a_run_whose_credentials_were_refused_stay_before_younger_messages() {
    let sim = Sim::new(9);
    sim.connector(|_, _| Reply::status(401));
    for text in 0..60 {
        for conversation in ["a", "b", "c"] {
            sim.put(&envelope(conversation, &text.to_string()));
        }
    }
    let [delivered, credentials, released] = counts(&sim.run(), ["delivered", "credentials", "released"]);
    assert!(delivered == 0 && credentials > 0, "{credentials} refused, {released} released");
    sim.connector(|_, _| Reply::status(201));
    sim.pass(seconds(31));
    poll_until_empty(&sim);
    let texts: Vec<String> = (0..60).map(|text| text.to_string()).collect();
    for conversation in ["a", "b", "c"] {
        assert_eq!(sim.shown(conversation), texts, "{conversation}");
    }
}

/// The lines are in a table. So the order does not depend on the key-value store of the Spin host.
#[test]
fn run_whose_key_value_store_fails_delivers_in_order() {
    let sim = Sim::new(6);
    sim.store_fails.set(true);
    first_attempt_gets(&sim, Reply::retry_after(3));
    for text in ["1", "2", "3"] {
        sim.put(&envelope("a", text));
    }
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["1", "2", "3"]);
}

#[test]
fn message_in_the_poison_queue_delays_no_other_message() {
    let sim = Sim::new(8);
    first_attempt_gets(&sim, Reply::status(404));
    for text in ["1", "2"] {
        sim.put(&envelope("a", text));
    }
    assert_eq!(counts(&sim.run(), ["poisoned", "delivered"]), [1, 1]);
    assert_eq!(sim.storage.borrow().messages(POISON).len(), 1);
}

/// If the Put to the poison queue fails, a later run dequeues the message, and can still deliver its alert.
/// So the younger messages wait.
#[test]
fn message_that_could_not_be_moved_to_the_poison_queue_keeps_its_place() {
    let sim = Sim::new(11);
    first_attempt_gets(&sim, Reply::status(400));
    for text in ["1", "2"] {
        sim.put(&envelope("a", text));
    }
    sim.faults(|request| {
        let is_to_poison = request.method() == Method::POST && request.uri().path().contains(POISON);
        is_to_poison.then_some(Fault::Status(503))
    });
    assert_eq!(counts(&sim.run(), ["storageTrouble", "hiddenBehind", "delivered"]), [1, 1, 0]);
    sim.faults(|_| None);
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["1", "2"]);
}

/// The queue perhaps no longer holds the front message, because a killed run has deleted it. So the other
/// messages wait only for a limited time.
#[test]
fn line_whose_front_message_is_missing_ends_within_two_minutes() {
    let sim = Sim::new(9);
    first_attempt_gets(&sim, Reply::retry_after(10));
    sim.put(&envelope("a", "1"));
    sim.put(&envelope("a", "2"));
    sim.run();
    sim.storage.borrow_mut().queues.get_mut(QUEUE).unwrap().remove(0);
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["2"]);
    assert!((seconds(90)..seconds(120)).contains(&sim.now()), "{:?}", sim.now());
}

/// Each write of the line makes up to three attempts. All attempts of the first two writes fail. The third
/// write fails in its first attempt, and succeeds in its second attempt.
#[test]
fn line_whose_first_writes_fail_keeps_the_order_in_later_runs() {
    let sim = Sim::new(12);
    first_attempt_gets(&sim, Reply::retry_after(30));
    for text in ["1", "2"] {
        sim.put(&envelope("a", text));
    }
    let mut times = 0;
    sim.table_faults(move |request| {
        let is_line = request.method() == Method::PUT && request.uri().path().contains("line.");
        times += usize::from(is_line);
        (is_line && times <= 7).then_some(Fault::CutBefore)
    });
    assert_eq!(counts(&sim.run(), ["hiddenBehind", "throttled"]), [1, 1]);
    sim.put(&envelope("a", "3"));
    assert_eq!(
        counts(&sim.run(), ["hiddenBehind", "delivered"]),
        [1, 0],
        "this run reads the stored line, so message 3 waits"
    );
    poll_until_empty(&sim);
    assert_eq!(sim.shown("a"), ["1", "2", "3"]);
}

/// If all writes to a table fail, a run waits for the table for some seconds only.
#[test]
fn line_whose_writes_all_fail_loses_no_message() {
    let sim = Sim::new(13);
    first_attempt_gets(&sim, Reply::retry_after(2));
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
