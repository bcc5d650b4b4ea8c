//! Changes of alerts, and alerts that are taken back. A *change* is a queue message with new content for the
//! chat message of an earlier alert. If a sender takes an alert back, the poller deletes the chat message of
//! this alert. The `key` of an alert names a problem, and the key is *firing* while this problem lasts.

use http::Method;
use serde_json::{Value, json};
use state::ledger::{Ledger, NewAlert};

use crate::keyed::{CONVERSATION, accept, conversation, id_of, key, keyed, methods, record, status, texts};
use crate::script::Reply;
use crate::settled::with_tables;
use crate::sim::{START_SECONDS, Sim};
use crate::{counts, envelope, seconds};

/// Makes the change `number` of the alert `of`. `accepted_at` is in milliseconds after `START_SECONDS`.
/// `more` has further members of the envelope's object `keyed`.
pub(crate) fn change(sim: &Sim, number: u32, of: u32, accepted_at: u32, more: &Value) -> Value {
    let mut message = envelope(CONVERSATION, &format!("{number} change"));
    message["id"] = id_of(sim, number).as_str().into();
    message["enqueuedAt"] = format!("2026-11-23T22:00:00.{accepted_at:03}Z").into();
    message["keyed"] = json!({"edits": id_of(sim, of).as_str()});
    message["keyed"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

#[test]
fn changes_of_one_alert_change_one_message_and_an_older_change_is_dropped() {
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
    // A person has deleted the chat message, so the Connector refuses change 4 (404). The poller then sends
    // the content of change 4 as a new chat message. Change 5 changes this new chat message.
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
fn change_of_an_alert_whose_message_shows_a_newer_alert_is_dropped() {
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
    // Alert 5 has the same key, and changes the same chat message.
    accept(&sim, &keyed(&sim, 5, 5, &json!({})), true);
    sim.run();
    assert_eq!(texts(&sim), ["5 text"]);
}

#[test]
fn change_of_an_alert_does_not_change_the_message_of_another_alert_with_the_same_key() {
    for again in ["reply", "new"] {
        let sim = Sim::new(19);
        accept(&sim, &keyed(&sim, 1, 1, &json!({})), true);
        sim.run();
        accept(&sim, &keyed(&sim, 2, 2, &json!({"again": again})), true);
        sim.run();
        // Alert 2 is a new chat message. Later, alert 5 changes the chat message of alert 2 (if `again` is
        // `new`) or of alert 1 (if `again` is `reply`). `of_key` is the alert whose chat message alert 5
        // changes. `own` is the other alert of these two.
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
        assert_eq!(
            texts(&sim),
            ["5 text"],
            "{again}: the key is still firing, so alert 5 changes this message"
        );
    }
}

#[test]
fn change_of_an_unsent_alert_waits_for_the_result_of_the_alert() {
    let sim = Sim::new(14);
    let mut plain = envelope(CONVERSATION, "0 text");
    plain["id"] = id_of(&sim, 0).as_str().into();
    plain["cancellable"] = true.into();
    // The run dequeues the change before the alert. The test puts the alert's own message on the queue later,
    // as if the queue had hidden this message until then.
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

/// Makes the queue message `number`, which takes the alert `of` back. In this file, such a queue message is a
/// *job*.
pub(crate) fn taking_back(sim: &Sim, number: u32, of: u32, more: &Value) -> Value {
    let mut message = change(sim, number, of, 900, more);
    message["text"] = "".into();
    message["keyed"]["takesBack"] = message["keyed"].as_object_mut().unwrap().remove("edits").unwrap();
    message
}

#[test]
fn message_of_an_alert_that_is_taken_back_is_deleted_and_the_next_alert_with_the_key_is_a_new_message() {
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
    // The chat message of alert 3 now shows the newer alert 4. So the job that takes alert 3 back must not
    // delete this chat message.
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
fn job_that_cannot_delete_the_message_of_an_alert_gets_the_status_dead_and_the_alert_stays_delivered() {
    for (channel, delete_status, alert_status, job_status) in [
        ("msteams", 501, "delivered", "dead"),
        ("webchat", 200, "delivered", "dead"),
        ("msteams", 404, "delivered", "dead"),
        ("msteams", 200, "withdrawn", "withdrawn"),
    ] {
        let sim = Sim::new(16);
        sim.connector(move |_, text| Reply::status(if text.is_empty() { delete_status } else { 200 }));
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
        assert_eq!(
            (status(&sim, 0), status(&sim, 1)),
            (alert_status, job_status),
            "{channel} {delete_status}"
        );
    }
    // The person has already deleted the chat message, so the job has nothing to delete. The poller
    // knows this from the Connector's 404 with the code `ActivityNotFoundInConversation`. The 404 in the list
    // above has another code, so the poller does not know whether the chat message is deleted.
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
