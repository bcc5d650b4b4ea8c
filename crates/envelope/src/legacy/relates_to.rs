//! Reads messages of the C# template from its second version on:
//! `{"RelatesTo": <ConversationReference>, "Text", "IsTrustedServiceUrl"?}`.

use bot_framework::ConversationReference;
use bot_framework::json::{FieldError, Fields};

use super::content::Content;
use crate::DecodeError;

pub(super) fn read(fields: &mut Fields) -> Result<Content, DecodeError> {
    let address = reference(fields.required_object("relatesTo")?)?;
    Ok(Content { address, text: fields.required_string("text")? })
}

/// Reads a ConversationReference as the SDKs write it. The SDKs call the activity's id `activityId`, and
/// version 1 calls it `id`.
pub(super) fn reference(mut fields: Fields) -> Result<ConversationReference, FieldError> {
    let activity_id = fields.string("activityId")?;
    let mut address = ConversationReference::from_fields(fields)?;
    address.activity_id = activity_id.or(address.activity_id);
    Ok(address)
}
