//! The accounts in an activity (a message or another event of the Bot Framework). An activity describes each
//! person, bot and conversation as an account. Each type has methods for a few fields, and keeps all other
//! fields unchanged.
//!
//! A channel is a service that connects people with the bot, such as Teams. Only the conversation type
//! `channel` has another meaning: a channel of a team in Teams.

use serde_json::{Map, Value};

use crate::json::{FieldError, Fields, put};

macro_rules! account {
    ($(#[$doc:meta])* $name:ident, $take_id:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            /// The id on the channel (such as Teams). The id of an account from an activity is never empty.
            pub id: String,
            rest: Map<String, Value>,
        }

        impl $name {
            /// Makes an account with this id and no other field.
            pub fn with_id(id: impl Into<String>) -> Self {
                Self { id: id.into(), rest: Map::new() }
            }

            /// Reads the account from a JSON object, which must have a string `id`.
            pub fn from_fields(mut fields: Fields) -> Result<Self, FieldError> {
                Ok(Self { id: fields.$take_id("id")?, rest: fields.rest() })
            }

            /// The name, if it is set and not empty.
            pub fn name(&self) -> Option<&str> {
                self.text("name")
            }

            fn text(&self, field: &str) -> Option<&str> {
                self.rest.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
            }

            /// Writes the account with all the fields that were read.
            pub fn to_json(&self) -> Value {
                let mut object = self.rest.clone();
                object.insert("id".into(), self.id.clone().into());
                object.into()
            }
        }
    };
}

account! {
    /// The account of a user or a bot: `{id, name?, aadObjectId?, role?, …}`.
    ChannelAccount, required_string
}
account! {
    /// A conversation: `{id, conversationType?, tenantId?, isGroup?, name?, …}`. On Teams the id can contain
    /// `:`, `@`, `;` and `=`.
    ConversationAccount, required_segment
}

impl ChannelAccount {
    /// Sets the fields `name` and `aadObjectId` (the person's object id in Entra). A `None` leaves the field
    /// unchanged.
    #[must_use]
    pub fn named(mut self, name: Option<&str>, aad_object_id: Option<&str>) -> Self {
        put(&mut self.rest, "name", name);
        put(&mut self.rest, "aadObjectId", aad_object_id);
        self
    }

    /// Reads an account from a field of an activity, such as `from`. If there is no account, some channels
    /// send an object without an id. So the result is `None` if the object has no id or an empty id.
    pub(crate) fn of_activity(mut fields: Fields) -> Result<Option<Self>, FieldError> {
        let id = fields.string("id")?.filter(|id| !id.is_empty());
        Ok(id.map(|id| Self { id, rest: fields.rest() }))
    }

    /// The person's object id in Entra, if the channel sent one.
    pub fn aad_object_id(&self) -> Option<&str> {
        self.text("aadObjectId")
    }

    /// Whether the channel marks the account as a program: its `role` is `bot` or `skill`, in upper or lower
    /// case.
    pub fn is_program(&self) -> bool {
        let role = self.text("role").unwrap_or_default().trim();
        ["bot", "skill"].iter().any(|program| role.eq_ignore_ascii_case(program))
    }
}

impl ConversationAccount {
    /// Makes the account of a Teams conversation. `kind` is `personal`, `groupChat` or `channel`.
    pub fn of_teams(id: impl Into<String>, kind: &str, tenant_id: &str) -> Self {
        let mut conversation = Self::with_id(id).or_in_tenant(Some(tenant_id));
        put(&mut conversation.rest, "conversationType", Some(kind));
        put(&mut conversation.rest, "isGroup", (kind != "personal").then_some(true));
        conversation
    }

    /// The Entra tenant of the conversation, if the channel sent one.
    pub fn tenant_id(&self) -> Option<&str> {
        self.text("tenantId")
    }

    /// Sets the tenant if the conversation names no tenant yet.
    #[must_use]
    pub fn or_in_tenant(mut self, tenant_id: Option<&str>) -> Self {
        if self.tenant_id().is_none() {
            put(&mut self.rest, "tenantId", tenant_id);
        }
        self
    }

    /// The type, if the channel sent one. On Teams it is `personal`, `groupChat` or `channel`.
    pub fn conversation_type(&self) -> Option<&str> {
        self.text("conversationType")
    }

    /// Whether the conversation is a group (on Teams: a group chat or a channel of a team), and not the chat
    /// of one person with the bot. The field `conversationType` decides. If this field is missing, `isGroup`
    /// decides.
    pub fn is_group(&self) -> bool {
        match self.conversation_type() {
            Some(kind) => kind != "personal",
            None => self.rest.get("isGroup").and_then(Value::as_bool).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conversation(json: Value) -> ConversationAccount {
        ConversationAccount::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn group_is_recognised_by_the_conversation_type_or_else_by_is_group() {
        for (json, expected) in [
            (json!({"id": "c"}), false),
            (json!({"id": "c", "isGroup": true}), true),
            (json!({"id": "c", "isGroup": "yes"}), false),
            (json!({"id": "c", "conversationType": "personal"}), false),
            (json!({"id": "c", "conversationType": "personal", "isGroup": true}), false),
            (json!({"id": "c", "conversationType": "groupChat"}), true),
            (json!({"id": "c", "conversationType": "channel"}), true),
        ] {
            assert_eq!(conversation(json.clone()).is_group(), expected, "{json}");
        }
    }

    #[test]
    fn account_with_the_role_of_a_program_is_a_program() {
        for (role, expected) in [
            (json!("bot"), true),
            (json!("Bot"), true),
            (json!(" SKILL "), true),
            (json!("user"), false),
            (json!("robot"), false),
            (json!(""), false),
            (json!(true), false),
            (json!(null), false),
        ] {
            let fields = Fields::parse(json!({"id": "a", "role": role}).to_string().as_bytes()).unwrap();
            assert_eq!(ChannelAccount::from_fields(fields).unwrap().is_program(), expected, "{role}");
        }
    }

    #[test]
    fn or_in_tenant_sets_the_tenant_only_if_the_conversation_names_none() {
        for (own, other, expected) in
            [(json!("t"), Some("x"), Some("t")), (json!(null), Some("x"), Some("x")), (json!(""), None, None)]
        {
            let conversation = conversation(json!({"id": "c", "tenantId": own})).or_in_tenant(other);
            assert_eq!(conversation.tenant_id(), expected, "{own} {other:?}");
        }
    }
}
