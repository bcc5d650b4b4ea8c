//! Alerts with a key, changes of alerts, and alerts that are taken back.

use std::collections::BTreeMap;

use envelope::Keyed;
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use state::ledger::{AlertId, Ledger, NewAlert, Record};
use state::{ConversationKey, Tables};
use trigger_component::Limits;

use crate::script::{Fault, Reply};
use crate::settled::{wall, with_tables};
use crate::sim::{Planned, QUEUE, START_SECONDS, Sim};
use crate::{counts, envelope, milliseconds, seconds};

const CONVERSATION: &str = "a";

pub(crate) fn key() -> String {
    platform::name_of(&["key", "ci", "disk"])
}

fn conversation() -> ConversationKey {
    ConversationKey::parse(&platform::name_of(&["msteams", CONVERSATION])).unwrap()
}

/// The id of an alert, by its number.
pub(crate) fn id_of(sim: &Sim, number: u32) -> AlertId {
    AlertId::of_activity(wall(sim), &conversation(), &number.to_string())
}

/// An alert with the key, as the bot puts it on the queue. Its place in the order is `at`.
pub(crate) fn keyed(sim: &Sim, number: u32, at: i64, more: &Value) -> Value {
    let mut message = envelope(CONVERSATION, &format!("{number} text"));
    message["id"] = id_of(sim, number).as_str().into();
    message["keyed"] = json!({"key": key(), "at": START_SECONDS * 1000 + at});
    message["keyed"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

/// Accepts an alert in the ledger, and puts it on the queue. `notes_latest`: whether the bot records the
/// alert as the newest one of its key.
pub(crate) fn accept(sim: &Sim, message: &Value, notes_latest: bool) {
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
        if let Some(key) = keyed["key"].as_str().filter(|_| notes_latest) {
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

fn texts(sim: &Sim) -> Vec<String> {
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
    assert_eq!(first.activity_id, record(&sim, &id_of(&sim, 3)).activity_id, "one message");
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
    // The run dequeues the first alert, finds that the second one is newer, and reads the record of the
    // second one.
    sim.run();
    let first = sim.attempts.borrow().first().map(|attempt| attempt.text.clone());
    assert_eq!((status(&sim, 1), first.as_deref()), ("delivered", Some("1 text")));
}

#[test]
fn again_rule_of_an_alert_decides_how_it_is_shown_while_the_key_is_firing() {
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
        // An alert that resolves the key is never skipped.
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
    assert_eq!(texts(&sim), ["2 text"], "the key was not firing, so the alert is not skipped");
    accept(&sim, &keyed(&sim, 3, 3, &json!({})), true);
    accept(&sim, &keyed(&sim, 4, 4, &skip), true);
    sim.run();
    assert_eq!((texts(&sim), status(&sim, 4)), (vec!["3 text".to_owned()], "replaced"));
}

#[test]
fn alert_with_the_content_that_is_shown_makes_no_call() {
    let sim = Sim::new(5);
    let said = |number, at, more: &Value| {
        let mut message = keyed(&sim, number, at, more);
        message["text"] = "disk full".into();
        accept(&sim, &message, true);
        sim.run();
    };
    said(1, 1, &json!({}));
    said(2, 2, &json!({}));
    assert_eq!((methods(&sim).len(), status(&sim, 2)), (1, "delivered"));
    let reason = record(&sim, &id_of(&sim, 2)).reason;
    assert_eq!(reason.as_deref(), Some("key: the message that the conversation shows has the same content"));
    // The same words with another state are a change.
    said(3, 3, &json!({"state": "resolved"}));
    said(4, 4, &json!({"state": "resolved"}));
    said(5, 5, &json!({}));
    said(6, 6, &json!({"again": "new"}));
    assert_eq!(methods(&sim), [Method::POST, Method::PUT, Method::POST, Method::POST]);
}

#[test]
fn message_that_cannot_be_changed_is_sent_anew_once() {
    // A person has deleted the message.
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
    // Web Chat cannot change messages, so the poller does not try to.
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
fn change_that_fails_for_now_is_tried_again() {
    let sim = Sim::new(8);
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    sim.run();
    let mut left = 3;
    sim.connector(move |_, text| {
        left -= i32::from(text == "2 text");
        match left {
            2 if text == "2 text" => Reply::retry_after(3),
            // The channel makes the change, and the response is lost.
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

#[test]
fn second_alert_after_a_lost_response_to_the_first_is_a_new_message() {
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
    // With `onUncertain: retry`, the alert is sent once more, and the ledger says that the person may have it
    // twice.
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
fn reply_about_a_change_is_sent_in_the_thread() {
    let sim = Sim::new(10);
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    sim.run();
    accept(&sim, &keyed(&sim, 2, 2, &json!({"notify": true, "state": "resolved"})), true);
    sim.run();
    assert_eq!(texts(&sim), ["2 text", "The problem above has ended: 2 text"]);
    // A new message needs no reply.
    accept(&sim, &keyed(&sim, 3, 3, &json!({"notify": true})), true);
    sim.run();
    assert_eq!(methods(&sim), [Method::POST, Method::PUT, Method::POST, Method::POST]);
}

#[test]
fn unsealed_message_with_a_key_changes_nothing() {
    let sim = Sim::with_login(11);
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    assert_eq!(sim.run().to_json()["poisonedBy"], json!({"unsealed": 1}));
    assert!(texts(&sim).is_empty());
}

/// Makes the alert `number`, which changes the alert `of`. `accepted_at` is in milliseconds after the start.
pub(crate) fn change(sim: &Sim, number: u32, of: u32, accepted_at: u32, more: &Value) -> Value {
    let mut message = envelope(CONVERSATION, &format!("{number} change"));
    message["id"] = id_of(sim, number).as_str().into();
    message["enqueuedAt"] = format!("2026-11-23T22:00:00.{accepted_at:03}Z").into();
    message["keyed"] = json!({"edits": id_of(sim, of).as_str()});
    message["keyed"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

#[test]
fn changes_of_one_alert_change_its_message_and_an_older_change_is_dropped() {
    let sim = Sim::new(12);
    let mut plain = envelope(CONVERSATION, "0 text");
    plain["id"] = id_of(&sim, 0).as_str().into();
    accept(&sim, &plain, false);
    sim.run();
    for (number, accepted_at, expected, result) in [
        (1, 100, "1 change", "delivered"),
        (2, 300, "2 change", "delivered"),
        (3, 200, "2 change", "replaced"),
    ] {
        accept(&sim, &change(&sim, number, 0, accepted_at, &json!({})), false);
        sim.run();
        assert_eq!((texts(&sim), status(&sim, number)), (vec![expected.to_owned()], result));
    }
    // A person has deleted the message, so the change is a new message. The next change changes that one.
    sim.chats.borrow_mut().delete_all(CONVERSATION);
    for (number, accepted_at) in [(4, 400), (5, 500)] {
        accept(&sim, &change(&sim, number, 0, accepted_at, &json!({})), false);
        sim.run();
    }
    assert_eq!(texts(&sim), ["5 change"]);
    use Method as M;
    assert_eq!(methods(&sim), [M::POST, M::PUT, M::PUT, M::PUT, M::POST, M::PUT]);
}

#[test]
fn change_of_an_alert_whose_key_has_a_newer_alert_is_dropped() {
    let sim = Sim::new(13);
    for number in 1..=2 {
        accept(&sim, &keyed(&sim, number, number.into(), &json!({})), true);
        sim.run();
    }
    let of = |at: i64| json!({"key": key(), "at": START_SECONDS * 1000 + at});
    accept(&sim, &change(&sim, 3, 1, 900, &of(1)), false);
    accept(&sim, &change(&sim, 4, 2, 900, &of(2)), false);
    sim.run();
    assert_eq!((status(&sim, 3), status(&sim, 4)), ("replaced", "delivered"));
    assert_eq!(texts(&sim), ["4 change"]);
    // The next alert with the key changes the same message.
    accept(&sim, &keyed(&sim, 5, 5, &json!({})), true);
    sim.run();
    assert_eq!(texts(&sim), ["5 text"]);
}

#[test]
fn change_of_an_alert_with_another_message_does_not_change_the_message_of_the_key() {
    for again in ["reply", "new"] {
        let sim = Sim::new(19);
        accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
        sim.run();
        accept(&sim, &keyed(&sim, 2, 2, &json!({"again": again})), true);
        sim.run();
        // `new` moves the key to the second message, and `reply` leaves the key with the first one.
        let (own, of_key) = if again == "new" { (1, 2) } else { (2, 1) };
        let of = json!({"key": key(), "at": START_SECONDS * 1000 + i64::from(own), "again": again});
        accept(&sim, &change(&sim, 3, own, 900, &of), false);
        sim.run();
        let expected = if again == "new" { ["3 change", "2 text"] } else { ["1 text", "3 change"] };
        assert_eq!(
            (texts(&sim), status(&sim, 3)),
            (expected.map(str::to_owned).to_vec(), "delivered"),
            "{again}"
        );
        accept(&sim, &taking_back(&sim, 4, own, &of), false);
        sim.run();
        assert_eq!(texts(&sim), [format!("{of_key} text")], "{again}");
        accept(&sim, &keyed(&sim, 5, 5, &json!({})), true);
        sim.run();
        assert_eq!(texts(&sim), ["5 text"], "{again}: the key is still firing");
    }
}

#[test]
fn change_waits_for_the_alert_that_it_replaces() {
    let sim = Sim::new(14);
    let mut plain = envelope(CONVERSATION, "0 text");
    plain["id"] = id_of(&sim, 0).as_str().into();
    plain["cancellable"] = true.into();
    // The change is dequeued first, as if the alert were hidden for some seconds.
    accept(&sim, &change(&sim, 1, 0, 100, &json!({})), false);
    with_tables(&sim, async |host, account, tables, deadline| {
        let alert = NewAlert::queued(id_of(&sim, 0), conversation().as_str());
        Ledger::new(host, account, tables, deadline).accept(&alert).await.unwrap();
    });
    sim.run();
    assert!(texts(&sim).is_empty(), "the change waits for the result of the alert");
    with_tables(&sim, async |host, account, tables, deadline| {
        let ledger = Ledger::new(host, account, tables, deadline);
        ledger.withdraw_for(&id_of(&sim, 0), &id_of(&sim, 1)).await.unwrap();
    });
    sim.put(&plain);
    sim.pass(seconds(11 * 60));
    for _ in 0..4 {
        sim.run();
        sim.pass(seconds(61));
    }
    assert_eq!((texts(&sim), status(&sim, 0)), (vec!["1 change".to_owned()], "cancelled"));
    assert_eq!(record(&sim, &id_of(&sim, 0)).replaced_by.as_deref(), Some(id_of(&sim, 1).as_str()));
}

/// Makes the job `number`, which takes the alert `of` back.
pub(crate) fn taking_back(sim: &Sim, number: u32, of: u32, more: &Value) -> Value {
    let mut message = change(sim, number, of, 900, more);
    message["text"] = "".into();
    message["keyed"]["takesBack"] = message["keyed"].as_object_mut().unwrap().remove("edits").unwrap();
    message
}

#[test]
fn alert_that_is_taken_back_is_deleted_and_ends_its_key() {
    let sim = Sim::new(15);
    accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
    sim.run();
    let of = json!({"key": key(), "at": START_SECONDS * 1000 + 1});
    accept(&sim, &taking_back(&sim, 2, 1, &of), false);
    assert_eq!(counts(&sim.run(), ["withdrawn", "delivered"]), [1, 0]);
    assert_eq!((texts(&sim).len(), status(&sim, 1), status(&sim, 2)), (0, "withdrawn", "withdrawn"));
    accept(&sim, &keyed(&sim, 3, 3, &json!({})), true);
    sim.run();
    assert_eq!(texts(&sim), ["3 text"]);
    // The message of the first alert shows a newer alert now, so there is nothing to delete.
    accept(&sim, &keyed(&sim, 4, 4, &json!({})), true);
    sim.run();
    let of = json!({"key": key(), "at": START_SECONDS * 1000 + 3});
    accept(&sim, &taking_back(&sim, 5, 3, &of), false);
    sim.run();
    assert_eq!((texts(&sim), status(&sim, 5)), (vec!["4 text".to_owned()], "replaced"));
    use Method as M;
    assert_eq!(methods(&sim), [M::POST, M::DELETE, M::POST, M::PUT]);
}

#[test]
fn job_for_a_message_that_cannot_be_deleted_is_dead_and_the_alert_stays_delivered() {
    for (channel, answer, expected, job) in [
        ("msteams", 501, "delivered", "dead"),
        ("webchat", 200, "delivered", "dead"),
        ("msteams", 404, "delivered", "dead"),
        ("msteams", 200, "withdrawn", "withdrawn"),
    ] {
        let sim = Sim::new(16);
        sim.connector(move |_, text| Reply::status(if text.is_empty() { answer } else { 200 }));
        for number in 0..=1 {
            let mut message = match number {
                0 => envelope(CONVERSATION, "0 text"),
                _ => taking_back(&sim, 1, 0, &json!({})),
            };
            message["id"] = id_of(&sim, number).as_str().into();
            message["address"]["channelId"] = channel.into();
            accept(&sim, &message, false);
            sim.run();
        }
        assert_eq!((status(&sim, 0), status(&sim, 1)), (expected, job), "{channel} {answer}");
    }
    // The person has deleted the message already.
    let sim = Sim::new(17);
    let mut plain = envelope(CONVERSATION, "0 text");
    plain["id"] = id_of(&sim, 0).as_str().into();
    accept(&sim, &plain, false);
    sim.run();
    sim.chats.borrow_mut().delete_all(CONVERSATION);
    accept(&sim, &taking_back(&sim, 1, 0, &json!({})), false);
    sim.run();
    assert_eq!((status(&sim, 0), status(&sim, 1)), ("withdrawn", "withdrawn"));
}

#[test]
fn alert_with_a_key_costs_two_more_calls_of_the_tables_than_an_alert_without_key() {
    let calls = |keyed: bool| {
        let sim = Sim::new(18);
        let count = std::rc::Rc::new(std::cell::Cell::new(0));
        let message = match keyed {
            true => super::keyed::keyed(&sim, 1, 1, &json!({})),
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

/// A fault of the world while runs work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    /// The second run begins this many milliseconds after the first one.
    second_after: u64,
    /// The first run is killed this many milliseconds after its start.
    kill_after: Option<u64>,
    /// The Connector takes this many milliseconds for each response.
    delay: u64,
    /// One in this many responses of the Connector is lost.
    lose_each: usize,
    /// One in this many calls of the tables fails.
    fail_each: usize,
}

pub(crate) fn any_trouble() -> impl Strategy<Value = Trouble> {
    (0..12_000_u64, prop::option::of(0..9_000_u64), 0..1_500_u64, 2..9_usize, 5..60_usize).prop_map(
        |(second_after, kill_after, delay, lose_each, fail_each)| Trouble {
            second_after,
            kill_after,
            delay,
            lose_each,
            fail_each,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// The first of two runs may be killed, and the second one begins later. Responses are lost, calls of the
    /// tables fail, and the queue has any order. No message of the conversation goes back to an older alert,
    /// and in the end the conversation shows the newest one.
    #[test]
    fn older_alert_never_replaces_a_newer_one(
        order in Just((0..6_u32).collect::<Vec<_>>()).prop_shuffle(),
        rules in prop::collection::vec(prop::sample::select(vec!["update", "update", "new", "reply"]), 6),
        noted in prop::collection::vec(any::<bool>(), 6),
        trouble in any_trouble(),
        seed in 1_u64..1000,
    ) {
        let sim = Sim::new(seed);
        for number in order {
            let rule = rules[number as usize];
            accept(&sim, &keyed(&sim, number, number.into(), &json!({"again": rule})), noted[number as usize]);
        }
        run_in(&sim, trouble);
        expect_newest(&sim, &texts(&sim))?;
    }
}

/// Does two runs with this trouble, and then forty runs without trouble, in which every alert ends.
pub(crate) fn run_in(sim: &Sim, trouble: Trouble) {
    let (mut calls, mut reads) = (0, 0);
    sim.connector(move |_, _| {
        calls += 1;
        let reply = if calls % trouble.lose_each == 0 { Reply::cut() } else { Reply::status(200) };
        reply.after(milliseconds(trouble.delay))
    });
    sim.table_faults(move |_| {
        reads += 1;
        (reads % trouble.fail_each == 0).then_some(Fault::Status(503))
    });
    let start = sim.now();
    let limits = Limits { backoff: milliseconds(10), uncertain_pause: seconds(1), ..Limits::default() };
    let kill = trouble.kill_after.map(|after| start + milliseconds(after));
    sim.run_all(vec![
        Planned { start, kill, limits: limits.clone() },
        Planned { start: start + milliseconds(trouble.second_after), kill: None, limits: limits.clone() },
    ]);
    sim.table_faults(|_| None);
    sim.connector(|_, _| Reply::status(200));
    for _ in 0..40 {
        sim.pass(seconds(61));
        let planned = Planned { start: sim.now(), kill: None, limits: limits.clone() };
        sim.run_all(vec![planned]);
    }
}

/// Checks that every alert has ended, that no message went back to an older alert, and that the newest of six
/// alerts is shown.
pub(crate) fn expect_newest(sim: &Sim, texts: &[String]) -> Result<(), TestCaseError> {
    prop_assert_eq!(sim.storage.borrow().messages(QUEUE).len(), 0, "every alert has ended");
    let mut shown: BTreeMap<String, u32> = BTreeMap::new();
    for attempt in sim.attempts.borrow().iter().filter(|attempt| attempt.shown) {
        let number: u32 = attempt.text.split(' ').next().unwrap().parse().unwrap();
        let before = shown.entry(attempt.activity.clone()).or_default();
        prop_assert!(*before <= number, "{number} replaced {before}: {:#?}", sim.attempts.borrow());
        *before = number;
    }
    // The newest alert is the last one of six, which count from 0.
    let newest = texts.iter().filter_map(|text| text.split(' ').next()?.parse::<u32>().ok()).max();
    prop_assert_eq!(newest, Some(5), "{:#?}", sim.attempts.borrow());
    Ok(())
}

#[test]
fn keyed_field_of_the_tests_is_one_that_the_envelope_reads() {
    let sim = Sim::new(1);
    let message = keyed(&sim, 1, 1, &json!({"state": "resolved"}));
    let note = message["keyed"].to_string();
    assert!(Keyed::from_note(&note).is_some(), "{note}");
}
