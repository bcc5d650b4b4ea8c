//! Alerts with a key. A key names a problem. While the problem lasts (the key is *firing*), a newer alert
//! with the key changes the chat message of the older alert. In the comments and test names of this file, a
//! *message* is a chat message. A message on the queue is called *queue message*.

use envelope::Keyed;
use http::Method;
use serde_json::{Value, json};
use state::ledger::{AlertId, Ledger, NewAlert, Record};
use state::{ConversationKey, Tables};

use crate::script::Reply;
use crate::settled::{wall, with_tables};
use crate::sim::{START_SECONDS, Sim};
use crate::{counts, envelope, seconds};

pub(crate) const CONVERSATION: &str = "a";

pub(crate) fn key() -> String {
    platform::name_of(&["key", "ci", "disk"])
}

pub(crate) fn conversation() -> ConversationKey {
    ConversationKey::parse(&platform::name_of(&["msteams", CONVERSATION])).unwrap()
}

/// Returns the id of the alert with this number.
pub(crate) fn id_of(sim: &Sim, number: u32) -> AlertId {
    AlertId::of_activity(wall(sim), &conversation(), &number.to_string())
}

/// Makes the queue message of the alert `number`, with the key that [`key`] returns. `at` is in milliseconds
/// after `START_SECONDS`; the alert with the greatest `at` is the newest. `more` has further members of
/// `keyed`.
pub(crate) fn keyed(sim: &Sim, number: u32, at: i64, more: &Value) -> Value {
    let mut message = envelope(CONVERSATION, &format!("{number} text"));
    message["id"] = id_of(sim, number).as_str().into();
    message["keyed"] = json!({"key": key(), "at": START_SECONDS * 1000 + at});
    message["keyed"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

/// Inserts the alert's record into the ledger, and puts the alert on the queue, as the bot does.
/// `is_noted_as_newest`: whether the ledger also records the alert as the newest alert with its key.
pub(crate) fn accept(sim: &Sim, message: &Value, is_noted_as_newest: bool) {
    let id = AlertId::parse(message["id"].as_str().unwrap()).unwrap();
    let (keyed, address) = (&message["keyed"], &message["address"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let conversation =
        ConversationKey::of_ids(&text(&address["channelId"]), &text(&address["conversation"]["id"]));
    let due = message["notBefore"].as_str().map(|due| due.parse().unwrap());
    let alert = NewAlert {
        due,
        keyed: keyed["key"].as_str().map(|_| {
            let mut note = keyed.clone();
            note.as_object_mut().unwrap().retain(|name, _| name != "at");
            note.to_string()
        }),
        ..NewAlert::queued(id.clone(), conversation.as_str())
    };
    with_tables(sim, async |host, account, tables: &Tables, deadline| {
        let ledger = Ledger::new(host, account, tables, deadline);
        ledger.accept(&alert).await.unwrap();
        if let Some(key) = keyed["key"].as_str().filter(|_| is_noted_as_newest) {
            let order = (keyed["at"].as_i64().unwrap(), id.as_str());
            ledger.note_latest(&conversation, key, order).await.unwrap();
        }
    });
    sim.put(message);
}

pub(crate) fn record(sim: &Sim, id: &AlertId) -> Record {
    with_tables(sim, async |host, account, tables, deadline| {
        Ledger::new(host, account, tables, deadline).find(id).await.unwrap().expect("a record")
    })
}

pub(crate) fn status(sim: &Sim, number: u32) -> &'static str {
    record(sim, &id_of(sim, number)).status.as_str()
}

pub(crate) fn texts(sim: &Sim) -> Vec<String> {
    sim.chats.borrow().texts(CONVERSATION).into_iter().map(str::to_owned).collect()
}

pub(crate) fn methods(sim: &Sim) -> Vec<Method> {
    sim.attempts.borrow().iter().map(|attempt| attempt.method.clone()).collect()
}

#[test]
fn alerts_with_a_key_change_one_message_until_the_key_is_resolved() {
    let sim = Sim::new(1);
    for (number, more, expected) in [
        (1, json!({}), vec!["1 text"]),
        (2, json!({}), vec!["2 text"]),
        (3, json!({"state": "resolved"}), vec!["3 text"]),
        (4, json!({}), vec!["3 text", "4 text"]),
    ] {
        accept(&sim, &keyed(&sim, number, number.into(), &more), true);
        assert_eq!(sim.run().to_json()["delivered"], 1);
        assert_eq!(texts(&sim), expected, "after alert {number}");
        assert_eq!(status(&sim, number), "delivered");
    }
    assert_eq!(methods(&sim), [Method::POST, Method::PUT, Method::PUT, Method::POST]);
    let first = record(&sim, &id_of(&sim, 1));
    assert_eq!(
        first.activity_id,
        record(&sim, &id_of(&sim, 3)).activity_id,
        "both alerts have the same message"
    );
}

#[test]
fn alerts_that_wait_together_become_one_message() {
    let sim = Sim::new(2);
    for number in 0..10 {
        accept(&sim, &keyed(&sim, number, number.into(), &json!({})), true);
    }
    assert_eq!(counts(&sim.run(), ["delivered", "replaced"]), [1, 9]);
    assert_eq!((texts(&sim), methods(&sim)), (vec!["9 text".to_owned()], vec![Method::POST]));
    assert_eq!((status(&sim, 0), status(&sim, 9)), ("replaced", "delivered"));
}

#[test]
fn cancelled_alert_does_not_replace_an_older_waiting_alert() {
    let sim = Sim::new(3);
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    let mut second = keyed(&sim, 2, 2, &json!({}));
    second["cancellable"] = true.into();
    accept(&sim, &second, true);
    with_tables(&sim, async |host, account, tables, deadline| {
        let ledger = Ledger::new(host, account, tables, deadline);
        ledger.withdraw(&id_of(&sim, 2), None).await.unwrap();
    });
    // The run dequeues alert 1, and finds that alert 2 is newer. Then the run reads the record of alert 2,
    // which says that alert 2 is cancelled. So the run sends alert 1.
    sim.run();
    let first = sim.attempts.borrow().first().map(|attempt| attempt.text.clone());
    assert_eq!((status(&sim, 1), first.as_deref()), ("delivered", Some("1 text")));
}

#[test]
fn member_again_decides_how_an_alert_is_shown_while_the_key_is_firing() {
    for (again, expected, last) in [
        ("update", vec!["2 text"], "delivered"),
        ("reply", vec!["1 text", "2 text"], "delivered"),
        ("new", vec!["1 text", "2 text"], "delivered"),
        ("skip", vec!["1 text"], "replaced"),
    ] {
        let sim = Sim::new(4);
        accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
        sim.run();
        accept(&sim, &keyed(&sim, 2, 2, &json!({"again": again})), true);
        sim.run();
        assert_eq!(
            (texts(&sim), status(&sim, 2)),
            (expected.iter().map(ToString::to_string).collect(), last),
            "{again}"
        );
        // An alert with the state `resolved` is never skipped.
        accept(&sim, &keyed(&sim, 3, 3, &json!({"again": "skip", "state": "resolved"})), true);
        sim.run();
        assert_eq!(status(&sim, 3), "delivered", "{again}");
        let reason = record(&sim, &id_of(&sim, 2)).reason;
        assert_eq!(reason.is_some(), again == "skip", "{again}: {reason:?}");
    }
}

#[test]
fn skipped_alert_does_not_replace_an_older_waiting_alert() {
    let sim = Sim::new(20);
    let skip = json!({"again": "skip"});
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    accept(&sim, &keyed(&sim, 2, 2, &skip), true);
    sim.run();
    assert_eq!(
        texts(&sim),
        ["2 text"],
        "no message with the key is shown yet, so alert 2 is not skipped, and it replaces alert 1"
    );
    accept(&sim, &keyed(&sim, 3, 3, &json!({})), true);
    accept(&sim, &keyed(&sim, 4, 4, &skip), true);
    sim.run();
    assert_eq!((texts(&sim), status(&sim, 4)), (vec!["3 text".to_owned()], "replaced"));
}

#[test]
fn alert_with_the_same_content_as_the_shown_message_makes_no_connector_call() {
    let sim = Sim::new(5);
    let send = |number, at, more: &Value| {
        let mut message = keyed(&sim, number, at, more);
        message["text"] = "disk full".into();
        accept(&sim, &message, true);
        sim.run();
    };
    send(1, 1, &json!({}));
    send(2, 2, &json!({}));
    assert_eq!((methods(&sim).len(), status(&sim, 2)), (1, "delivered"));
    let reason = record(&sim, &id_of(&sim, 2)).reason;
    assert_eq!(reason.as_deref(), Some("key: the message that the conversation shows has the same content"));
    // An alert with the same text and another state has other content.
    send(3, 3, &json!({"state": "resolved"}));
    send(4, 4, &json!({"state": "resolved"}));
    send(5, 5, &json!({}));
    send(6, 6, &json!({"again": "new"}));
    assert_eq!(methods(&sim), [Method::POST, Method::PUT, Method::POST, Method::POST]);
}

#[test]
fn alert_that_cannot_change_the_shown_message_is_sent_as_one_new_message() {
    // A person has deleted the message, so the alert is sent as a new message.
    let sim = Sim::new(6);
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    sim.run();
    sim.chats.borrow_mut().delete_all(CONVERSATION);
    accept(&sim, &keyed(&sim, 2, 2, &json!({})), true);
    sim.run();
    accept(&sim, &keyed(&sim, 3, 3, &json!({})), true);
    sim.run();
    assert_eq!(methods(&sim), [Method::POST, Method::PUT, Method::POST, Method::PUT]);
    assert_eq!(texts(&sim), ["3 text"]);
    // Web Chat cannot change messages, so the poller sends a new message at once.
    let sim = Sim::new(7);
    for number in 1..=2 {
        let mut message = keyed(&sim, number, number.into(), &json!({}));
        message["address"]["channelId"] = "webchat".into();
        accept(&sim, &message, true);
        sim.run();
    }
    assert_eq!(methods(&sim), [Method::POST, Method::POST]);
}

#[test]
fn change_that_is_throttled_or_gets_no_response_is_tried_again() {
    let sim = Sim::new(8);
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    sim.run();
    let mut left = 3;
    sim.connector(move |_, text| {
        left -= i32::from(text == "2 text");
        match left {
            2 if text == "2 text" => Reply::retry_after(3),
            // The Connector makes the change, but the response is lost.
            1 if text == "2 text" => Reply::cut(),
            _ => Reply::status(200),
        }
    });
    accept(&sim, &keyed(&sim, 2, 2, &json!({})), true);
    for _ in 0..10 {
        sim.run();
        sim.pass(seconds(30));
    }
    assert_eq!((texts(&sim), status(&sim, 2)), (vec!["2 text".to_owned()], "delivered"));
    assert_eq!(methods(&sim), [Method::POST, Method::PUT, Method::PUT, Method::PUT]);
}

/// With `onUncertain: drop`, the poller does not send an alert again if the Connector's response is lost.
#[test]
fn second_alert_after_a_lost_response_to_the_first_alert_is_a_new_message() {
    let sim = Sim::new(9);
    sim.connector(|_, text| if text == "1 text" { Reply::cut() } else { Reply::status(201) });
    let mut message = keyed(&sim, 1, 1, &json!({}));
    message["onUncertain"] = "drop".into();
    accept(&sim, &message, true);
    sim.run();
    let first = record(&sim, &id_of(&sim, 1));
    assert_eq!((first.status.as_str(), first.uncertain), ("dropped", true));
    accept(&sim, &keyed(&sim, 2, 2, &json!({})), true);
    sim.run();
    assert_eq!(texts(&sim), ["1 text", "2 text"]);
    assert_eq!(methods(&sim), [Method::POST, Method::POST]);
    // With `onUncertain: retry` (the default), the poller sends the alert again. The ledger says that the
    // conversation perhaps shows the alert twice.
    let sim = Sim::new(9);
    let mut is_lost = true;
    sim.connector(move |_, _| if std::mem::take(&mut is_lost) { Reply::cut() } else { Reply::status(201) });
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    sim.run();
    sim.pass(seconds(30));
    sim.run();
    let first = record(&sim, &id_of(&sim, 1));
    assert_eq!((first.status.as_str(), first.uncertain), ("delivered", true));
    assert!(first.reason.is_some_and(|reason| reason.starts_with("delivery: ")));
}

#[test]
fn reply_about_a_change_is_sent_after_the_change() {
    let sim = Sim::new(10);
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    sim.run();
    accept(&sim, &keyed(&sim, 2, 2, &json!({"notify": true, "state": "resolved"})), true);
    sim.run();
    assert_eq!(texts(&sim), ["2 text", "The problem above has ended: 2 text"]);
    // Alert 2 has resolved the key, so alert 3 is a new message. A new message is no change, so the poller
    // sends no reply about a change.
    accept(&sim, &keyed(&sim, 3, 3, &json!({"notify": true})), true);
    sim.run();
    assert_eq!(methods(&sim), [Method::POST, Method::PUT, Method::POST, Method::POST]);
}

/// A *seal* in a queue message proves that the bot made this queue message. The queue message in this test
/// has no seal.
#[test]
fn unsealed_queue_message_with_a_key_is_moved_to_the_poison_queue_and_not_sent() {
    let sim = Sim::with_login(11);
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    assert_eq!(sim.run().to_json()["poisonedBy"], json!({"unsealed": 1}));
    assert!(texts(&sim).is_empty());
}

#[test]
fn alert_with_a_key_causes_two_more_table_calls_than_an_alert_without_a_key() {
    let calls = |has_key: bool| {
        let sim = Sim::new(18);
        let count = std::rc::Rc::new(std::cell::Cell::new(0));
        let message = match has_key {
            true => keyed(&sim, 1, 1, &json!({})),
            false => envelope(CONVERSATION, "1"),
        };
        sim.put(&message);
        let counted = std::rc::Rc::clone(&count);
        sim.table_faults(move |_| {
            counted.set(counted.get() + 1);
            None
        });
        assert_eq!(sim.run().to_json()["delivered"], 1);
        count.get()
    };
    assert_eq!(calls(true) - calls(false), 2, "one read and one write for an alert with a key");
}

#[test]
fn member_keyed_that_these_tests_make_is_valid() {
    let sim = Sim::new(1);
    let message = keyed(&sim, 1, 1, &json!({"state": "resolved"}));
    let note = message["keyed"].to_string();
    assert!(Keyed::from_note(&note).is_some(), "{note}");
}
