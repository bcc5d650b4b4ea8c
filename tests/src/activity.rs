//! Reads activities from `tests/fixtures/`. A *channel* is a service that connects people with the bot, such
//! as Teams. An *activity* is the JSON body of a call from a channel to the bot, or from the bot to a
//! channel.

use serde_json::Value;

/// Reads a file of `tests/fixtures/` as JSON.
#[track_caller]
pub fn fixture(name: &str) -> Value {
    let path = dev::workspace::root().join("tests/fixtures").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads an activity of the M365 Agents Playground, a test program of Microsoft that acts as a channel.
/// `kind` is a part of the file's name, such as `personal`.
#[track_caller]
pub fn playground(kind: &str) -> Value {
    fixture(&format!("playground-{kind}.json"))["body"].take()
}

/// Makes the activity that Teams posts when a person writes `text` in a personal chat.
pub fn message(conversation: &str, id: &str, text: &str) -> Value {
    let mut activity = fixture("teams-personal.json");
    activity["conversation"]["id"] = conversation.into();
    activity["id"] = id.into();
    activity["text"] = text.into();
    // The attachment of the fixture contains the old text of the fixture as HTML. The old text differs from
    // the new `text`. So this line removes the attachment.
    activity["attachments"] = Value::Array(Vec::new());
    activity
}

/// Returns the activity with another `serviceUrl` (the address of the Connector). The new `serviceUrl` begins
/// with `http://<authority>`, and keeps the path of the old `serviceUrl`.
#[track_caller]
pub fn at_service(activity: &Value, authority: &str) -> Value {
    let mut moved = activity.clone();
    let url = activity["serviceUrl"].as_str().expect("a serviceUrl");
    let (_, after_scheme) = url.split_once("://").expect("an absolute serviceUrl");
    let path = after_scheme.find('/').map_or("", |at| &after_scheme[at..]);
    moved["serviceUrl"] = format!("http://{authority}{path}").into();
    moved
}
