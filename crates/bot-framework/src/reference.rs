//! The address of a conversation. With the address, the bot can send a message to the conversation at any
//! later time. The Bot Framework calls the address a *conversation reference*.

use serde_json::{Map, Value};

use crate::account::{ChannelAccount, ConversationAccount};
use crate::activity::Activity;
use crate::channel_id;
use crate::json::{FieldError, Fields, put};
use crate::vouching::vouches_for_identity;

/// A conversation reference. Its JSON form is
/// `{id?, channelId, serviceUrl, locale?, user?, bot?, conversation, serviceUrlVerified?}`. The member `id`
/// is the id of the activity from which the reference was made. If the JSON has unknown fields,
/// [`ConversationReference::to_json`] writes them, too.
///
/// Microsoft's Node.js template of 2017 wrote an address of this form into the member `address` of its queue
/// messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationReference {
    /// The id of the activity from which the bot made the reference.
    pub activity_id: Option<String>,
    /// The channel id, in lower case.
    pub channel_id: String,
    /// The URL of the Connector (the HTTP API that delivers messages), as in the activity. The bot trusts
    /// this URL only after a check by a [`crate::TrustPolicy`].
    pub service_url: String,
    /// The language of the person, e.g. `de-DE`.
    pub locale: Option<String>,
    /// The person in the conversation, if the reference names a person.
    pub user: Option<ChannelAccount>,
    /// The account of the bot. In the JSON form, this member is `bot`. The Agents SDK calls the member
    /// `agent`, so [`ConversationReference::from_fields`] also reads `agent`.
    pub bot: Option<ChannelAccount>,
    /// The conversation.
    pub conversation: ConversationAccount,
    /// Whether the channel (a service such as Teams) proved this `serviceUrl` (rule A7560 of the Activity
    /// protocol). The channel sends a token with each activity. The claim `serviceurl` of the token proves
    /// the URL.
    ///
    /// On the queue, trust this field only if the message has a valid seal (an HMAC that the bot or the
    /// poller made). Otherwise, a stranger who can write to the queue could set the field.
    pub service_url_verified: bool,
    rest: Map<String, Value>,
}

impl ConversationReference {
    /// Makes the reference of the conversation to which `activity` belongs.
    pub fn of(activity: &Activity) -> Result<Self, FieldError> {
        let missing = |path: &str| FieldError { path: path.into(), expected: "a non-empty string" };
        let required = |value: &Option<String>, path| {
            value.clone().filter(|v| !v.is_empty()).ok_or_else(|| missing(path))
        };
        let channel_id = required(&activity.channel_id, "channelId")?;
        let tenant_id = activity.channel_tenant_id().filter(|_| vouches_for_identity(&channel_id));
        Ok(Self {
            activity_id: activity.id.clone(),
            channel_id,
            service_url: required(&activity.service_url, "serviceUrl")?,
            locale: activity.locale.clone(),
            user: activity.from.clone().filter(|_| !activity.is_from_the_channel()),
            bot: activity.recipient.clone(),
            conversation: activity.conversation.clone().or_in_tenant(tenant_id),
            service_url_verified: false,
            rest: Map::new(),
        })
    }

    /// Makes the reference of a Teams conversation from its parts. The function needs no activity from the
    /// conversation.
    pub fn of_teams(
        service_url: impl Into<String>,
        bot: ChannelAccount,
        user: Option<ChannelAccount>,
        conversation: ConversationAccount,
    ) -> Self {
        Self {
            activity_id: None,
            channel_id: "msteams".into(),
            service_url: service_url.into(),
            locale: None,
            user,
            bot: Some(bot),
            conversation,
            service_url_verified: false,
            rest: Map::new(),
        }
    }

    /// The Entra tenant of the conversation, if the channel itself sets the tenant, as Teams does. On other
    /// channels, a person's client could choose any tenant, so the result is `None`.
    pub fn vouched_tenant(&self) -> Option<&str> {
        self.conversation.tenant_id().filter(|_| vouches_for_identity(&self.channel_id))
    }

    /// The person's object id in Entra, if the channel itself sets this id, as Teams does.
    pub fn vouched_aad_object_id(&self) -> Option<&str> {
        let user = self.user.as_ref().filter(|_| vouches_for_identity(&self.channel_id));
        user.and_then(ChannelAccount::aad_object_id)
    }

    /// Sets [`ConversationReference::service_url_verified`].
    #[must_use]
    pub fn with_service_url_verified(mut self, verified: bool) -> Self {
        self.service_url_verified = verified;
        self
    }

    /// Reads the JSON form.
    pub fn from_fields(mut fields: Fields) -> Result<Self, FieldError> {
        let account = |fields: &mut Fields, name: &str| match fields.object(name)? {
            Some(object) => ChannelAccount::from_fields(object).map(Some),
            None => Ok(None),
        };
        let channel_id = channel_id::take(&mut fields)?;
        let bot = account(&mut fields, "bot")?;
        let agent = account(&mut fields, "agent")?;
        Ok(Self {
            activity_id: fields.string("id")?,
            channel_id: channel_id.ok_or_else(|| fields.error("channelId", "a non-empty string"))?,
            service_url: fields.required_string("serviceUrl")?,
            locale: fields.string("locale")?,
            user: account(&mut fields, "user")?,
            bot: bot.or(agent),
            conversation: ConversationAccount::from_fields(fields.required_object("conversation")?)?,
            service_url_verified: fields.take("serviceUrlVerified") == Some(Value::Bool(true)),
            rest: fields.rest(),
        })
    }

    /// Writes the JSON form.
    pub fn to_json(&self) -> Value {
        let mut object = self.rest.clone();
        put(&mut object, "id", self.activity_id.clone());
        put(&mut object, "channelId", Some(self.channel_id.clone()));
        put(&mut object, "serviceUrl", Some(self.service_url.clone()));
        put(&mut object, "locale", self.locale.clone());
        put(&mut object, "user", self.user.as_ref().map(ChannelAccount::to_json));
        put(&mut object, "bot", self.bot.as_ref().map(ChannelAccount::to_json));
        put(&mut object, "conversation", Some(self.conversation.to_json()));
        put(&mut object, "serviceUrlVerified", self.service_url_verified.then_some(true));
        object.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ConversationReference, FieldError> {
        ConversationReference::from_fields(Fields::parse(json.as_bytes())?)
    }

    #[test]
    fn reference_with_unknown_fields_survives_a_round_trip() {
        let json = r#"{"bot":{"id":"b"},"channelId":"msteams","conversation":{"id":"c","tenantId":"t"},"future":[1],"id":"7","locale":"de","serviceUrl":"https://x/","user":{"id":"u","name":"Ann"}}"#;
        let reference = read(json).unwrap();
        assert_eq!(reference.to_json().to_string(), json);
        assert_eq!(reference.conversation.tenant_id(), Some("t"));
    }

    #[test]
    fn service_url_verified_is_true_only_for_json_true_and_is_written_only_if_true() {
        let json = |verified: &str| {
            format!(r#"{{"channelId":"x","conversation":{{"id":"c"}},"serviceUrl":"https://x/"{verified}}}"#)
        };
        for (verified, expected) in [
            ("", false),
            (r#","serviceUrlVerified":true"#, true),
            (r#","serviceUrlVerified":false"#, false),
            (r#","serviceUrlVerified":"true""#, false),
            (r#","serviceUrlVerified":1"#, false),
        ] {
            let reference = read(&json(verified)).unwrap();
            assert_eq!(reference.service_url_verified, expected, "{verified}");
            let written = reference.to_json();
            assert_eq!(
                written.get("serviceUrlVerified"),
                expected.then_some(&Value::Bool(true)),
                "{verified}"
            );
            let inverted = reference.with_service_url_verified(!expected).to_json();
            assert_eq!(inverted.get("serviceUrlVerified").is_some(), !expected);
        }
    }

    #[test]
    fn agent_in_a_reference_is_read_as_the_bot() {
        let json =
            r#"{"agent":{"id":"b"},"channelId":"x","conversation":{"id":"c"},"serviceUrl":"https://x/"}"#;
        let reference = read(json).unwrap();
        assert_eq!(reference.bot.as_ref().map(|bot| bot.id.as_str()), Some("b"));
        assert!(reference.to_json().get("agent").is_none());
    }

    #[test]
    fn tenant_and_object_id_are_returned_only_if_the_channel_vouches_for_them() {
        for (channel_id, expected) in [
            ("msteams", (Some("t"), Some("o"))),
            ("webchat", (None, None)),
            ("directline", (None, None)),
            ("emulator", (None, None)),
        ] {
            let json = format!(
                r#"{{"channelId":"{channel_id}","conversation":{{"id":"c","tenantId":"t"}},"serviceUrl":"https://x/","user":{{"id":"u","aadObjectId":"o"}}}}"#
            );
            let reference = read(&json).unwrap();
            assert_eq!(
                (reference.vouched_tenant(), reference.vouched_aad_object_id()),
                expected,
                "{channel_id}"
            );
        }
        let without_ids =
            read(r#"{"channelId":"msteams","conversation":{"id":"c"},"serviceUrl":"https://x/"}"#).unwrap();
        assert_eq!((without_ids.vouched_tenant(), without_ids.vouched_aad_object_id()), (None, None));
    }

    #[test]
    fn reference_with_a_missing_or_unusable_member_is_refused() {
        for (json, path) in [
            (r#"{"channelId":"x","serviceUrl":"https://x/"}"#, "conversation"),
            (r#"{"channelId":"x","serviceUrl":"https://x/","conversation":{"id":".."}}"#, "conversation.id"),
            (r#"{"channelId":"x","conversation":{"id":"c"}}"#, "serviceUrl"),
            (r#"{"serviceUrl":"https://x/","conversation":{"id":"c"}}"#, "channelId"),
        ] {
            assert_eq!(read(json).expect_err(json).path, path);
        }
    }
}
