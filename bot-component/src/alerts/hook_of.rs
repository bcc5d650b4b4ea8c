//! `POST` and `DELETE /api/targets/{conversation}/hook`: a program gets or ends the webhook address of a
//! conversation. If any program posts to this address, the bot alerts the conversation.

use std::time::Duration;

use bot_framework::json::Fields;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use platform::{Deadline, Host, Level, RequestBody, SettingsError, response};
use serde_json::json;
use state::{ConversationKey, Conversations};

use super::caller::Caller;
use super::grant::Scope;
use crate::limits::MAX_BODY_BYTES;
use crate::rejection::{AlertRejection, Rejection};
use crate::request::expect_json;
use crate::settings::{BotSettings, CallerSettings};
use crate::webhook::{self, HookAddress, NoAddress, Wanted};

const WITHIN: Duration = Duration::from_secs(20);

/// Returns the working webhook address of the conversation. The bot makes a new address if no address works,
/// or if the body is `{"new": true}`. The earlier addresses then no longer work.
pub(super) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
    conversation: &str,
    caller: &Caller,
) -> Result<Response<Bytes>, Rejection> {
    let key = allowed(conversation, caller)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let (head, body) = request.into_parts();
    let wanted = wanted(&head.headers, &body.read(MAX_BODY_BYTES).await?)?;
    let conversations = settings.conversations(host, Deadline::after(host, WITHIN));
    expect_known_and_allowed(&conversations, &settings, caller, &key).await?;
    let made = webhook::address(host, &settings, &conversations, &key, &head.headers, wanted).await;
    let HookAddress { url, secret, shown } = made.map_err(|error| match error {
        NoAddress::UnknownUrl => Rejection::from(SettingsError::new(
            "publicurl",
            "must be set, because the request does not name the bot's host",
        )),
        NoAddress::Misconfigured(error) => error.into(),
        NoAddress::State(error) => AlertRejection::from(error).into(),
    })?;
    caller.event(host, Level::Info, "hook.issued", json!({"conversation": key.as_str(), "hook": shown}));
    let body = json!({"conversation": key.as_str(), "url": url, "secret": secret});
    Ok(response::json(StatusCode::OK, &body))
}

/// Ends the webhook address of the conversation.
pub(super) async fn delete<H: Host>(
    host: &H,
    conversation: &str,
    caller: &Caller,
) -> Result<Response<Bytes>, Rejection> {
    let key = allowed(conversation, caller)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let conversations = settings.conversations(host, Deadline::after(host, WITHIN));
    expect_known_and_allowed(&conversations, &settings, caller, &key).await?;
    conversations.end_hook(&key).await.map_err(AlertRejection::from)?;
    caller.event(host, Level::Info, "hook.ended", json!({"conversation": key.as_str()}));
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// Checks the caller's rights, and parses the conversation key. The bot refuses a caller whose API key is
/// restricted to tags (words to which conversations subscribe). Such a caller is allowed to name only tags,
/// and no conversation.
fn allowed(conversation: &str, caller: &Caller) -> Result<ConversationKey, AlertRejection> {
    caller.require(Scope::Send)?;
    caller.require_tag("conversation", None)?;
    ConversationKey::parse(conversation).ok_or_else(unknown)
}

/// Checks three conditions: the bot knows the conversation, the caller is allowed to send to the
/// conversation, and the bot serves the conversation's tenant.
async fn expect_known_and_allowed<H: Host>(
    conversations: &Conversations<'_, H>,
    settings: &BotSettings,
    caller: &Caller,
    key: &ConversationKey,
) -> Result<(), AlertRejection> {
    let found = conversations.get(key).await?;
    let found = found.filter(|conversation| caller.grant.reaches(&conversation.address));
    let address = found.ok_or_else(unknown)?.address;
    match settings.tenants.allow(&address) {
        true => Ok(()),
        false => Err(AlertRejection::TenantNotAllowed { path: "conversation".into() }),
    }
}

/// Reads from the body whether the caller wants a new address (`{"new": true}`) or the working address. An
/// empty body means the working address.
fn wanted(headers: &HeaderMap, body: &[u8]) -> Result<Wanted, Rejection> {
    if body.is_empty() {
        return Ok(Wanted::Any);
    }
    expect_json(headers)?;
    let mut fields = Fields::of_request(body).map_err(AlertRejection::from)?;
    let is_new = fields.boolean("new").map_err(AlertRejection::from)?;
    match fields.as_object().keys().next() {
        Some(other) => Err(AlertRejection::from(fields.error(other, "no member other than `new`")).into()),
        None => Ok(if is_new { Wanted::New } else { Wanted::Any }),
    }
}

fn unknown() -> AlertRejection {
    AlertRejection::UnknownTarget { path: "conversation".into() }
}
