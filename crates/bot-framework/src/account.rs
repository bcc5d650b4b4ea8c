//! The parties of a conversation, and the conversation itself. Only `id` (and the tenant) mean anything here; all other
//! fields travel along unread.

use serde_json::{Map, Value};

use crate::json::{FieldError, Fields};

macro_rules! account {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            /// Its id on the channel; never empty.
            pub id: String,
            rest: Map<String, Value>,
        }

        impl $name {
            /// One that has nothing but an id.
            pub fn with_id(id: impl Into<String>) -> Self {
                Self { id: id.into(), rest: Map::new() }
            }

            /// Reads it from an object with a string `id`.
            pub fn from_fields(mut fields: Fields) -> Result<Self, FieldError> {
                Ok(Self { id: fields.required_string("id")?, rest: fields.rest() })
            }

            /// As it came.
            pub fn to_json(&self) -> Value {
                let mut object = self.rest.clone();
                object.insert("id".into(), self.id.clone().into());
                object.into()
            }
        }
    };
}

account! {
    /// A user or a bot: `{id, name?, aadObjectId?, role?, …}`.
    ChannelAccount
}
account! {
    /// A conversation: `{id, conversationType?, tenantId?, isGroup?, name?, …}`. On Teams the id has `:`, `@`, `;` and `=`.
    ConversationAccount
}

impl ConversationAccount {
    /// The Entra tenant that it belongs to, where the channel says so.
    pub fn tenant_id(&self) -> Option<&str> {
        self.rest.get("tenantId").and_then(Value::as_str)
    }
}
