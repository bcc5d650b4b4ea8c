//! Reads messages of bots that were made with the first version of the C# template of 2017:
//! `{"ResumptionCookie": {"Address": {BotId, ChannelId, UserId, ConversationId, ServiceUrl}, UserName,
//! IsGroup, Locale, IsTrustedServiceUrl}, "Text"}`.

use bot_framework::ConversationReference;
use bot_framework::json::{Fields, put};
use serde_json::{Map, Value, json};

use super::content::Content;
use crate::decode_error::{COMPRESSED_COOKIE, DecodeError};

const NO_SERVICE_URL: DecodeError = DecodeError::NotAddressable(
    "the ResumptionCookie is of the oldest kind, which has no serviceUrl; ask the person to write to the bot \
     again",
);

pub(super) fn read(fields: &mut Fields) -> Result<Content, DecodeError> {
    if fields.as_object().get("resumptionCookie").is_some_and(Value::is_string) {
        return Err(COMPRESSED_COOKIE);
    }
    let mut cookie = fields.required_object("resumptionCookie")?;
    let Some(mut address) = cookie.object("address")? else { return Err(NO_SERVICE_URL) };
    let Some(service_url) = address.string("serviceUrl")?.filter(|url| !url.is_empty()) else {
        return Err(NO_SERVICE_URL);
    };
    let mut user = Map::new();
    put(&mut user, "id", Some(address.required_string("userId")?));
    put(&mut user, "name", cookie.string("userName")?);
    let mut conversation = Map::new();
    put(&mut conversation, "id", Some(address.required_string("conversationId")?));
    put(&mut conversation, "isGroup", cookie.take("isGroup"));
    let mut object = Map::new();
    put(&mut object, "channelId", Some(address.required_string("channelId")?));
    put(&mut object, "serviceUrl", Some(service_url));
    put(&mut object, "locale", cookie.string("locale")?);
    put(&mut object, "user", Some(user));
    put(&mut object, "bot", Some(json!({"id": address.required_string("botId")?})));
    put(&mut object, "conversation", Some(conversation));
    let address = ConversationReference::from_fields(Fields::new(object, "resumptionCookie"))?;
    Ok(Content { address, text: fields.required_string("text")? })
}
