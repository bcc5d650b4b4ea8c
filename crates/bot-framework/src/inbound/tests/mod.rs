//! Tables of HTTP calls to the bot. A row describes a valid call, usually with one change that breaks a
//! rule for tokens or bodies. The row also contains the expected outcome: the accepted caller, or the code of
//! the broken rule.
//!
//! If the bot does not apply a rule, the bot accepts the call in the row for this rule. So the test of this
//! row fails.

mod app_token;
mod body;
mod claims;
mod entra;
mod header;
mod keys;
mod masking;
mod remembering;
mod settings;
mod signing;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use platform::testing::{FakeHost, response, run};
use platform::{Deadline, SettingsError};
use serde_json::{Value, json};

use crate::testing::{TestKey, channel_claims, entra_claims};
use crate::{Activity, AuthError, BotIdentity, Caller, InboundAuth};

const APP_ID: &str = "00000000-0000-0000-0000-000000000001";
const OTHER_BOT: &str = "00000000-0000-0000-0000-000000000002";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const FOREIGN_TENANT: &str = "99999999-2222-3333-4444-555555555555";
const SERVICE_URL: &str = "https://smba.trafficmanager.net/amer/";
const NOW: i64 = FakeHost::START_SECONDS;

const CHANNEL_METADATA: &str = "https://login.botframework.com/v1/.well-known/openidconfiguration";
const CHANNEL_KEYS: &str = "https://login.botframework.com/v1/.well-known/keys";
const ENTRA_METADATA: &str = "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration";
const ENTRA_KEYS: &str = "https://login.microsoftonline.com/common/discovery/v2.0/keys";

/// A bot in the public cloud. Both issuers of tokens (Azure Bot Service for channels, and Entra) publish the
/// key [`TestKey::issuer`].
fn bot() -> FakeHost {
    let host = FakeHost::with_settings([("microsoftappid", APP_ID), ("microsoftapptenantid", TENANT)]);
    publish(&host, vec![TestKey::issuer().endorsed_jwk(&["msteams", "webchat"])]);
    host
}

fn bot_with(settings: &[(&str, &str)]) -> FakeHost {
    let host = bot();
    for (name, value) in settings {
        host.settings.borrow_mut().insert((*name).into(), (*value).into());
    }
    host
}

/// Makes both issuers publish these keys from now on.
fn publish(host: &FakeHost, keys: Vec<Value>) {
    host.answers(move |request| {
        let body = match request.uri().to_string().as_str() {
            CHANNEL_METADATA => json!({"issuer": "https://api.botframework.com", "jwks_uri": CHANNEL_KEYS}),
            ENTRA_METADATA => json!({"jwks_uri": ENTRA_KEYS}),
            CHANNEL_KEYS | ENTRA_KEYS => json!({ "keys": keys }),
            _ => return None,
        };
        Some(Ok(response(200, &body.to_string())))
    });
}

fn auth(host: &FakeHost) -> Result<InboundAuth, SettingsError> {
    InboundAuth::read(host, &BotIdentity::read(host)?)
}

/// Checks the token and the activity of one call, and stores a record of the token.
fn call_with(host: &FakeHost, authorization: &[&[u8]], activity: &Value) -> Result<Caller, AuthError> {
    let mut headers = HeaderMap::new();
    for value in authorization {
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
    }
    let deadline = Deadline::after(host, Duration::from_secs(5));
    let verified = run(auth(host).unwrap().verify(host, &headers, deadline))?;
    run(verified.remember(host, None));
    verified.admit(&Activity::parse(activity.to_string().as_bytes()).unwrap())
}

fn call(host: &FakeHost, token: &str, activity: &Value) -> Result<Caller, AuthError> {
    call_with(host, &[format!("Bearer {token}").as_bytes()], activity)
}

/// Returns the accepted caller, or the code of the broken rule.
fn outcome(called: Result<Caller, AuthError>) -> String {
    match called {
        Ok(caller) => caller.to_string(),
        Err(error) => error.code().to_owned(),
    }
}

/// Checks the outcome of each row. A row contains a description, a token and the expected outcome. Each row
/// has its own bot, with an empty store.
#[track_caller]
fn check(settings: &[(&str, &str)], rows: &[(&str, String, &str)]) {
    let outcomes = rows.iter().map(|(what, token, expected)| {
        let host = bot_with(settings);
        let actual = outcome(call(&host, token, &activity()));
        (actual != *expected).then(|| format!("{what}: expected {expected}, found {actual}"))
    });
    let wrong: Vec<_> = outcomes.flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A valid activity.
fn activity() -> Value {
    json!({
        "type": "message", "id": "1", "channelId": "msteams", "serviceUrl": SERVICE_URL, "text": "hello",
        "conversation": {"id": "a:1"}, "from": {"id": "29:u"}, "recipient": {"id": format!("28:{APP_ID}")},
    })
}

/// The claims of a valid channel token.
fn claims() -> Value {
    channel_claims(APP_ID, SERVICE_URL, NOW)
}

/// Returns `object` with one member changed. The value `null` removes the member.
fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    let members = object.as_object_mut().unwrap();
    match value.into() {
        Value::Null => _ = members.remove(name).expect("the member to remove"),
        value => _ = members.insert(name.into(), value),
    }
    object
}

/// A valid channel token.
fn token() -> String {
    TestKey::issuer().sign(&claims())
}
