//! The poller counts its failed attempts to send an alert. Usually, the poller writes the counts into the
//! text of the queue message. If this is not possible, the poller writes the counts into the ledger (the
//! table with one record for each alert).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::sim::{Fault, POISON, QUEUE, Reply, Sim};
use crate::{counts, envelope, seconds};

/// A message in the format of an older bot. The poller does not change the text of such a message.
const LEGACY: &str = r#"{"address":{"id":"1","channelId":"msteams","serviceUrl":"http://127.0.0.1:9200/amer/",
    "user":{"id":"29:u"},"bot":{"id":"28:b"},"conversation":{"id":"a"}},"text":"hi","orderNumber":42}"#;

/// Makes a message of 64 KiB (48 KiB of JSON, in base64). This is the longest message that the queue accepts,
/// so the text has no space for the counts of failed attempts.
fn longest_message() -> String {
    let mut alert = envelope("a", "1");
    alert["activity"] = json!({"summary": ""});
    let free_bytes = 48 * 1024 - alert.to_string().len();
    alert["activity"]["summary"] = "x".repeat(free_bytes).into();
    STANDARD.encode(alert.to_string())
}

/// Does one run after the other, with pauses of seven seconds. Ends when the queue is empty, or when the
/// clock shows one hour.
fn run_until_queue_is_empty(sim: &Sim) {
    while !sim.storage.borrow().queues[QUEUE].is_empty() && sim.now() < seconds(3600) {
        sim.run();
        sim.pass(seconds(7));
    }
}

/// Returns, from the log, the outcome of each alert that the poller moved to the poison queue.
fn outcomes_of_poisoned_alerts(sim: &Sim) -> Vec<Value> {
    let lines = sim.lines.borrow();
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "alert.poisoned").map(|line| line["outcome"].clone()).collect()
}

#[test]
fn short_long_and_legacy_messages_have_the_same_number_of_tries() {
    for text in [envelope("a", "1").to_string(), longest_message(), LEGACY.to_owned()] {
        let start = |reply: Reply| {
            let sim = Sim::new(2);
            sim.connector(move |_, _| reply.clone());
            sim.storage.borrow_mut().put(QUEUE, &text, sim.now(), None);
            sim
        };
        let throttled = start(Reply::retry_after(5));
        for _ in 0..20 {
            throttled.run();
            throttled.pass(seconds(7));
        }
        assert_eq!(throttled.attempts.borrow().len(), 20, "throttling uses up no tries");
        throttled.connector(|_, _| Reply::status(201));
        run_until_queue_is_empty(&throttled);
        assert_eq!(throttled.shown("a").len(), 1);

        let uncertain = start(Reply::cut());
        run_until_queue_is_empty(&uncertain);
        assert_eq!(uncertain.shown("a").len(), 2);
        assert_eq!(outcomes_of_poisoned_alerts(&uncertain), ["possiblyDelivered"]);

        let unavailable = start(Reply::status(503));
        run_until_queue_is_empty(&unavailable);
        assert_eq!(unavailable.attempts.borrow().len(), 24);
        assert_eq!(outcomes_of_poisoned_alerts(&unavailable), ["retriesExhausted"]);
    }
}

#[test]
fn legacy_message_that_cannot_be_delivered_is_moved_to_the_poison_queue_unchanged() {
    for status in [404, 503] {
        let sim = Sim::new(3);
        sim.connector(move |_, _| Reply::status(status));
        sim.storage.borrow_mut().put(QUEUE, LEGACY, sim.now(), None);
        run_until_queue_is_empty(&sim);
        assert_eq!(sim.storage.borrow().messages(POISON)[0].text, LEGACY, "{status}");
    }
}

/// If the response to an attempt is lost, the alert gets exactly one more attempt, even if calls to the queue
/// fail.
#[test]
fn uncertain_alert_is_tried_twice_even_if_calls_to_the_queue_fail() {
    type Rule = fn(&http::Request<bytes::Bytes>) -> bool;
    let (updates, puts): (Rule, Rule) =
        (|request| request.method() == Method::PUT, |request| request.method() == Method::POST);
    for (failing, attempts) in [(updates, 2), (puts, 2)] {
        let sim = Sim::new(5);
        sim.connector(|_, _| Reply::cut());
        sim.put(&envelope("a", "1"));
        sim.faults(move |request| failing(request).then_some(Fault::Status(503)));
        for _ in 0..10 {
            sim.run();
            sim.pass(seconds(61));
        }
        assert_eq!(sim.attempts.borrow().len(), attempts);
        sim.faults(|_| None);
        run_until_queue_is_empty(&sim);
        assert_eq!(sim.attempts.borrow().len(), attempts);
        assert_eq!(sim.storage.borrow().messages(POISON).len(), 1);
        assert_eq!(outcomes_of_poisoned_alerts(&sim).last(), Some(&"possiblyDelivered".into()));
        assert_eq!(counts(&sim.run(), ["received"]), [0]);
    }
}
