//! Alerts to people who never wrote to the bot, and to channels. For such an alert, the poller first creates
//! a conversation: a personal chat, or a thread in the channel. The cases send alerts with the same `key`
//! (the *alert key*), change an alert, and take an alert back (delete its chat message).

use end_to_end::alerts::{alert, call, key_of, queued};
use end_to_end::stage::{Stage, TENANT};
use end_to_end::suite::World;
use http::Method;
use serde_json::{Value, json};

use crate::people::{CHANNEL, KIM, send_to_new_conversation, stage, status};

end_to_end::cases!(
    ten_alerts_with_the_same_alert_key_to_a_person_who_never_wrote_are_one_chat_message,
    alerts_with_the_same_alert_key_to_a_channel_change_the_message_in_the_thread,
    alert_with_an_alert_key_to_a_purged_chat_arrives_in_the_new_chat,
    alert_in_a_thread_is_changed_and_taken_back_by_id,
    alert_in_a_created_chat_is_changed_and_taken_back_by_id,
    alert_that_waits_for_a_new_chat_can_be_cancelled_but_not_changed,
    alert_that_waits_for_a_new_thread_can_be_changed_and_cancelled,
);

/// The body of an alert with the `key` `disk/db-7`.
fn keyed(to: &Value, text: &str, more: &Value) -> Value {
    let mut body = json!({"to": to, "key": "disk/db-7", "text": text});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn to_kim() -> Value {
    json!({"user": KIM, "tenant": TENANT})
}

fn to_channel() -> Value {
    json!({"channel": CHANNEL, "tenant": TENANT})
}

/// The id of the first chat of the test person Kim. If Teams *purges* (deletes) this chat, the poller creates
/// a chat with another id.
fn chat() -> String {
    format!("a:{KIM}-0")
}

fn thread(number: u32) -> String {
    format!("{CHANNEL};messageid=17{number:011}")
}

/// Sends an alert to one person or channel, and returns the alert's id.
#[track_caller]
fn sent(stage: &Stage, body: &Value) -> String {
    let response = alert(stage, body).expect_status(202).json();
    response["alerts"][0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("expected an alert, found {response}"))
        .to_owned()
}

/// The texts that a conversation shows.
fn texts(stage: &Stage, conversation: &str) -> Vec<String> {
    let shown = stage.connector.shown(conversation);
    shown.iter().map(|activity| activity["text"].as_str().unwrap_or_default().to_owned()).collect()
}

fn request_methods(stage: &Stage) -> Vec<Method> {
    stage.connector.received().into_iter().map(|received| received.method).collect()
}

fn path_of(id: &str) -> String {
    format!("/api/alerts/{id}")
}

fn ten_alerts_with_the_same_alert_key_to_a_person_who_never_wrote_are_one_chat_message(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| _ = teams.install(KIM));
    for number in 0..10 {
        sent(&stage, &keyed(&to_kim(), &format!("{number} of 10"), &json!({})));
    }
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], &counts["replaced"]), (&1.into(), &9.into()), "{counts}");
    assert_eq!(
        (texts(&stage, &chat()), request_methods(&stage)),
        (vec!["Alert: 9 of 10".into()], vec![Method::POST])
    );
    // The bot has now stored the person's chat. The next alert with this `key` still changes the chat
    // message.
    queued(&stage, &keyed(&to_kim(), "over", &json!({"state": "resolved"})));
    stage.poll();
    assert_eq!(texts(&stage, &chat()), ["Alert: over"]);
    assert_eq!(request_methods(&stage), [Method::POST, Method::PUT]);
    assert_eq!(stage.connector.conversation_calls().len(), 1, "expected one created chat");
}

fn alerts_with_the_same_alert_key_to_a_channel_change_the_message_in_the_thread(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| _ = teams.install(CHANNEL));
    let say = |text: &str, more: Value| {
        let id = sent(&stage, &keyed(&to_channel(), text, &more));
        stage.poll();
        status(&stage, &id)["conversation"].clone()
    };
    let first = say("one", json!({}));
    assert_eq!(say("two", json!({})), first);
    assert_eq!(texts(&stage, &thread(1)), ["Alert: two"]);
    assert_eq!(say("three", json!({"again": "reply"})), first);
    assert_eq!(texts(&stage, &thread(1)), ["Alert: two", "Alert: three"]);
    say("over", json!({"state": "resolved"}));
    assert_eq!(texts(&stage, &thread(1)), ["Alert: over", "Alert: three"]);
    assert_eq!(first, key_of("msteams", &thread(1)));
    assert_ne!(
        say("four", json!({})),
        first,
        "expected a new thread after an alert with this `key` was resolved"
    );
    assert_eq!(texts(&stage, &thread(2)), ["Alert: four"]);
    assert_eq!(request_methods(&stage), [Method::PUT, Method::POST, Method::PUT]);
    let conversations = stage.connector.received().into_iter().filter_map(|received| received.conversation());
    assert!(conversations.into_iter().all(|conversation| conversation == thread(1)));
    assert_eq!(stage.connector.conversation_calls().len(), 2, "expected two created threads");
}

fn alert_with_an_alert_key_to_a_purged_chat_arrives_in_the_new_chat(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| _ = teams.install(KIM));
    sent(&stage, &keyed(&to_kim(), "one", &json!({})));
    stage.poll();
    stage.connector.teams(|teams| _ = teams.purge(KIM));
    stage.connector.forget();
    let id = queued(&stage, &keyed(&to_kim(), "two", &json!({})));
    assert_eq!(stage.poll()["delivered"], 1);
    let new = format!("a:{KIM}-1");
    assert_eq!(
        (texts(&stage, &new), request_methods(&stage)),
        (vec!["Alert: two".into()], vec![Method::PUT, Method::POST])
    );
    assert_eq!(status(&stage, &id)["conversation"], key_of("msteams", &new));
    queued(&stage, &keyed(&to_kim(), "three", &json!({})));
    stage.poll();
    assert_eq!(
        (texts(&stage, &new), stage.connector.conversation_calls().len()),
        (vec!["Alert: three".into()], 1)
    );
}

fn alert_in_a_thread_is_changed_and_taken_back_by_id(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| _ = teams.install(CHANNEL));
    let id = send_to_new_conversation(&stage, &to_channel(), "Ready at 18:00");
    stage.poll();
    let changed =
        call(&stage, "PATCH", &path_of(&id), &json!({"text": "Ready at 18:10"})).expect_status(202).json();
    stage.poll();
    assert_eq!(texts(&stage, &thread(1)), ["Alert: Ready at 18:10"]);
    let change = status(&stage, changed["id"].as_str().unwrap());
    assert_eq!(
        (&change["status"], &change["conversation"]),
        (&"delivered".into(), &key_of("msteams", &thread(1)).into())
    );
    call(&stage, "DELETE", &format!("{}?sent=true", path_of(&id)), &Value::Null).expect_status(202);
    assert_eq!(stage.poll()["withdrawn"], 1);
    assert!(texts(&stage, &thread(1)).is_empty());
    assert_eq!(status(&stage, &id)["status"], "withdrawn");
    assert_eq!(request_methods(&stage), [Method::PUT, Method::DELETE]);
    assert_eq!(stage.connector.conversation_calls().len(), 1, "expected one created thread");
}

fn alert_in_a_created_chat_is_changed_and_taken_back_by_id(world: &World) {
    for to in [to_kim(), json!({"email": "kim@contoso.com", "tenant": TENANT})] {
        let stage = stage(world);
        stage.connector.teams(|teams| _ = teams.install(KIM));
        let id = send_to_new_conversation(&stage, &to, "one");
        stage.poll();
        call(&stage, "PATCH", &path_of(&id), &json!({"text": "two"})).expect_status(202);
        stage.poll();
        assert_eq!(texts(&stage, &chat()), ["Alert: two"], "{to}");
        call(&stage, "DELETE", &format!("{}?sent=true", path_of(&id)), &Value::Null).expect_status(202);
        stage.poll();
        assert_eq!(status(&stage, &id)["status"], "withdrawn", "{to}");
        assert_eq!(request_methods(&stage), [Method::POST, Method::PUT, Method::DELETE], "{to}");
    }
}

fn alert_that_waits_for_a_new_chat_can_be_cancelled_but_not_changed(world: &World) {
    let stage = stage(world);
    let id = send_to_new_conversation(&stage, &to_kim(), "one");
    let patch = || call(&stage, "PATCH", &path_of(&id), &json!({"text": "two"}));
    let said = patch().expect_error(409, "ConversationNotThere").json()["error"]["message"].clone();
    assert!(said.as_str().unwrap().contains("cancel the alert with DELETE"), "{said}");
    // The bot is not installed for the person, so the alert waits.
    stage.poll();
    assert_eq!(status(&stage, &id)["status"], "waiting");
    patch().expect_error(409, "ConversationNotThere");
    assert_eq!(stage.queue.count(), 1, "expected no change on the queue");
    let cancelled = call(&stage, "DELETE", &format!("{}?sent=true", path_of(&id)), &Value::Null);
    assert_eq!(cancelled.expect_status(202).json()["status"], "cancelling");
    patch().expect_error(409, "AlertIsOver");
    stage.connector.expect_silence();
}

fn alert_that_waits_for_a_new_thread_can_be_changed_and_cancelled(world: &World) {
    let stage = stage(world);
    stage.connector.teams(|teams| _ = teams.install(CHANNEL));
    let id = send_to_new_conversation(&stage, &to_channel(), "one");
    call(&stage, "PATCH", &path_of(&id), &json!({"text": "two"})).expect_status(202);
    while stage.queue.count() > 0 {
        stage.poll();
    }
    assert_eq!(texts(&stage, &thread(1)), ["Alert: two"]);
    assert_eq!(status(&stage, &id)["status"], "cancelled");
    stage.connector.expect_silence();
    assert_eq!(stage.connector.conversation_calls().len(), 1, "expected one created thread");
    let id = send_to_new_conversation(&stage, &to_channel(), "three");
    call(&stage, "DELETE", &path_of(&id), &Value::Null).expect_status(202);
    stage.poll();
    assert_eq!(status(&stage, &id)["status"], "cancelled");
    assert_eq!(stage.connector.conversation_calls().len(), 1, "expected no thread for the cancelled alert");
}
