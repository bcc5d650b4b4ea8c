//! Reads the activities in `fixtures/`, which have the form in which channels post them.

use serde_json::Value;

/// Reads a file of `fixtures/` as JSON.
#[track_caller]
pub fn fixture(name: &str) -> Value {
    let path = dev::workspace::root().join("tests/fixtures").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads the activity from a capture of the Playground.
#[track_caller]
pub fn playground(kind: &str) -> Value {
    fixture(&format!("playground-{kind}.json"))["body"].take()
}

/// Makes a text message in a personal chat, as Teams posts it.
pub fn message(conversation: &str, id: &str, text: &str) -> Value {
    let mut activity = fixture("teams-personal.json");
    activity["conversation"]["id"] = conversation.into();
    activity["id"] = id.into();
    activity["text"] = text.into();
    // The HTML copy still contains the text of the fixture, so it is removed.
    activity["attachments"] = Value::Array(Vec::new());
    activity
}

/// Replaces host and port of the serviceUrl; scheme and path stay.
#[track_caller]
pub fn at_service(activity: &Value, authority: &str) -> Value {
    let mut moved = activity.clone();
    let url = activity["serviceUrl"].as_str().expect("a serviceUrl");
    let (_, after_scheme) = url.split_once("://").expect("an absolute serviceUrl");
    let path = after_scheme.find('/').map_or("", |at| &after_scheme[at..]);
    moved["serviceUrl"] = format!("http://{authority}{path}").into();
    moved
}
