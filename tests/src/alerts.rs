//! Calls the bot's API as a *back end* does. A back end is a program that sends alerts, cancels alerts, and
//! lists the *targets* (the conversations that the bot knows).

use serde_json::{Value, json};

use crate::activity::message;
use crate::stage::{Script, Stage};
use crate::suite::World;
use crate::web::{self, WholeResponse};

/// The API key that the tests send to the bot. The application's variable `alertkey` has the same value.
pub const ALERT_KEY: &str = "an-alert-key-for-tests";

/// Starts the default stage with the API key [`ALERT_KEY`]. A *stage* is a Spin host with the components, and
/// the services that the components call. Without an API key, the bot has no alert routes.
#[track_caller]
pub fn stage(world: &World) -> Stage {
    script(world).start()
}

/// Prepares the same stage as [`stage`], but does not start the stage. So the caller can first change the
/// variables.
pub fn script(world: &World) -> Script<'_> {
    Script::new(world).variable("alertkey", ALERT_KEY)
}

/// Calls a route of the bot with the API key [`ALERT_KEY`]. If the body is `null`, the request has no body.
#[track_caller]
pub fn call(stage: &Stage, method: &str, path: &str, body: &Value) -> WholeResponse {
    call_with(stage, method, path, &format!("Bearer {ALERT_KEY}"), body)
}

/// Calls a route of the bot. `authorization` is the value of the header `Authorization`. If `authorization`
/// is empty, the request does not have this header.
#[track_caller]
pub fn call_with(
    stage: &Stage,
    method: &str,
    path: &str,
    authorization: &str,
    body: &Value,
) -> WholeResponse {
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
pub fn alert(stage: &Stage, body: &Value) -> WholeResponse {
    call(stage, "POST", "/api/alerts", body)
}

/// Sends an alert to exactly one conversation, expects that the bot queues the alert, and returns the alert's
/// id.
#[track_caller]
pub fn queued(stage: &Stage, body: &Value) -> String {
    let response = alert(stage, body).expect_status(202).json();
    let alerts = response["alerts"].as_array().expect("a list of alerts");
    assert!(
        alerts.len() == 1 && alerts[0]["status"] == "queued",
        "expected one queued alert, found {response}"
    );
    alerts[0]["id"].as_str().expect("an id").to_owned()
}

/// Lists all stored conversations. Fails the test if the bot's list has more than one page.
#[track_caller]
pub fn targets(stage: &Stage) -> Vec<Value> {
    let page = call(stage, "GET", "/api/targets", &Value::Null).expect_status(200).json();
    assert!(page.get("next").is_none(), "expected one page, found a page with `next`: {page}");
    page["targets"].as_array().expect("a list of targets").clone()
}

/// Makes the bot store a personal conversation: a person sends `text` to the bot. Then empties the queue, and
/// clears the requests that the stage's fake of the Bot Connector has recorded. Returns the conversation key
/// ([`key_of`]).
#[track_caller]
pub fn known(stage: &Stage, conversation: &str, text: &str) -> String {
    stage.say(&message(conversation, &format!("known-{conversation}-{text}"), text));
    stage.queue.take_all();
    stage.connector.forget();
    key_of("msteams", conversation)
}

/// Computes the conversation key: the id by which back ends name a conversation.
pub fn key_of(channel_id: &str, conversation: &str) -> String {
    platform::name_of(&[channel_id, conversation])
}

/// Makes the body `{"to": {"conversation": key}, "text": text}`.
pub fn to_conversation(key: &str, text: &str) -> Value {
    json!({"to": {"conversation": key}, "text": text})
}
