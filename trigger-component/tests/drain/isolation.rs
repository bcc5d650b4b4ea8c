//! Alerts that fail must not delay other alerts, and must not use up the tries of other alerts.

use http::Method;

use crate::sim::{Fault, POISON, QUEUE, Reply, Sim};
use crate::{counts, envelope, milliseconds, seconds};

/// The Connector refuses the bot's token for some conversations. This can happen if a queue message of
/// another program names another Connector, or if the address of a conversation is old.
#[test]
fn refusals_of_the_token_for_some_conversations_delay_other_conversations_only_briefly() {
    for refusing in [1, 4, 16, 40] {
        let sim = Sim::new(1);
        sim.connector(|conversation, _| {
            let refuses = conversation.starts_with("refusing");
            Reply::status(if refuses { 401 } else { 201 }).after(milliseconds(50))
        });
        for index in 0..refusing {
            sim.put(&envelope(&format!("refusing{index}"), "1"));
        }
        let mut put = 0;
        while sim.now() < seconds(20 * 60) {
            // The queue gets a new alert every two seconds.
            while put < sim.now().as_secs() / 2 {
                sim.put(&envelope(&format!("c{put}"), "1"));
                put += 1;
            }
            sim.run();
            sim.pass(seconds(1));
        }
        let shown = sim.attempts.borrow().iter().filter(|attempt| attempt.shown).count();
        assert!(shown >= 600 - 16, "{refusing} refusing conversations: {shown} of 600 alerts were shown");
        let poisoned = sim.storage.borrow().messages(POISON).len();
        assert_eq!(poisoned, refusing, "only the refused alerts are in the poison queue");
    }
}

#[test]
fn outage_of_half_a_minute_moves_at_most_one_percent_of_the_alerts_to_the_poison_queue() {
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
    assert!(poisoned <= 10, "expected at most 10 of 1000 in the poison queue, found {poisoned}");
}

/// For each unreadable message, the run makes a Put to the poison queue, with a text of up to 64 KiB. While
/// these Puts are under way, the run must not fetch many more messages, because the texts would use up the
/// run's memory.
#[test]
fn unreadable_messages_whose_puts_fail_are_not_all_fetched_in_one_run() {
    let sim = Sim::new(6);
    for _ in 0..20_000 {
        sim.storage.borrow_mut().put(QUEUE, "junk", sim.now(), None);
    }
    sim.faults(|request| (request.method() == Method::POST).then_some(Fault::Status(503)));
    // The run repeats each failed Put for some tenths of a second. Only some dozens of Puts are under way at
    // the same time. So the run does not fetch all messages in its time.
    let [received, trouble] = counts(&sim.run(), ["received", "storageTrouble"]);
    assert_eq!(received, trouble, "every Put fails");
    assert!(received < 5000, "expected fewer than 5000 messages, found {received}");
}

/// Bot Framework Composer gives its delayed messages a time to live. The queue deletes such a message two
/// minutes after the message becomes visible.
#[test]
fn message_with_two_minutes_to_live_is_tried_again() {
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
fn alert_that_must_not_be_sent_twice_and_cannot_be_deleted_is_sent_once() {
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
