//! The parties of a conversation, and the conversation itself. Only `id` (and the tenant) mean anything here; all other
//! fields travel along unread.

use serde_json::{Map, Value};

use crate::json::{FieldError, Fields, put};

macro_rules! account {
    ($(#[$doc:meta])* $name:ident, $take_id:ident) => {
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
                Ok(Self { id: fields.$take_id("id")?, rest: fields.rest() })
            }

            /// What it is called.
            pub fn name(&self) -> Option<&str> {
                self.text("name")
            }

            fn text(&self, field: &str) -> Option<&str> {
                self.rest.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
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
    ChannelAccount, required_string
}
account! {
    /// A conversation: `{id, conversationType?, tenantId?, isGroup?, name?, …}`. On Teams the id has `:`, `@`, `;` and `=`.
    ConversationAccount, required_segment
}

impl ChannelAccount {
    /// One of an activity. Some channels name nobody by an object without an id.
    pub(crate) fn of_activity(mut fields: Fields) -> Result<Option<Self>, FieldError> {
        let id = fields.string("id")?.filter(|id| !id.is_empty());
        Ok(id.map(|id| Self { id, rest: fields.rest() }))
    }

    /// The person's object id in Entra, where the channel says so.
    pub fn aad_object_id(&self) -> Option<&str> {
        self.text("aadObjectId")
    }

    /// Whether it is a program, as far as the channel says so: its `role` is `bot` or `skill`, in any case.
    pub fn is_program(&self) -> bool {
        let role = self.text("role").unwrap_or_default().trim();
        ["bot", "skill"].iter().any(|program| role.eq_ignore_ascii_case(program))
    }
}

impl ConversationAccount {
    /// The Entra tenant that it belongs to, where the channel says so.
    pub fn tenant_id(&self) -> Option<&str> {
        self.text("tenantId")
    }

    /// The same conversation, in this tenant unless it names one itself.
    #[must_use]
    pub fn or_in_tenant(mut self, tenant_id: Option<&str>) -> Self {
        if self.tenant_id().is_none() {
            put(&mut self.rest, "tenantId", tenant_id);
        }
        self
    }

    /// What kind it is, where the channel says so; on Teams `personal`, `groupChat` or `channel`.
    pub fn conversation_type(&self) -> Option<&str> {
        self.text("conversationType")
    }

    /// Whether more than one person is in it, as far as the channel says so.
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
    fn who_is_in_it() {
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
    fn programs_say_so_in_their_role() {
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
    fn a_tenant_is_added_only_where_there_is_none() {
        for (own, other, expected) in
            [(json!("t"), Some("x"), Some("t")), (json!(null), Some("x"), Some("x")), (json!(""), None, None)]
        {
            let conversation = conversation(json!({"id": "c", "tenantId": own})).or_in_tenant(other);
            assert_eq!(conversation.tenant_id(), expected, "{own} {other:?}");
        }
    }
}
