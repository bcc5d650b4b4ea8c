//! The member `creation` of an envelope: the conversation that the poller has to create or find before it
//! sends the alert.

use bot_framework::json::{FieldError, Fields, put};
use bot_framework::{ChannelAccount, ConversationReference};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::time;

/// The conversation that the poller has to create or find before it sends the alert. The envelope's `address`
/// names the Connector, the tenant and the bot. For a [thread](CreationOf::Thread), the conversation in
/// `address` is the Teams channel in which the thread begins. For a personal chat, the conversation id in
/// `address` is a [placeholder](Creation::placeholder). All alerts to one person have the same placeholder,
/// so that the poller keeps their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// `kind` and `email`: the conversation to create or to find.
    pub of: CreationOf,
    /// `askedAt`: when the poller last failed to create the conversation because the bot was not installed
    /// for the person.
    pub asked_at: Option<DateTime<Utc>>,
}

/// The conversation that an alert needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreationOf {
    /// `person`: the personal chat with the person in `address.user`.
    Person,
    /// `member`: the personal chat with the person who has the address `email`. The person is a member of a
    /// team or chat of the tenant.
    Member {
        /// The e-mail address or the user principal name.
        email: String,
    },
    /// `thread`: a new thread in the channel `address.conversation`, with the alert as its first message.
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

    /// The least number of calls to the Connector that the alert needs. Each call counts against the rate
    /// limit of the tenant.
    pub fn calls(&self) -> u32 {
        match self {
            Self::Thread => 1,
            Self::Person => 2,
            Self::Member { .. } => 3,
        }
    }
}

impl Creation {
    /// Makes the field `creation` for a conversation that the poller has not yet tried to create.
    pub fn new(of: CreationOf) -> Self {
        Self { of, asked_at: None }
    }

    /// The conversation id for a person whose conversation the bot does not know yet. The id is the same for
    /// every alert to the person, and no real conversation has this id. `person` is an object id, a user id
    /// on the channel, or an e-mail address.
    pub fn placeholder(tenant_id: &str, person: &str) -> String {
        format!("new:{}/{}", tenant_id.to_lowercase(), person.to_lowercase())
    }

    /// The id of the person in an address: the object id if the address has one, otherwise the user id on the
    /// channel.
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
