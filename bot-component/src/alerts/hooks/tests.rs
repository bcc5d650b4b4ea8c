//! Tests of the route `/api/hooks/{token}`. [`Stage`] contains a fake host and a fake table service.

use bytes::Bytes;
use http::header::HOST;
use platform::testing::{FakeHost, run};
use platform::{BodyError, Clock};
use serde_json::Value;
use state::Sign;

use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use state::ConversationKey;

use super::*;
use crate::testing::Stage;

struct Whole(&'static str);

impl RequestBody for Whole {
    async fn read(self, max_bytes: usize) -> Result<Bytes, BodyError> {
        if self.0.len() > max_bytes { Err(BodyError::TooLarge) } else { Ok(self.0.into()) }
    }
}

const TEXT: &str = r#"{"text": "hello"}"#;

fn address() -> ConversationReference {
    let json = br#"{"channelId":"msteams","serviceUrl":"http://127.0.0.1:9/","user":{"id":"29:u"},"conversation":{"id":"c"}}"#;
    ConversationReference::from_fields(Fields::parse(json).unwrap()).unwrap()
}

fn key() -> ConversationKey {
    ConversationKey::of(&address())
}

/// Makes a stage with one conversation that has a webhook address. Returns the stage, and the token in the
/// address.
fn stage() -> (Stage, String) {
    let stage = Stage::new();
    run(stage.conversations().record_activity(&address(), Sign::Message, None)).unwrap();
    let generation = run(stage.conversations().open_hook(&key())).unwrap();
    let token = HookKeys::read(&stage.host, None).unwrap().issue(&key(), generation).unwrap().token;
    (stage, token)
}

/// Sends a request. Returns the HTTP status, and the error code in the body of the response. If the body has
/// no error code, returns an empty text instead.
fn call(host: &FakeHost, method: Method, token: &str, headers: &[(&'static str, &str)]) -> (u16, String) {
    let mut request =
        Request::builder().method(method).uri(format!("{PATH}{token}")).header(HOST, "127.0.0.1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answered = run(handle(host, request.body(Whole(TEXT)).unwrap())).unwrap();
    let response = answered.into_reply(host).response;
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
    (response.status().as_u16(), code)
}

fn post(host: &FakeHost, token: &str) -> (u16, String) {
    call(host, Method::POST, token, &[])
}

fn error(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn forged_token_is_refused_without_a_storage_call() {
    let (stage, token) = stage();
    let calls = stage.calls();
    let mut forged = token.clone();
    forged.replace_range(45..46, if token.as_bytes()[45] == b'A' { "B" } else { "A" });
    for token in ["", "x", &forged, &token[..46], &format!("{token}/x"), &format!("{token}=")] {
        assert_eq!(post(&stage.host, token), error(404, "HookNotFound"), "{token}");
        assert_eq!(call(&stage.host, Method::OPTIONS, token, &[]).0, 404, "{token}");
    }
    assert_eq!(call(&stage.host, Method::GET, &token, &[]), error(405, "MethodNotAllowed"));
    assert_eq!(stage.calls(), calls);
    assert!(stage.host.reads.borrow().is_empty(), "the bot does not read the key-value store");
}

#[test]
fn post_is_refused_if_the_conversation_is_stopped_paused_or_unknown_or_the_address_has_ended() {
    let (stage, token) = stage();
    let conversations = stage.conversations();
    let post = || post(&stage.host, &token);
    run(conversations.stop(&key(), stage.host.now())).unwrap();
    assert_eq!(post(), error(410, "ConversationStopped"));
    run(conversations.start(&key())).unwrap();
    let until = stage.host.now() + state::PAUSED_FOR;
    run(conversations.pause(&address(), until)).unwrap();
    assert_eq!(post(), error(410, "ConversationPaused"));
    run(conversations.forget(&key())).unwrap();
    assert_eq!(post(), error(404, "TargetNotFound"));
    run(conversations.record_activity(&address(), Sign::Installed, None)).unwrap();
    run(conversations.end_hook(&key())).unwrap();
    assert_eq!(post(), error(410, "HookEnded"));
    run(conversations.open_hook(&key())).unwrap();
    assert_eq!(post(), error(410, "HookEnded"), "a new address does not make the old address valid again");
    stage.refuse_tables();
    assert_eq!(post(), error(503, "StateUnavailable"));
}

#[test]
fn log_has_only_the_beginning_of_a_token() {
    let (stage, token) = stage();
    run(stage.conversations().end_hook(&key())).unwrap();
    post(&stage.host, &token);
    let refused = &stage.host.events("request.rejected")[0];
    assert_eq!(refused["hook"], token[..6]);
    assert!(!stage.host.lines.borrow().iter().any(|line| line.contains(&token[..7])));
}

#[test]
fn handshake_of_cloud_events_is_answered_with_the_origin_in_the_request() {
    let (stage, token) = stage();
    let request = Request::options(format!("{PATH}{token}"))
        .header(HOST, "127.0.0.1")
        .header("webhook-request-origin", "events.example.com");
    let answered = run(handle(&stage.host, request.body(Whole("")).unwrap())).unwrap();
    let response = answered.into_reply(&stage.host).response;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["webhook-allowed-origin"]),
        (200, &"events.example.com".parse().unwrap())
    );
}
