//! `PUT` and `DELETE /api/targets/{conversation}/tags/{tag}`: a back end subscribes a conversation to a tag,
//! or ends the subscription. An alert to a tag goes to all conversations that subscribe to the tag.

use std::time::Duration;

use bot_framework::json::FieldError;
use bytes::Bytes;
use http::{Response, StatusCode};
use platform::{Deadline, Host, Level, response};
use serde_json::json;
use state::{ConversationKey, StateError, Tag, Tagged};

use super::caller::Caller;
use super::grant::Scope;
use super::to::A_TAG;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

const WITHIN: Duration = Duration::from_secs(20);

/// Subscribes a conversation to a tag.
pub(super) async fn put<H: Host>(
    host: &H,
    conversation: &str,
    tag: &str,
    caller: &Caller,
) -> Result<Response<Bytes>, Rejection> {
    let (tag, key, settings) = prepare(host, conversation, tag, caller).await?;
    let conversations = settings.conversations(host, Deadline::after(host, WITHIN));
    match conversations.tag(&key, &tag).await {
        Ok(Tagged::Yes) => Ok(log_and_respond(host, caller, "tag.added", &key, &tag)),
        Ok(Tagged::TooMany) => Err(AlertRejection::TooManyTags.into()),
        Err(StateError::NotStored) => Err(unknown().into()),
        Err(error) => Err(AlertRejection::from(error).into()),
    }
}

/// Ends the subscription of a conversation to a tag.
pub(super) async fn delete<H: Host>(
    host: &H,
    conversation: &str,
    tag: &str,
    caller: &Caller,
) -> Result<Response<Bytes>, Rejection> {
    let (tag, key, settings) = prepare(host, conversation, tag, caller).await?;
    let conversations = settings.conversations(host, Deadline::after(host, WITHIN));
    match conversations.untag(&key, &tag).await.map_err(AlertRejection::from)? {
        true => Ok(log_and_respond(host, caller, "tag.removed", &key, &tag)),
        false => Err(unknown().into()),
    }
}

/// Checks the caller's scope and the path, and reads the settings.
async fn prepare<H: Host>(
    host: &H,
    conversation: &str,
    tag: &str,
    caller: &Caller,
) -> Result<(Tag, ConversationKey, BotSettings), Rejection> {
    caller.require(Scope::Operate)?;
    let (tag, key) = (read(tag)?, read_key(conversation)?);
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    Ok((tag, key, settings))
}

/// Reads the tag in a path.
pub(super) fn read(tag: &str) -> Result<Tag, AlertRejection> {
    let error = FieldError { path: "tag".into(), expected: A_TAG };
    Tag::parse(tag).ok_or_else(|| error.into())
}

fn read_key(conversation: &str) -> Result<ConversationKey, AlertRejection> {
    ConversationKey::parse(conversation).ok_or_else(unknown)
}

fn unknown() -> AlertRejection {
    AlertRejection::UnknownTarget { path: "conversation".into() }
}

fn log_and_respond(
    host: &impl Host,
    caller: &Caller,
    event: &str,
    key: &ConversationKey,
    tag: &Tag,
) -> Response<Bytes> {
    caller.event(host, Level::Info, event, json!({"conversation": key.as_str(), "tag": tag.as_str()}));
    response::empty(StatusCode::NO_CONTENT)
}
