//! Sends the alerts of one post, and makes the response.

use std::time::Duration;

use alert_shapes::Reading;
use http::StatusCode;
use platform::{Host, Level, response};
use serde_json::{Map, Value, json};

use super::super::call;
use super::super::caller::Caller;
use super::super::paging::Cursor;
use super::super::sending::Sending;
use super::super::to::To;
use super::alert::{call_of, identity_of};
use crate::answered::Answered;
use crate::rejection::Rejection;
use crate::settings::BotSettings;

/// The caller and the targets of a post.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) caller: &'a Caller,
    /// A text that names the targets. The text is a part of each alert's identity. So if two posts have the
    /// same alert id but different targets, the bot sends both alerts.
    pub(super) targets: &'a str,
    /// The `next` of an earlier response, if this post continues an earlier post. The earlier post reached
    /// only some of the conversations that subscribe to a tag. This post reaches the remaining conversations.
    pub(super) at: Option<&'a Cursor>,
}

/// Sends the alerts of a post one after the other, to keep their order. `begin` is the time at which the bot
/// received the post, on the monotonic clock.
///
/// If the queue does not confirm an alert, the bot sends no further alert of the post, and responds with 503.
/// The sender can then post again. In a second post, the bot recognises each alert to which the sender gave
/// an id, and does not send this alert twice. An alert without an id is sent twice, if the first post has
/// already put the alert on the queue.
pub(super) async fn send<H: Host>(
    host: &H,
    settings: &BotSettings,
    origin: Origin<'_>,
    reading: Reading,
    to: impl Fn() -> Vec<To>,
    begin: Duration,
) -> Result<Answered, Rejection> {
    let Origin { caller, targets, at } = origin;
    let alerts = match reading {
        Reading::Alerts(alerts) => alerts,
        Reading::Handshake { body } => return Ok(response::json(StatusCode::OK, &body).into()),
    };
    let left_out: Vec<Value> =
        alerts.iter().flat_map(|alert| &alert.left_out).map(|name| name.as_str().into()).collect();
    let mut all = Sending::default();
    for alert in alerts {
        let identity = identity_of(&alert, &caller.key, targets);
        let (call, at) = (Ok(call_of(&alert, to())), at.cloned());
        match call::send(host, settings, caller, call, identity, at, begin).await {
            Ok(sent) => all.add(sent),
            Err(rejection) if all.shown.is_empty() => return Err(rejection),
            // The earlier alerts are on the queue, so the response lists these alerts. The response also
            // counts the refused alert as failed.
            Err(rejection) => {
                caller.event(host, Level::Error, "alerts.interrupted", json!({"reason": rejection.reason()}));
                all.failed += 1;
            }
        }
        if all.failed > 0 {
            break;
        }
    }
    let mut more = Map::new();
    if !left_out.is_empty() {
        more.insert("leftOut".into(), left_out.into());
    }
    Ok(all.into_answered(more))
}
