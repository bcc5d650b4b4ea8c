//! The field `creation` of an envelope: the conversation that the poller has to create or find before it
//! sends the alert.

use bot_framework::json::{FieldError, Fields, put};
use bot_framework::{ChannelAccount, ConversationReference};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::time;

/// The conversation that the poller has to create or find before it sends the alert. The Connector's URL, the
/// tenant and the bot are in the envelope's `address`. The conversation in `address` depends on the kind of
/// conversation that the alert needs:
///
/// - For a [thread](CreationOf::Thread), the conversation in `address` is the Teams channel in which the
///   thread begins.
/// - For a personal chat, the conversation id in `address` is a [placeholder](Creation::placeholder). The
///   poller keeps the order of alerts with the same conversation id. All alerts that name a person by the
///   same id or e-mail address have the same placeholder, so these alerts stay in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// `kind` and `email`: the conversation to create or to find.
    pub of: CreationOf,
    /// `askedAt`: when the poller last asked the Connector to create the conversation, and the Connector
    /// refused, because the bot was not installed for the person.
    pub asked_at: Option<DateTime<Utc>>,
}

/// The kind of the conversation that an alert needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreationOf {
    /// `person`: the personal chat with the person in `address.user`.
    Person,
    /// `member`: the personal chat with the person whose e-mail address is `email`. The poller looks for this
    /// person among the members of the bot's teams and chats in the tenant.
    Member {
        /// The e-mail address or the user principal name.
        email: String,
    },
    /// `thread`: a new thread in the Teams channel `address.conversation`. The alert is the first message of
    /// the thread.
    Thread,
}

impl CreationOf {
    fn kind(&self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Member { .. } => "member",
            Self::Thread => "thread",
        }
    }

    /// The minimum number of calls to the Connector for an alert with this kind of conversation. The rate
    /// limit of the tenant counts each call.
    pub fn min_calls(&self) -> u32 {
        match self {
            Self::Thread => 1,
            Self::Person => 2,
            Self::Member { .. } => 3,
        }
    }
}

impl Creation {
    /// Makes a `Creation` for a conversation that the poller has not tried to create yet.
    pub fn new(of: CreationOf) -> Self {
        Self { of, asked_at: None }
    }

    /// Returns the placeholder for the conversation id of a personal chat that the bot does not know yet. The
    /// placeholder is the same for every alert with the same `person`, and no real conversation has this id.
    /// `person` is an object id in Entra, a user id on the channel, or an e-mail address.
    pub fn placeholder(tenant_id: &str, person: &str) -> String {
        format!("new:{}/{}", tenant_id.to_lowercase(), person.to_lowercase())
    }

    /// Returns the id of the person in an address. The id is the object id in Entra, if the channel itself
    /// sets this id, as Teams does. Otherwise, the id is the user id on the channel.
    pub fn person_of(address: &ConversationReference) -> Option<&str> {
        let object_id = address.vouched_aad_object_id();
        object_id.or(address.user.as_ref().map(|user: &ChannelAccount| user.id.as_str()))
    }

    pub(crate) fn take(fields: &mut Fields) -> Result<Option<Self>, FieldError> {
        let Some(mut fields) = fields.object("creation")? else { return Ok(None) };
        let of = match fields.required_string("kind")?.as_str() {
            "person" => CreationOf::Person,
            "member" => CreationOf::Member { email: fields.required_string("email")? },
            "thread" => CreationOf::Thread,
            _ => return Err(fields.error("kind", "`person`, `member` or `thread`")),
        };
        Ok(Some(Self { of, asked_at: time::take(&mut fields, "askedAt")? }))
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        put(&mut object, "kind", Some(self.of.kind()));
        if let CreationOf::Member { email } = &self.of {
            put(&mut object, "email", Some(email.as_str()));
        }
        put(&mut object, "askedAt", self.asked_at.map(time::to_text));
        object.into()
    }
}
