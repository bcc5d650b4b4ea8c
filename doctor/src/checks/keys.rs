//! Checks whether the bot can fetch the signing keys of the channels (such as Teams). The bot needs these
//! keys to check the tokens of the channels.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bot_framework::{AuthError, AuthMode, BotIdentity, InboundAuth};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use platform::{Deadline, Host};
use serde_json::{Value, json};

use crate::report::Report;

const WITHIN: Duration = Duration::from_secs(15);

pub(super) async fn check<H: Host>(host: &H, report: &mut Report) {
    if AuthMode::read(host) == Ok(AuthMode::Anonymous) {
        report.skip("no keys are needed with authmode=anonymous");
        return;
    }
    let identity = BotIdentity::read(host);
    let read = identity.and_then(|identity| Ok((InboundAuth::read(host, &identity)?, identity)));
    let (inbound, identity) = match read {
        Ok(read) => read,
        Err(error) => {
            report.skip(format!("not tried, because {} is wrong", error.name));
            return;
        }
    };
    let headers = unsigned_token(identity.cloud.channel_issuer(), &identity.app_id, host.now().timestamp());
    match inbound.verify(host, &headers, Deadline::after(host, WITHIN)).await {
        Err(AuthError::KeysUnavailable(error)) => report.problem(format!(
            "the keys of the channels cannot be fetched, so every message gets 503: {error}; check openidmetadata and \
             channelservice"
        )),
        // The bot's code has fetched the signing keys, and then refused the token, because no key has the
        // name that the token contains.
        _ => report.fine("the keys of the channels can be fetched"),
    }
}

/// Makes the header of a request with a token that no issuer has signed. The token has valid claims, but a
/// `kid` (the name of a signing key) that no issuer publishes. The bot's own code first checks the claims,
/// then fetches the signing keys to find the named key, and then refuses the token.
fn unsigned_token(issuer: &str, app_id: &str, now: i64) -> HeaderMap {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "RS256", "typ": "JWT", "kid": "cargo-dev-doctor"}));
    let claims = json!({
        "iss": issuer,
        "aud": app_id,
        "nbf": now - 60,
        "exp": now + 600,
        "serviceurl": "https://smba.trafficmanager.net/teams/",
    });
    let token = format!("Bearer {header}.{}.{}", part(claims), URL_SAFE_NO_PAD.encode([0; 256]));
    token.parse().map(|value| HeaderMap::from_iter([(AUTHORIZATION, value)])).unwrap_or_default()
}
