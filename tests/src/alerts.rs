//! What a back end does: it sends alerts, cancels them, and lists targets.

use serde_json::{Value, json};

use crate::activity::message;
use crate::stage::{Script, Stage};
use crate::suite::World;
use crate::web::{self, Answer};

/// The key of the alert routes.
pub const ALERT_KEY: &str = "an-alert-key-for-tests";

/// The default stage, with the alert routes open.
#[track_caller]
pub fn stage(world: &World) -> Stage {
    script(world).start()
}

/// [`stage`], before its start.
pub fn script(world: &World) -> Script<'_> {
    Script::new(world).variable("alertkey", ALERT_KEY)
}

/// Makes a call with the key; `null` for no body.
#[track_caller]
pub fn call(stage: &Stage, method: &str, path: &str, body: &Value) -> Answer {
    call_with(stage, method, path, &format!("Bearer {ALERT_KEY}"), body)
}

/// Makes a call with another `Authorization`.
#[track_caller]
pub fn call_with(stage: &Stage, method: &str, path: &str, authorization: &str, body: &Value) -> Answer {
    let mut request = http::Request::builder().method(method).uri(stage.url(path));
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    let body = if body.is_null() {
        String::new()
    } else {
        request = request.header("content-type", "application/json");
        body.to_string()
    };
    web::send(request.body(web::whole(body)).unwrap())
}

/// Sends an alert.
#[track_caller]
pub fn alert(stage: &Stage, body: &Value) -> Answer {
    call(stage, "POST", "/api/alerts", body)
}

/// Sends an alert that is queued for one conversation. Its id.
#[track_caller]
pub fn queued(stage: &Stage, body: &Value) -> String {
    let answer = alert(stage, body).expect_status(202).json();
    let alerts = answer["alerts"].as_array().expect("a list of alerts");
    assert!(alerts.len() == 1 && alerts[0]["status"] == "queued", "one alert, queued: {answer}");
    alerts[0]["id"].as_str().expect("an id").to_owned()
}

/// All that is stored, as one page of the list.
#[track_caller]
pub fn targets(stage: &Stage) -> Vec<Value> {
    let page = call(stage, "GET", "/api/targets", &Value::Null).expect_status(200).json();
    assert!(page.get("next").is_none(), "one page: {page}");
    page["targets"].as_array().expect("a list of targets").clone()
}

/// A person says something in this conversation of theirs, so that it is stored. Its key. Whatever the bot makes of it is
/// taken off the queue, and out of the Connector's record.
#[track_caller]
pub fn known(stage: &Stage, conversation: &str, text: &str) -> String {
    stage.say(&message(conversation, &format!("known-{conversation}-{text}"), text));
    stage.queue.take_all();
    stage.connector.forget();
    key_of("msteams", conversation)
}

/// The key of a conversation.
pub fn key_of(channel_id: &str, conversation: &str) -> String {
    platform::name_of(&[channel_id, conversation])
}

/// `{"to": {"conversation": key}, "text": text}`
pub fn to_conversation(key: &str, text: &str) -> Value {
    json!({"to": {"conversation": key}, "text": text})
}
