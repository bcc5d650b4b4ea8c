//! Activities as channels post them, from `fixtures/`.

use serde_json::Value;

/// A file of `fixtures/`, as JSON.
#[track_caller]
pub fn fixture(name: &str) -> Value {
    let path = dev::workspace::root().join("tests/fixtures").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The activity inside a capture of the Playground.
#[track_caller]
pub fn playground(kind: &str) -> Value {
    fixture(&format!("playground-{kind}.json"))["body"].take()
}

/// A plain message of a person in a conversation of their own, as Teams posts it.
pub fn message(conversation: &str, id: &str, text: &str) -> Value {
    let mut activity = fixture("teams-personal.json");
    activity["conversation"]["id"] = conversation.into();
    activity["id"] = id.into();
    activity["text"] = text.into();
    // The copy in HTML says what the fixture said.
    activity["attachments"] = Value::Array(Vec::new());
    activity
}

/// The same activity with another host in its serviceUrl; scheme and path stay.
#[track_caller]
pub fn at_service(activity: &Value, authority: &str) -> Value {
    let mut moved = activity.clone();
    let url = activity["serviceUrl"].as_str().expect("a serviceUrl");
    let (_, after_scheme) = url.split_once("://").expect("an absolute serviceUrl");
    let path = after_scheme.find('/').map_or("", |at| &after_scheme[at..]);
    moved["serviceUrl"] = format!("http://{authority}{path}").into();
    moved
}
