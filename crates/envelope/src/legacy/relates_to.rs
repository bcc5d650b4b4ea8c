//! Reads messages of bots that were made with the C# template of 2017, in its second or a later version:
//! `{"RelatesTo": <ConversationReference>, "Text", "IsTrustedServiceUrl"?}`.

use bot_framework::ConversationReference;
use bot_framework::json::{FieldError, Fields};

use super::content::Content;
use crate::DecodeError;

pub(super) fn read(fields: &mut Fields) -> Result<Content, DecodeError> {
    let address = reference(fields.required_object("relatesTo")?)?;
    Ok(Content { address, text: fields.required_string("text")? })
}

/// Reads a ConversationReference in the form of the Bot Framework SDKs. The SDKs write the id of the activity
/// as `activityId`. This bot's own format (version 1) writes it as `id`.
pub(super) fn reference(mut fields: Fields) -> Result<ConversationReference, FieldError> {
    let activity_id = fields.string("activityId")?;
    let mut address = ConversationReference::from_fields(fields)?;
    address.activity_id = activity_id.or(address.activity_id);
    Ok(address)
}
