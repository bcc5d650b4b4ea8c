//! `POST`, `PUT` and `OPTIONS /api/hooks/{token}`: the webhook addresses. A *webhook address* is a URL of the
//! bot: if a program posts to this URL, the bot alerts one conversation. A caller that knows the URL needs no
//! API key.
//!
//! The token in the URL names the conversation, and contains an HMAC. The bot recognises a forged token by
//! the HMAC, and needs no storage call for this check. After the check, the bot reads the conversation. Then
//! the bot inserts the alerts of the post in the ledger (the table with one record for each alert), and puts
//! the alerts on the queue.
//!
//! The HTTP status 202 means that every alert of the post is on the queue. 503 means that the bot could not
//! use its storage, or that at least one alert of the post is perhaps not on the queue. The bot never
//! responds with 429, because most senders do not repeat a post after a 429.

mod alert;
pub(super) mod from;
mod send;
mod signed;

use std::time::Duration;

use alert_shapes::{Incoming, cloud_events_options};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use platform::{Deadline, Host, RequestBody, json_of, response};

use super::caller::Caller;
use super::request_id::RequestId;
use super::to::{Target, To};
use crate::answered::Answered;
use crate::hook_token::{HookKeys, TokenForm, VerifiedHookToken, beginning_of};
use crate::limits::MAX_BODY_BYTES;
use crate::rejection::{AlertRejection, HookRejection, Rejection};
use crate::request::expect_own_host;
use crate::settings::{BotSettings, CallerSettings};
use send::Origin;

/// The beginning of the paths of these routes.
pub(crate) const PATH: &str = "/api/hooks/";

const ALLOWED: &str = "OPTIONS, POST, PUT";

/// The longest time for reading the conversation. In this time, the bot can make the storage call three
/// times. A late response is better than an early 503, because some senders do not repeat a post after a 503.
const FOUND_WITHIN: Duration = Duration::from_secs(15);

/// Handles a request to a webhook address. A log line shows only the beginning of the token, because a reader
/// of the whole token could post.
pub(crate) async fn handle<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
) -> Result<Answered, Rejection> {
    let request_id = RequestId::of(host, request.headers());
    let token = request.uri().path().strip_prefix(PATH).unwrap_or_default().to_owned();
    let mut about = request_id.about();
    about.insert("hook".into(), beginning_of(&token).into());
    let result = answer(host, request, &token, &request_id).await;
    let mut answered = result.unwrap_or_else(|rejection| rejection.log_about(host, about).into());
    request_id.add_to(answered.headers_mut());
    Ok(answered)
}

async fn answer<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
    token: &str,
    request_id: &RequestId,
) -> Result<Answered, Rejection> {
    let begin = host.monotonic();
    if ![Method::POST, Method::PUT, Method::OPTIONS].contains(request.method()) {
        return Err(Rejection::MethodNotAllowed { allow: ALLOWED });
    }
    let form = TokenForm::read(token).ok_or(HookRejection::Unknown)?;
    expect_own_host(host, request.headers())?;
    let settings = BotSettings::read(host, CallerSettings::read(host)?)?;
    let hook = HookKeys::read(host, settings.bot.as_ref())?.verify(&form).ok_or(HookRejection::Unknown)?;
    let (head, body) = request.into_parts();
    if head.method == Method::OPTIONS {
        return Ok(options(&head.headers).into());
    }
    let body = body.read(MAX_BODY_BYTES).await?;
    let settings = settings.with_storage_token(host).await?;
    let target = target_of(host, &settings, &hook).await?;
    let header = |name: &str| header_of(&head.headers, name);
    let content_type = header(CONTENT_TYPE.as_str());
    let incoming = Incoming { content_type, header: &header, body: &body, json: json_of };
    signed::check(&incoming, &hook.secret, host.now())?;
    let reading = alert_shapes::read(&incoming, None).map_err(HookRejection::from)?;
    let caller = Caller::of_hook(&hook.conversation, request_id);
    let to = || vec![To::known(target.clone())];
    let origin = Origin { caller: &caller, targets: hook.conversation.as_str(), at: None };
    send::send(host, &settings, origin, reading, to, begin).await
}

/// Finds the conversation of a webhook address. Refuses an address that has ended. Each new address of a
/// conversation has a new number, the *generation* of the address. `known.hook` is the generation of the
/// address that works, or `None` if no address works.
async fn target_of<H: Host>(
    host: &H,
    settings: &BotSettings,
    hook: &VerifiedHookToken,
) -> Result<Target, Rejection> {
    let conversations = settings.conversations(host, Deadline::after(host, FOUND_WITHIN));
    let known = conversations.known(&hook.conversation).await.map_err(AlertRejection::from)?;
    if known.hook != Some(hook.generation) {
        return Err(HookRejection::Ended.into());
    }
    let conversation = known.conversation.ok_or(HookRejection::NoConversation)?;
    let target = Target::known(hook.conversation.clone(), conversation, settings);
    match target.held {
        None => Ok(target),
        Some(held) => Err(HookRejection::from(held).into()),
    }
}

/// Returns the value of a header. Returns `None` if the header is missing, or if its value is not ASCII text.
fn header_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Responds to `OPTIONS`. With this request, a sender of CloudEvents asks for permission to post (the
/// *handshake*). The response to the handshake gives the permission. The response to any other `OPTIONS` has
/// only the allowed methods.
fn options(headers: &HeaderMap) -> Response<Bytes> {
    let mut answer = response::empty(StatusCode::OK);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(ALLOWED));
    let handshake = cloud_events_options(|name| header_of(headers, name));
    for (name, value) in handshake.into_iter().flat_map(|answer| answer.headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests;
