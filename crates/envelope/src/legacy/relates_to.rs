//! The C# template from its second version on: `{"RelatesTo": <ConversationReference>, "Text", "IsTrustedServiceUrl"?}`.

use bot_framework::ConversationReference;
use bot_framework::json::{FieldError, Fields};

use super::Said;
use crate::DecodeError;

pub(super) fn read(fields: &mut Fields) -> Result<Said, DecodeError> {
    let address = reference(fields.required_object("relatesTo")?)?;
    Ok(Said { address, text: fields.required_string("text")? })
}

/// A ConversationReference as the SDKs write it: what we call `id` is `activityId` there.
pub(super) fn reference(mut fields: Fields) -> Result<ConversationReference, FieldError> {
    let activity_id = fields.string("activityId")?;
    let mut address = ConversationReference::from_fields(fields)?;
    address.activity_id = activity_id.or(address.activity_id);
    Ok(address)
}
