//! Asks questions through the bot, as a program does, and presses the buttons of a question, as a person
//! does. The buttons are on the question's *card*: the Adaptive Card that the chat message with the question
//! contains. (Adaptive Cards are Microsoft's format for texts with buttons in a chat.)

use serde_json::{Value, json};

use crate::activity::message;
use crate::alerts::{call, queued, script};
use crate::queue::decode;
use crate::stage::Stage;
use crate::suite::World;

/// The secret with which the poller signs callbacks (the calls that pass a person's answer on to a program).
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Starts a *stage*: the bot, the poller and the services that they call, for one test. The stage has the
/// secret [`SECRET`], because the poller makes no callback without a secret.
#[track_caller]
pub fn stage(world: &World) -> Stage {
    script(world).variable("callbacksecret", SECRET).start()
}

/// Makes the body of an API call that asks a question in a conversation. `to` is the conversation key: the id
/// by which programs name the conversation.
pub fn question(to: &str) -> Value {
    json!({
        "to": {"conversation": to}, "text": "Deploy 1.4.2?",
        "actions": [
            {"id": "approve", "title": "Approve"}, {"id": "reject", "title": "Reject", "input": "Why?"},
            {"url": "https://ci.example.com/1423", "title": "Open"},
        ],
    })
}

/// Asks a question, and runs the poller, which delivers the question as an alert. `body` is the body of the
/// API call. Returns the alert's id, and the card that the fake Connector received.
#[track_caller]
pub fn ask(stage: &Stage, body: &Value) -> (String, Value) {
    let before = stage.connector.received().len();
    let id = queued(stage, body);
    stage.poll();
    let sent = stage.connector.received();
    assert_eq!(sent.len(), before + 1, "expected one message for the question, found {sent:#?}");
    (id, sent[before].body["attachments"][0]["content"].clone())
}

/// Returns the data of a button on the card. `id` is the id of the button's action in [`question`], e.g.
/// `approve`.
#[track_caller]
pub fn data(card: &Value, id: &str) -> Value {
    let actions = card["actions"].as_array().expect("buttons");
    let inner = actions.iter().map(|action| action.pointer("/card/actions/0").unwrap_or(action));
    let found = inner.map(|action| &action["data"]).find(|data| data["proactivebot"]["i"] == id);
    found.unwrap_or_else(|| panic!("no button {id}: {card}")).clone()
}

/// Makes the activity (an invoke) that Teams sends to the bot when a person presses a button. `id` is the id
/// of the activity, and `data` is the data of the button.
pub fn press(conversation: &str, person: &str, id: &str, data: Value) -> Value {
    let mut activity = message(conversation, id, "");
    (activity["type"], activity["name"]) = ("invoke".into(), "adaptiveCard/action".into());
    activity["replyToId"] = "sent-1".into();
    activity["from"] =
        json!({"id": format!("29:{person}"), "name": person, "aadObjectId": format!("object-{person}")});
    activity["value"] =
        json!({"action": {"type": "Action.Execute", "verb": "x", "data": data}, "trigger": "manual"});
    activity
}

/// Sends an invoke to the bot, and returns the body of the bot's response. Teams shows this body to the
/// person.
#[track_caller]
pub fn invoke(stage: &Stage, activity: &Value) -> Value {
    stage.post(&stage.connector.host(activity)).expect_status(200).json()
}

/// Reads the state of an alert with `GET /api/alerts/{id}`.
#[track_caller]
pub fn status(stage: &Stage, id: &str) -> Value {
    call(stage, "GET", &format!("/api/alerts/{id}"), &Value::Null).expect_status(200).json()
}

/// The name of the *queue of replies*. The poller puts people's answers on this queue, and programs read them
/// there.
pub fn replies_of(stage: &Stage) -> String {
    format!("{}-replies", stage.queue.name())
}

/// Takes all messages off the queue of replies, and returns their JSON.
pub fn replies(stage: &Stage) -> Vec<Value> {
    stage.queue.named(&replies_of(stage)).take_all().iter().map(|text| decode(text)).collect()
}
