//! Alerts to people whose chats the poller first has to find or create, and alerts that start new threads.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use platform::testing::{FakeHost, run};
use platform::{Clock, Deadline};
use serde_json::{Value, json};
use state::{Conversations, Sign, Tables};
use storage_queue::QueueSettings;

use crate::sim::{Fault, POISON, QUEUE, Reply, Sim};
use crate::{counts, envelope, seconds};

pub(crate) const PERSON: &str = "e5e0a3b6-5f2c-4f1c-8a9e-3a1f3f2c9d10";

/// Makes an alert to a person whom the bot does not know.
fn to_person(text: &str) -> Value {
    let mut alert = envelope(&format!("new:t/{PERSON}"), text);
    alert["id"] = format!("p-{text}").into();
    alert["address"]["user"] = json!({"id": PERSON, "aadObjectId": PERSON});
    alert["address"]["conversation"]["conversationType"] = "personal".into();
    alert["creation"] = json!({"kind": "person"});
    alert
}

/// Makes an alert that starts a new thread in a channel.
fn to_channel(text: &str) -> Value {
    let mut alert = envelope("19:c@thread.tacv2", text);
    alert["creation"] = json!({"kind": "thread"});
    alert
}

/// Makes an alert to a chat that the bot knows.
fn to_chat(chat: &str, text: &str) -> Value {
    let mut alert = envelope(chat, text);
    alert["address"]["conversation"]["conversationType"] = "personal".into();
    alert
}

pub(crate) fn created(id: &str) -> (u16, Value) {
    (201, json!({ "id": id }))
}

pub(crate) fn refused(status: u16, code: &str) -> (u16, Value) {
    (status, json!({"error": {"code": code, "message": "words"}}))
}

/// Calls `work` with the address book (the table of conversations) of the simulation. With this function, a
/// test changes the address book, as the bot does when an activity arrives.
pub(crate) fn with_book(sim: &Sim, work: impl AsyncFnOnce(&Conversations<'_, FakeHost>)) {
    let host = FakeHost::with_settings([("storageconnection", "UseDevelopmentStorage=true")]);
    host.settings.borrow_mut().insert("queuename".into(), QUEUE.into());
    let tables = Rc::new(RefCell::new(sim.tables.take()));
    let (service, now) = (Rc::clone(&tables), host.now());
    host.answers(move |request| service.borrow_mut().response(request, now).map(Ok));
    let (queue, names) = (QueueSettings::read(&host).unwrap(), Tables::read(&host).unwrap());
    let deadline = Deadline::after(&host, seconds(20));
    run(work(&Conversations::new(&host, &queue.account, &names, deadline)));
    sim.tables.replace(tables.take());
}

pub(crate) fn reference(json: &Value) -> ConversationReference {
    ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
}

/// Records the person's first activity in this chat, as the bot does.
pub(crate) fn record_first_activity(sim: &Sim, chat: &str) {
    let mut address = to_chat(chat, "x")["address"].clone();
    address["user"] = json!({"id": "29:kim", "aadObjectId": PERSON});
    with_book(sim, async |book| {
        book.record_activity(&reference(&address), Sign::Installed, None).await.unwrap();
    });
}

fn statuses(sim: &Sim, ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| sim.status(id).unwrap_or_default()).collect()
}

/// Runs once a minute, for `minutes` minutes.
fn poll_for(sim: &Sim, minutes: u64) {
    poll_every(sim, 1, minutes);
}

/// Runs once in `step` minutes, for `minutes` minutes.
fn poll_every(sim: &Sim, step: u64, minutes: u64) {
    for _ in 0..minutes / step {
        sim.run();
        sim.pass(seconds(60 * step));
    }
}

/// Returns the reason (`failure.outcome`) of each message in the poison queue.
fn outcomes(sim: &Sim) -> Vec<String> {
    let outcome = |message: crate::queue::Message| {
        let text = STANDARD.decode(&message.text).unwrap();
        let envelope: Value = serde_json::from_slice(&text).unwrap();
        envelope["failure"]["outcome"].as_str().unwrap().to_owned()
    };
    sim.storage.borrow().messages(POISON).into_iter().map(outcome).collect()
}

#[test]
fn several_alerts_to_a_new_person_create_one_chat_and_keep_their_order() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let calls = Rc::new(Cell::new(0));
        let failures = sim.random(4);
        let count = Rc::clone(&calls);
        sim.creations(move |_| {
            count.set(count.get() + 1);
            if count.get() <= failures { refused(503, "ServiceUnavailable") } else { created("a:kim") }
        });
        for text in ["0", "1", "2"] {
            sim.put(&to_person(text));
        }
        poll_for(&sim, 10);
        assert_eq!(sim.shown("a:kim"), ["0", "1", "2"], "seed {seed}");
        assert_eq!(
            calls.get(),
            failures + 1,
            "seed {seed}: the next alerts find the chat in the address book"
        );
        assert!(sim.storage.borrow().messages(QUEUE).is_empty());
        assert_eq!(statuses(&sim, &["p-0", "p-1", "p-2"]), ["delivered"; 3], "seed {seed}");
    }
}

#[test]
fn one_busy_response_of_a_table_counts_as_one_storage_retry() {
    for table in ["proactivebotconversations", "proactivebotledger", "proactivebotruns"] {
        let sim = Sim::new(1);
        sim.creations(|_| created("a:kim"));
        // The first run also creates the tables, so the test counts only the retries of the second run.
        sim.put(&to_chat("a:lee", "0"));
        sim.run();
        let is_busy = Cell::new(true);
        sim.table_faults(move |request| {
            (request.uri().path().contains(table) && is_busy.take()).then_some(Fault::Status(503))
        });
        sim.put(&to_person("1"));
        let report = sim.run();
        assert_eq!(
            (report.received, report.storage_retries),
            (1, 1),
            "(received, storage_retries) of {table}"
        );
    }
}

#[test]
fn creation_that_fails_with_an_unclear_status_is_repeated_and_the_alert_is_sent_once() {
    for status in [500, 502, 504, 408] {
        let sim = Sim::new(status.into());
        let first = Cell::new(true);
        sim.creations(
            move |_| {
                if first.replace(false) { refused(status, "ServiceError") } else { created("a:kim") }
            },
        );
        let mut alert = to_person("0");
        // With `onUncertain: drop`, the poller does not send an alert again if it is uncertain whether the
        // person got the alert. This does not apply to the creation of a chat, because the creation sends no
        // alert.
        alert["onUncertain"] = "drop".into();
        sim.put(&alert);
        poll_for(&sim, 5);
        assert_eq!(sim.shown("a:kim"), ["0"], "{status}");
    }
}

/// The person has not installed the bot, so the Connector refuses to create the chat.
#[test]
fn alert_to_a_person_without_the_bot_waits_until_the_bot_is_installed() {
    let sim = Sim::new(1);
    let creations = Rc::new(Cell::new(0));
    let count = Rc::clone(&creations);
    sim.creations(move |_| {
        count.set(count.get() + 1);
        refused(403, "BotNotInConversationRoster")
    });
    sim.put(&to_person("0"));
    let report = sim.run();
    assert_eq!(counts(&report, ["notInstalled", "poisoned", "retried"]), [1, 0, 0]);
    sim.put(&to_person("1"));
    sim.put(&envelope("another", "0"));
    poll_for(&sim, 5 * 60);
    assert_eq!(sim.shown("another"), ["0"], "alerts to other people do not wait");
    assert_eq!(sim.status("p-0").as_deref(), Some("waiting"));
    assert!(
        (10..=11).contains(&creations.get()),
        "expected 10 or 11 calls that create the chat in five hours, found {}",
        creations.get()
    );
    record_first_activity(&sim, "a:kim");
    poll_for(&sim, 6);
    assert_eq!(sim.shown("a:kim"), ["0", "1"], "the alerts arrive within five minutes, in order");
    assert_eq!(statuses(&sim, &["p-0", "p-1"]), ["delivered"; 2]);
}

#[test]
fn alert_to_a_person_without_the_bot_ends_after_a_day_or_when_it_expires() {
    let sim = Sim::new(2);
    sim.creations(|_| refused(404, "ConversationNotFound"));
    sim.put(&to_person("0"));
    poll_every(&sim, 10, 23 * 60);
    assert!(sim.storage.borrow().messages(POISON).is_empty());
    poll_for(&sim, 70);
    assert_eq!(outcomes(&sim), ["notInstalled"]);

    let sim = Sim::new(3);
    sim.creations(|_| refused(403, "ForbiddenOperationException"));
    let mut alert = to_person("0");
    alert["expires"] = "2026-11-25T22:00:00Z".into();
    sim.put(&alert);
    poll_every(&sim, 10, 47 * 60);
    assert_eq!(sim.status("p-0").as_deref(), Some("waiting"), "the alert has not expired yet");
    poll_for(&sim, 70);
    assert_eq!(sim.status("p-0").as_deref(), Some("expired"));
    assert!(sim.attempts.borrow().is_empty());
}

#[test]
fn alert_whose_chat_can_never_be_created_is_moved_to_the_poison_queue_at_once() {
    for (status, code, outcome) in [
        (400, "MemberNotFoundInConversation", "unknownPerson"),
        (400, "BadSyntax", "unknownPerson"),
        (400, "BadArgument", "permanent"),
        (403, "ConversationBlockedByUser", "destinationGone"),
    ] {
        let sim = Sim::new(4);
        sim.creations(move |_| refused(status, code));
        sim.put(&to_person("0"));
        let report = sim.run();
        assert_eq!(counts(&report, ["poisoned"]), [1], "{code}");
        assert_eq!(report.to_json()["poisonedBy"][outcome], 1, "{code}");
        assert!(sim.attempts.borrow().is_empty());
    }
}

#[test]
fn person_who_wrote_stop_gets_no_alert_that_was_accepted_before_the_bot_knew_the_chat() {
    let sim = Sim::new(5);
    sim.creations(|_| created("a:kim"));
    let chat = reference(&to_chat("a:kim", "x")["address"]);
    with_book(&sim, async |book| {
        book.stop(&state::ConversationKey::of(&chat), chrono::DateTime::UNIX_EPOCH).await.unwrap();
    });
    let mut alert = to_person("0");
    alert["stoppable"] = true.into();
    sim.put(&alert);
    assert_eq!(counts(&sim.run(), ["stopped", "delivered"]), [1, 0]);
    assert!(sim.attempts.borrow().is_empty());
}

#[test]
fn purged_chat_is_replaced_by_one_new_chat_with_the_same_tags() {
    let sim = Sim::new(6);
    sim.connector(|conversation, _| {
        if conversation == "a:old" { Reply::coded(404, "ConversationNotFound") } else { Reply::status(201) }
    });
    sim.creations(|body| {
        assert_eq!(body["members"], json!([{"id": "29:u"}]));
        created("a:new")
    });
    let chat = reference(&to_chat("a:old", "x")["address"]);
    let tag = state::Tag::parse("news").unwrap();
    with_book(&sim, async |book| {
        book.record_activity(&chat, Sign::Message, None).await.unwrap();
        book.tag(&state::ConversationKey::of(&chat), &tag).await.unwrap();
    });
    sim.put(&to_chat("a:old", "0"));
    sim.put(&to_chat("a:old", "1"));
    assert_eq!(counts(&sim.run(), ["delivered", "poisoned"]), [2, 0]);
    assert_eq!(sim.shown("a:new"), ["0", "1"]);
    with_book(&sim, async |book| {
        let key = |chat: &str| state::ConversationKey::of(&reference(&to_chat(chat, "x")["address"]));
        assert_eq!(book.get(&key("a:old")).await, Ok(None));
        let new = book.get(&key("a:new")).await.unwrap().expect("the new chat is in the address book");
        assert_eq!(new.tags, [tag]);
    });
}

#[test]
fn chat_that_is_purged_each_time_is_not_created_in_a_loop() {
    let sim = Sim::new(7);
    sim.connector(|_, _| Reply::coded(404, "ConversationNotFound"));
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    sim.creations(move |_| {
        count.set(count.get() + 1);
        created(&format!("a:new-{}", count.get()))
    });
    sim.put(&to_chat("a:old", "0"));
    sim.put(&to_person("0"));
    poll_for(&sim, 30);
    assert_eq!(sim.storage.borrow().messages(POISON).len(), 2);
    assert_eq!(calls.get(), 2, "one call for each alert");
    assert_eq!(sim.attempts.borrow().len(), 3, "one attempt in the old chat, and one in each new chat");
}

#[test]
fn alert_whose_thread_creation_fails_twice_with_500_is_moved_to_the_poison_queue() {
    let sim = Sim::new(8);
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    sim.creations(move |body| {
        count.set(count.get() + 1);
        assert_eq!(body["activity"]["text"], "Alert: 0");
        refused(500, "ServiceError")
    });
    sim.put(&to_channel("0"));
    poll_for(&sim, 10);
    assert_eq!(calls.get(), 2);
    assert_eq!(outcomes(&sim), ["possiblyDelivered"]);
}

#[test]
fn alert_in_a_new_thread_is_recorded_with_the_conversation_key_of_the_thread() {
    let sim = Sim::new(9);
    let thread = "19:c@thread.tacv2;messageid=17";
    sim.creations(move |_| (201, json!({"id": thread, "activityId": "17"})));
    sim.put(&to_channel("0"));
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
    let record = sim.record("19:c@thread.tacv2-0").expect("a record");
    assert_eq!(record["conversation"], state::ConversationKey::of_ids("msteams", thread).as_str());
    assert_eq!(record["activityId"], "17");
    assert!(sim.attempts.borrow().is_empty(), "the call that creates the thread sends the alert");
}

/// The variable `pace` is the maximum number of chat messages a second to one tenant.
#[test]
fn creation_of_a_chat_counts_as_a_message_for_the_pace() {
    let sim = Sim::new(10);
    sim.settings.borrow_mut().insert("pace".into(), "10".into());
    sim.creations(|body| created(&format!("a:{}", body["members"][0]["id"].as_str().unwrap())));
    for number in 0..40 {
        let mut alert = to_person("0");
        let person = format!("{PERSON}-{number}");
        alert["id"] = person.as_str().into();
        alert["address"]["user"] = json!({"id": person, "aadObjectId": person});
        alert["address"]["conversation"]["id"] = format!("new:t/{person}").into();
        sim.put(&alert);
    }
    let begin = sim.now();
    assert_eq!(counts(&sim.run(), ["delivered"]), [40]);
    let took = sim.now() - begin;
    assert!(took >= seconds(39 * 2 / 10), "40 creations and 40 messages at 10 a second took {took:?}");
}
