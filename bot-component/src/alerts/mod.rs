//! The HTTP routes that programs call. `docs/openapi.yaml` describes the routes:
//!
//! - `GET` and `POST` of `/api/alerts`;
//! - `GET`, `PATCH` and `DELETE` of `/api/alerts/{id}`;
//! - `POST /api/alerts/from/{source}`;
//! - `POST`, `PUT` and `OPTIONS` of `/api/hooks/{token}`;
//! - `GET /api/dead`, `POST /api/dead/replay`, `POST /api/dead/drop`, `DELETE /api/dead/{id}`;
//! - `GET /api/status`, `GET /metrics`;
//! - `GET /api/targets`, `DELETE /api/targets/{conversation}`;
//! - `POST` and `DELETE` of `/api/targets/{conversation}/hook`;
//! - `PUT` and `DELETE` of `/api/targets/{conversation}/tags/{tag}`;
//! - `POST /api/tags/{tag}/codes`.

mod activity;
mod admission;
mod asking;
mod asks;
mod body;
mod call;
mod caller;
mod cancel;
mod change;
mod codes;
mod creating;
mod draft;
mod duration;
mod escalating;
mod forgetting;
mod grant;
mod history;
mod hook_of;
mod hooks;
mod identity;
mod keyed;
mod keys;
mod listing;
mod looks;
mod named_key;
mod operating;
#[cfg(test)]
mod pages;
mod paging;
mod poison_walk;
mod request_id;
mod sending;
mod series;
mod status;
mod tags;
#[cfg(test)]
mod term;
mod time;
mod to;

use std::borrow::Cow;

use http::{Method, Request};
use percent_encoding::percent_decode_str;
use platform::{Host, RequestBody, Settings, SettingsError};

use crate::answered::Answered;
use crate::rejection::Rejection;
use crate::request::expect_own_host;
use caller::Caller;
pub(crate) use hooks::{PATH as HOOKS_PATH, handle as handle_hook};
use keys::AlertKeys;
use request_id::RequestId;
#[cfg(test)]
pub(crate) use sending::not_confirmed;

/// A route, with the parameters of its path. Each comment names the *scope* that the caller needs. A scope is
/// a right that an API key or a token of Entra gives to the caller.
enum Route<'a> {
    /// Sends an alert (scope `send`). Lists alerts (one of the scopes `send`, `cancel`, `list` and
    /// `operate`).
    Alerts,
    /// Cancels the alert (scope `cancel` or `operate`). Changes the alert (scope `send`). Shows the status of
    /// the alert (one of the scopes `send`, `cancel`, `list` and `operate`).
    Alert(&'a str),
    /// Makes alerts from a payload in the format of another program, such as Alertmanager. The query names
    /// the targets. Scope `send`.
    From(&'a str),
    /// Lists the dead letters. A *dead letter* is a message that the poller could not deliver, and moved to
    /// the poison queue. Scope `operate`.
    DeadLetters,
    /// Replays dead letters, i.e. puts their messages on the queue again. Scope `operate`.
    Replay,
    /// Drops dead letters, i.e. deletes their messages. Scope `operate`.
    Drop,
    /// Drops one dead letter, by its id. Scope `operate`.
    DeadLetter(&'a str),
    /// Shows the status of the bot to a person or a monitoring program. Scope `watch`.
    Status,
    /// Shows the metrics to Prometheus. Scope `watch`.
    Metrics,
    /// Lists the conversations. Scope `list`.
    Targets,
    /// Deletes a conversation, by its conversation key. Scope `operate`.
    Target(&'a str),
    /// Makes or ends the webhook address of a conversation. A *webhook address* is a URL to which programs
    /// post alerts for the conversation. Scope `send`.
    Hook(&'a str),
    /// Subscribes a conversation to a tag, or ends the subscription. A *tag* is a word. An alert to a tag
    /// goes to all conversations that subscribe to the tag. Scope `operate`.
    TagOf { conversation: &'a str, tag: Cow<'a, str> },
    /// Makes codes with which people subscribe to a tag. Scope `operate`.
    Codes { tag: Cow<'a, str> },
}

/// Whether `alertkey` or `alertkeys` has an entry. If neither variable has an entry, all routes of this
/// module except `/api/hooks/{token}` respond with 404.
pub(crate) fn are_open(settings: &impl Settings) -> Result<bool, SettingsError> {
    Ok(AlertKeys::read(settings)?.is_some())
}

/// Checks the variables `alertkey` and `alertkeys`. Returns an error for each variable that the bot cannot
/// use.
pub(crate) fn check_keys(settings: &impl Settings) -> Vec<SettingsError> {
    AlertKeys::check(settings)
}

impl<'a> Route<'a> {
    /// Returns the route of a path, or `None` if no route has this path.
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/api/alerts" => Some(Self::Alerts),
            "/api/targets" => Some(Self::Targets),
            "/api/dead" => Some(Self::DeadLetters),
            "/api/dead/replay" => Some(Self::Replay),
            "/api/dead/drop" => Some(Self::Drop),
            "/api/status" => Some(Self::Status),
            "/metrics" => Some(Self::Metrics),
            _ => Self::below(path.strip_prefix("/api/")?),
        }
    }

    fn below(path: &'a str) -> Option<Self> {
        let (first, rest) = path.split_once('/')?;
        let segments: Vec<&str> = rest.split('/').collect();
        match (first, segments.as_slice()) {
            ("alerts", ["from", source]) => Some(Self::From(source)),
            ("alerts", _) => Some(Self::Alert(rest)),
            ("dead", [id]) => Some(Self::DeadLetter(id)),
            ("targets", [conversation]) => Some(Self::Target(conversation)),
            ("targets", [conversation, "hook"]) => Some(Self::Hook(conversation)),
            ("targets", [conversation, "tags", tag]) => {
                Some(Self::TagOf { conversation, tag: decoded(tag)? })
            }
            ("tags", [tag, "codes"]) => Some(Self::Codes { tag: decoded(tag)? }),
            _ => None,
        }
    }

    /// The allowed methods, as the value of the header `Allow`.
    fn allow(&self) -> &'static str {
        match self {
            Self::Alerts => "GET, POST",
            Self::Codes { .. } | Self::Replay | Self::Drop | Self::From(_) => "POST",
            Self::Hook(_) => "DELETE, POST",
            Self::Alert(_) => "DELETE, GET, PATCH",
            Self::Target(_) | Self::DeadLetter(_) => "DELETE",
            Self::Targets | Self::DeadLetters | Self::Status | Self::Metrics => "GET",
            Self::TagOf { .. } => "DELETE, PUT",
        }
    }
}

/// Removes the percent-encoding of a segment of a path. Returns `None` if the result is not UTF-8.
fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

/// Handles a request for one of the routes of [`Route`]. Each response has the request's id in the header
/// `x-request-id`. The only exception is the 404 for a path without a route.
pub(crate) async fn handle<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
) -> Result<Answered, Rejection> {
    let uri = request.uri().clone();
    let Some(route) = Route::of(uri.path()) else { return Err(Rejection::NoSuchRoute) };
    let request_id = RequestId::of(host, request.headers());
    let (result, about) = match admit(host, &request, &route, &request_id).await {
        Ok(caller) => (answer(host, request, &route, &caller).await, caller.about()),
        Err(rejection) => (Err(rejection), request_id.about()),
    };
    let mut answered = result.unwrap_or_else(|rejection| rejection.log_about(host, about).into());
    request_id.add_to(answered.headers_mut());
    Ok(answered)
}

async fn admit<H: Host, B>(
    host: &H,
    request: &Request<B>,
    route: &Route<'_>,
    request_id: &RequestId,
) -> Result<Caller, Rejection> {
    let Some(keys) = AlertKeys::read(host)? else { return Err(Rejection::NoSuchRoute) };
    let allow = route.allow();
    if !allow.split(", ").any(|method| method == request.method().as_str()) {
        return Err(Rejection::MethodNotAllowed { allow });
    }
    let caller = admission::admit(host, &keys, request.headers(), request_id).await?;
    expect_own_host(host, request.headers())?;
    Ok(caller)
}

async fn answer<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
    route: &Route<'_>,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    match route {
        Route::Alerts => match *request.method() {
            Method::POST => call::post(host, request, caller).await,
            _ => history::get(host, request.uri().query().unwrap_or_default(), caller).await,
        },
        Route::Alert(id) => match *request.method() {
            Method::DELETE => {
                cancel::delete(host, id, request.uri().query().unwrap_or_default(), caller).await
            }
            Method::PATCH => change::patch(host, id, request, caller).await,
            _ => status::get(host, id, request.uri().query().unwrap_or_default(), caller).await,
        },
        Route::From(source) => hooks::from::post(host, request, source, caller).await,
        Route::Hook(conversation) => match *request.method() {
            Method::DELETE => hook_of::delete(host, conversation, caller).await.map(Answered::from),
            _ => hook_of::post(host, request, conversation, caller).await.map(Answered::from),
        },
        Route::DeadLetters => {
            operating::dead::get(host, request.uri().query().unwrap_or_default(), caller).await
        }
        Route::Replay => operating::dead::replay(host, request, caller).await,
        Route::Drop => operating::dead::drop(host, request, caller).await,
        Route::DeadLetter(id) => operating::dead::delete(host, id, caller).await,
        Route::Status => operating::status::get(host, caller).await,
        Route::Metrics => operating::metrics::get(host, caller).await,
        Route::Targets => {
            let query = request.uri().query().unwrap_or_default();
            listing::get(host, query, caller).await.map(Answered::from)
        }
        Route::Target(conversation) => {
            forgetting::delete(host, conversation, caller).await.map(Answered::from)
        }
        Route::TagOf { conversation, tag } => match *request.method() {
            Method::PUT => tags::put(host, conversation, tag, caller).await.map(Answered::from),
            _ => tags::delete(host, conversation, tag, caller).await.map(Answered::from),
        },
        Route::Codes { tag } => codes::post(host, request, tag, caller).await.map(Answered::from),
    }
}
