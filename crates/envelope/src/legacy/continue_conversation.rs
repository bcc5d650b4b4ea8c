//! Reads messages of Bot Framework Composer (its action `ContinueConversationLater`) and of the Bot Framework
//! SDK (its class `AzureQueueStorage`). Such a message is an event activity: `{type: "event", name:
//! "ContinueConversation", conversation, serviceUrl, from, recipient, channelId, value?, text?, relatesTo?}`.
//!
//! The older bots that received such a message continued a dialog. The argument of the dialog was `value`,
//! which can be any JSON. The bot of this project has no dialogs, and only sends a text. If `value` is a
//! string, the text is `value`. If `value` is an object with a `text`, the text is this `text`. Otherwise,
//! the text is the `text` of the activity.

use bot_framework::ConversationReference;
use bot_framework::json::{Fields, put};
use serde_json::{Map, Value};

use super::content::Content;
use super::relates_to;
use crate::DecodeError;

pub(super) fn read(fields: &mut Fields) -> Result<Content, DecodeError> {
    let (kind, name) = (fields.string("type")?, fields.string("name")?);
    if kind.as_deref() != Some("event") || name.as_deref() != Some("ContinueConversation") {
        return Err(DecodeError::UnknownShape);
    }
    let text = text(fields)?;
    let address = match fields.object("relatesTo")? {
        Some(reference) => relates_to::reference(reference)?,
        // The message has the form of an activity that a person sends to a bot. So `from` is the person, and
        // `recipient` is the bot.
        None => {
            let mut object = Map::new();
            for (name, role) in [
                ("channelId", "channelId"),
                ("serviceUrl", "serviceUrl"),
                ("locale", "locale"),
                ("conversation", "conversation"),
                ("from", "user"),
                ("recipient", "bot"),
            ] {
                put(&mut object, role, fields.take(name));
            }
            ConversationReference::from_fields(Fields::new(object, ""))?
        }
    };
    Ok(Content { address, text })
}

fn text(fields: &mut Fields) -> Result<String, DecodeError> {
    let of_value = match fields.take("value") {
        Some(Value::String(text)) => Some(text),
        Some(Value::Object(value)) => Fields::new(value, "value").string("text")?,
        _ => None,
    };
    let text = match of_value {
        Some(text) => Some(text),
        None => fields.string("text")?,
    };
    let no_text = || fields.error("value", "a string, or an object with a string `text`");
    Ok(text.filter(|text| !text.is_empty()).ok_or_else(no_text)?)
}
