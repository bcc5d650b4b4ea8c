//! Readers for what stood on the queue before version 1: the four shapes of the 2017 template and of its successor, the
//! `ContinueConversation` events of Composer. Keys are read in any case, because the C# ones are half Pascal, half camel.
//!
//! Such a message says to whom and what, and nothing else: which one it is and since when it waits, its carrier knows
//! ([`Arrival`]). Whether its address is trusted is decided where it is sent, never by its own `IsTrustedServiceUrl`.

mod continue_conversation;
mod node;
mod relates_to;
mod resumption_cookie;

pub(crate) use resumption_cookie::COMPRESSED;

use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use serde_json::{Map, Value};

use crate::{Arrival, DecodeError, Envelope};

/// How an envelope stood on the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// Our own.
    #[default]
    Version1,
    /// The Node.js template: `{address, text}`.
    Node,
    /// The C# template from its second version on: `{RelatesTo, Text}`.
    RelatesTo,
    /// The first C# template: `{ResumptionCookie, Text}`.
    ResumptionCookie,
    /// Composer and `AzureQueueStorage`: an event activity named `ContinueConversation`.
    ContinueConversation,
}

impl Shape {
    /// Whether another program wrote it, before version 1.
    pub fn is_legacy(self) -> bool {
        self != Self::Version1
    }

    /// A word for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Version1 => "version1",
            Self::Node => "node",
            Self::RelatesTo => "relatesTo",
            Self::ResumptionCookie => "resumptionCookie",
            Self::ContinueConversation => "continueConversation",
        }
    }
}

/// What a legacy message says.
struct Said {
    address: ConversationReference,
    text: String,
}

/// The keys of all shapes, as they are spelt here.
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

/// Reads a message that has no `version`. What else stands in it is dropped: nothing says what it would mean in version 1.
pub(crate) fn read(object: Map<String, Value>, arrival: Arrival) -> Result<Envelope, DecodeError> {
    let mut fields = Fields::new(spelt(object), "");
    let has = |name: &str| fields.as_object().contains_key(name);
    // An activity first: it has a `relatesTo` too.
    let (shape, said) = if has("type") {
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
    Ok(Envelope { shape, ..Envelope::new(arrival.id, said.address, said.text, arrival.at) })
}

/// The same with the known keys in our spelling, at every level. A key that is spelt so already goes before another
/// spelling of it.
fn spelt(object: Map<String, Value>) -> Map<String, Value> {
    let mut spelt = Map::new();
    let mut others = Vec::new();
    for (key, value) in object {
        let value = match value {
            Value::Object(inner) => Value::Object(self::spelt(inner)),
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
