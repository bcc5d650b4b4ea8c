//! Messages that could be everybody's trouble: they are their own.

use http::Method;

use crate::sim::{Fault, POISON, QUEUE, Reply, Sim};
use crate::{counts, envelope, milliseconds, seconds};

/// Whoever can write to the queue, or a reference that is years old, names a Connector that refuses the bot.
#[test]
fn conversations_that_refuse_the_bot_stop_nobody_for_long() {
    for pills in [1, 4, 16, 40] {
        let sim = Sim::new(1);
        sim.connector(|conversation, _| {
            Reply::status(if conversation.starts_with("pill") { 401 } else { 201 }).after(milliseconds(50))
        });
        for pill in 0..pills {
            sim.put(&envelope(&format!("pill{pill}"), "1"));
        }
        let mut put = 0;
        while sim.now() < seconds(20 * 60) {
            // An alert every two seconds.
            while put < sim.now().as_secs() / 2 {
                sim.put(&envelope(&format!("c{put}"), "1"));
                put += 1;
            }
            sim.run();
            sim.pass(seconds(1));
        }
        let shown = sim.attempts.borrow().iter().filter(|attempt| attempt.shown).count();
        assert!(shown >= 600 - 16, "{pills} pills: {shown} of 600 were shown");
        assert_eq!(
            sim.storage.borrow().messages(POISON).len(),
            pills,
            "{pills} pills: and they are given up"
        );
    }
}

#[test]
fn an_outage_of_half_a_minute_sends_next_to_nothing_to_poison() {
    let mut poisoned = 0;
    for seed in 0..10 {
        let sim = Sim::new(100 + seed);
        for conversation in 0..100 {
            sim.put(&envelope(&format!("c{conversation}"), "1"));
        }
        while !sim.storage.borrow().queues[QUEUE].is_empty() {
            let status = if sim.now() < seconds(31) { 503 } else { 201 };
            sim.connector(move |_, _| Reply::status(status));
            sim.run();
            sim.pass(seconds(1));
        }
        poisoned += sim.storage.borrow().messages(POISON).len();
    }
    assert!(poisoned <= 10, "{poisoned} of 1000");
}

/// Every one of them is a Put to the poison queue, with a text of up to 64 KiB: a run that fetched on and on while they are
/// under way would use its memory up.
#[test]
fn messages_that_are_none_are_buried_some_at_a_time() {
    let sim = Sim::new(6);
    for _ in 0..20_000 {
        sim.storage.borrow_mut().put(QUEUE, "junk", sim.now(), None);
    }
    sim.faults(|request| (request.method() == Method::POST).then_some(Fault::Status(503)));
    // Each of them is tried for some tenths of a second, some dozens at once.
    let [received, trouble] = counts(&sim.run(), ["received", "storageTrouble"]);
    assert!(received == trouble && received < 5000, "{received}");
}

/// Composer's delayed messages live two minutes longer than their delay.
#[test]
fn a_message_with_two_minutes_left_is_tried_again() {
    let sim = Sim::new(8);
    let first = std::cell::Cell::new(true);
    sim.connector(move |_, _| if first.replace(false) { Reply::retry_after(1) } else { Reply::status(201) });
    let end = Some(sim.now() + seconds(120));
    sim.storage.borrow_mut().put(QUEUE, &envelope("a", "1").to_string(), sim.now(), end);
    assert_eq!(counts(&sim.run(), ["throttled", "poisoned"]), [1, 0]);
    sim.pass(seconds(2));
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
}

#[test]
fn an_alert_that_its_sender_gave_up_is_not_sent_again() {
    let sim = Sim::new(4);
    sim.connector(|_, _| Reply::cut());
    let mut alert = envelope("a", "1");
    alert["onUncertain"] = "drop".into();
    sim.put(&alert);
    sim.faults(|request| (request.method() == Method::DELETE).then_some(Fault::Status(503)));
    for _ in 0..4 {
        sim.run();
        sim.pass(seconds(61));
    }
    assert_eq!(sim.shown("a").len(), 1);
    sim.faults(|_| None);
    sim.run();
    assert!(sim.storage.borrow().messages(QUEUE).is_empty());
}
