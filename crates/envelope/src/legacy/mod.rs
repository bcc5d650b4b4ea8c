//! Reads the messages of older bots. These messages have no `version`. Some of these bots were made with
//! Microsoft's templates of 2017, in Node.js or C#. Other bots used Bot Framework Composer or an SDK, and
//! wrote `ContinueConversation` events. The case of the JSON keys does not matter, because C# messages mix
//! Pascal case and camel case.
//!
//! From such a message, this module reads only an address and a text. The *carrier* of the message supplies
//! the id and the time ([`Arrival`]). The carrier is the queue, or a trigger activity (an activity with a
//! queue message in it, which a program sends to the bot). With `IsTrustedServiceUrl`, a message can claim
//! that its address is trusted. This module ignores the claim. The code that sends the alert decides whether
//! the address is trusted.

mod content;
mod continue_conversation;
mod node;
mod relates_to;
mod resumption_cookie;

use bot_framework::json::Fields;
use serde_json::{Map, Value};

use crate::shape::Shape;
use crate::{Arrival, DecodeError, Envelope};

/// The JSON keys of all these messages, in the spelling that this module expects.
const KEYS: [&str; 30] = [
    "aadObjectId",
    "activityId",
    "address",
    "agent",
    "bot",
    "botId",
    "channelId",
    "conversation",
    "conversationId",
    "conversationType",
    "from",
    "id",
    "isGroup",
    "locale",
    "name",
    "recipient",
    "relatesTo",
    "resumptionCookie",
    "role",
    "serviceUrl",
    "tenantId",
    "text",
    "type",
    "useAuth",
    "user",
    "userAddress",
    "userChannelId",
    "userId",
    "userName",
    "value",
];

/// Reads a message that has no `version`. The function drops unknown fields. Otherwise,
/// [`Envelope::encode`] would write these fields into a message of version 1 (this bot's own format). In
/// version 1, a field with the same name can have another meaning.
pub(crate) fn read(object: Map<String, Value>, arrival: Arrival) -> Result<Envelope, DecodeError> {
    let mut fields = Fields::new(with_known_spelling(object), "");
    let has = |name: &str| fields.as_object().contains_key(name);
    // The check for an activity (`type`) comes first, because an activity can also have a `relatesTo`.
    let (shape, content) = if has("type") {
        (Shape::ContinueConversation, continue_conversation::read(&mut fields)?)
    } else if has("address") {
        (Shape::Node, node::read(&mut fields)?)
    } else if has("relatesTo") {
        (Shape::RelatesTo, relates_to::read(&mut fields)?)
    } else if has("resumptionCookie") {
        (Shape::ResumptionCookie, resumption_cookie::read(&mut fields)?)
    } else {
        return Err(DecodeError::UnknownShape);
    };
    Ok(Envelope { shape, ..Envelope::new(arrival.id, content.address, content.text, arrival.at) })
}

/// Changes the JSON keys at each level to the spelling in [`KEYS`]. For example, `Text` becomes `text`. If an
/// object has both `Text` and `text`, the function keeps the value of `text`.
fn with_known_spelling(object: Map<String, Value>) -> Map<String, Value> {
    let mut spelt = Map::new();
    let mut others = Vec::new();
    for (key, value) in object {
        let value = match value {
            Value::Object(inner) => Value::Object(with_known_spelling(inner)),
            other => other,
        };
        match KEYS.iter().find(|known| known.eq_ignore_ascii_case(&key)) {
            Some(known) if *known != key => others.push((*known, value)),
            _ => {
                spelt.insert(key, value);
            }
        }
    }
    for (known, value) in others {
        spelt.entry(known).or_insert(value);
    }
    spelt
}
