//! Reads activities, the bodies of `POST /api/messages`. An activity is JSON that reports e.g. a person's
//! message.

use serde_json::{Map, Value};

use crate::account::{ChannelAccount, ConversationAccount};
use crate::channel_id;
use crate::json::{FieldError, Fields, NOT_ONLY_DOTS};
use crate::path::is_segment;

/// An activity: its kind, the most used fields, and all other fields unchanged in [`Activity::rest`].
///
/// An unknown field or an unknown `type` is no error (rules A2005 and A2006 of
/// <https://github.com/microsoft/Agents/blob/main/specs/activity/protocol-activity.md>). A missing `type` or
/// `conversation.id` is an error, because the bot needs both to handle the activity.
#[derive(Debug, Clone)]
pub struct Activity {
    /// The kind, from `type`.
    pub kind: ActivityKind,
    /// The activity's id. Some activities of the type `conversationUpdate` have no id.
    pub id: Option<String>,
    /// The id of the channel (the service that connects the person with the bot), in lower case, e.g.
    /// `msteams`, `webchat`, `directline` or `emulator`. An empty id becomes `None`.
    pub channel_id: Option<String>,
    /// The URL for replies. The caller (the program that sent the activity) chooses this URL. So the bot
    /// sends nothing to this URL before a [`crate::TrustPolicy`] has checked the URL.
    pub service_url: Option<String>,
    /// The sender. An account without an id counts as absent.
    pub from: Option<ChannelAccount>,
    /// The recipient, which is the bot.
    pub recipient: Option<ChannelAccount>,
    /// The conversation to which the activity belongs.
    pub conversation: ConversationAccount,
    /// The text of the message.
    pub text: Option<String>,
    /// The language, e.g. `en-US`.
    pub locale: Option<String>,
    /// The members who joined (`conversationUpdate`).
    pub members_added: Vec<ChannelAccount>,
    /// The members who left (`conversationUpdate`).
    pub members_removed: Vec<ChannelAccount>,
    /// The action (`installationUpdate`): `add`, `remove`, ….
    pub action: Option<String>,
    /// All other fields of the activity.
    pub rest: Map<String, Value>,
}

/// The kind of an activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivityKind {
    /// A message from a person or a program.
    Message,
    /// Members or properties of the conversation changed.
    ConversationUpdate,
    /// The bot was installed somewhere, or uninstalled.
    InstallationUpdate,
    /// The conversation has ended.
    EndOfConversation,
    /// The person asks the bot to delete all data about the person.
    DeleteUserData,
    /// A request whose result the bot returns in the HTTP response.
    Invoke,
    /// A named event, which is not a message.
    Event,
    /// The older form of an event, in use until early 2017. An event of this form has no name.
    Trigger,
    /// People added reactions to a message, or removed them.
    MessageReaction,
    /// Any other `type`. The bot accepts the activity and does nothing.
    Other(String),
}

impl From<String> for ActivityKind {
    fn from(name: String) -> Self {
        match name.as_str() {
            "message" => Self::Message,
            "conversationUpdate" => Self::ConversationUpdate,
            "installationUpdate" => Self::InstallationUpdate,
            "endOfConversation" => Self::EndOfConversation,
            "deleteUserData" => Self::DeleteUserData,
            "invoke" => Self::Invoke,
            "event" => Self::Event,
            "trigger" => Self::Trigger,
            "messageReaction" => Self::MessageReaction,
            _ => Self::Other(name),
        }
    }
}

impl Activity {
    /// Reads an activity from the body of a request.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::of_request(body)?;
        // The field `callerId` names the caller, but any caller could write a false name. So the bot ignores
        // this field (rule A2251 of `protocol-activity.md`).
        fields.take("callerId");
        let account = |fields: &mut Fields, name: &str| match fields.object(name)? {
            Some(object) => ChannelAccount::of_activity(object),
            None => Ok(None),
        };
        let members = |fields: &mut Fields, name: &str| -> Result<Vec<_>, FieldError> {
            let members = fields.objects(name)?.into_iter();
            members.filter_map(|member| ChannelAccount::of_activity(member).transpose()).collect()
        };
        Ok(Self {
            kind: fields.required_string("type")?.into(),
            conversation: ConversationAccount::from_fields(fields.required_object("conversation")?)?,
            id: take_id(&mut fields)?,
            channel_id: channel_id::take(&mut fields)?,
            service_url: fields.string("serviceUrl")?,
            from: account(&mut fields, "from")?,
            recipient: account(&mut fields, "recipient")?,
            text: fields.string("text")?,
            locale: fields.string("locale")?,
            members_added: members(&mut fields, "membersAdded")?,
            members_removed: members(&mut fields, "membersRemoved")?,
            action: fields.string("action")?,
            rest: fields.rest(),
        })
    }

    /// Whether the activity reports that the bot joined the conversation.
    pub fn adds_the_bot(&self) -> bool {
        self.kind == ActivityKind::ConversationUpdate && self.is_bot_among(&self.members_added)
    }

    /// Whether the activity reports that the bot left the conversation.
    pub fn removes_the_bot(&self) -> bool {
        self.kind == ActivityKind::ConversationUpdate && self.is_bot_among(&self.members_removed)
    }

    fn is_bot_among(&self, members: &[ChannelAccount]) -> bool {
        let bot = self.recipient.as_ref().map(|bot| &bot.id);
        members.iter().any(|member| Some(&member.id) == bot)
    }

    /// Whether the caller expects the replies in the HTTP response. If not, the bot sends the replies to the
    /// Connector.
    pub fn expects_replies(&self) -> bool {
        self.rest.get("deliveryMode").and_then(Value::as_str) == Some("expectReplies")
    }

    /// Whether the channel itself sent the activity, and not a person. The channels Direct Line and Web Chat
    /// send some activities of the type `conversationUpdate` themselves. In these activities, `from.id` is
    /// the id of the conversation.
    pub(crate) fn is_from_the_channel(&self) -> bool {
        self.kind == ActivityKind::ConversationUpdate
            && matches!(self.channel_id.as_deref(), Some("directline" | "webchat"))
            && self.from.as_ref().is_some_and(|from| from.id == self.conversation.id)
    }

    /// The id of the tenant, from `channelData`. Teams always sends this id, even if `conversation` names no
    /// tenant.
    pub fn channel_tenant_id(&self) -> Option<&str> {
        let id = self.rest.get("channelData")?.get("tenant")?.get("id")?.as_str();
        id.filter(|id| !id.is_empty())
    }
}

/// Takes the activity's id out of `fields`. An empty id counts as absent. An id of only dots is an error. The
/// URL of a reply contains the id, and an id such as `..` could lead to another path.
fn take_id(fields: &mut Fields) -> Result<Option<String>, FieldError> {
    match fields.string("id")?.filter(|id| !id.is_empty()) {
        Some(id) if !is_segment(&id) => Err(fields.error("id", NOT_ONLY_DOTS)),
        id => Ok(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Activity, FieldError> {
        Activity::parse(json.as_bytes())
    }

    #[test]
    fn malformed_activity_is_refused_with_the_path_of_the_fault() {
        for (json, expected) in [
            ("{}", "type: expected a non-empty string"),
            (r#"{"type":7,"conversation":{"id":"c"}}"#, "type: expected a string"),
            (r#"{"type":"message"}"#, "conversation: expected an object"),
            (r#"{"type":"message","conversation":"c"}"#, "conversation: expected an object"),
            (r#"{"type":"message","conversation":{}}"#, "conversation.id: expected a non-empty string"),
            (r#"{"type":"message","conversation":{"id":"c"},"from":{"id":2}}"#, "from.id: expected a string"),
            (r#"{"type":"message","conversation":{"id":"c"},"text":{}}"#, "text: expected a string"),
            (
                r#"{"type":"conversationUpdate","conversation":{"id":"c"},"membersAdded":[{"id":"a"},{"id":2}]}"#,
                "membersAdded[1].id: expected a string",
            ),
            (
                r#"{"type":"message","conversation":{"id":".."}}"#,
                "conversation.id: expected an id that is not only dots",
            ),
            (
                r#"{"type":"message","id":"..","conversation":{"id":"c"}}"#,
                "id: expected an id that is not only dots",
            ),
        ] {
            assert_eq!(parse(json).expect_err(json).to_string(), expected, "{json}");
        }
    }

    #[test]
    fn activity_keeps_unknown_fields_and_an_unknown_type_but_drops_the_caller_id() {
        let json =
            r#"{"type":"newThing","conversation":{"id":"c","x":1},"y":{"z":[true]},"callerId":"urn:evil"}"#;
        let activity = parse(json).unwrap();
        assert_eq!(activity.kind, ActivityKind::Other("newThing".into()));
        assert_eq!(activity.conversation.to_json(), serde_json::json!({"id": "c", "x": 1}));
        assert_eq!(Value::Object(activity.rest), serde_json::json!({"y": {"z": [true]}}));
    }

    #[test]
    fn account_without_an_id_counts_as_absent() {
        let json = r#"{"type":"conversationUpdate","conversation":{"id":"c"},"from":{},"recipient":{"id":null,"name":"b"},
            "membersAdded":[{},{"id":"a"},{"id":""}],"membersRemoved":[{"name":"x"}]}"#;
        let activity = parse(json).unwrap();
        assert_eq!((activity.from.clone(), activity.recipient.clone()), (None, None));
        assert_eq!(activity.members_added, [ChannelAccount::with_id("a")]);
        assert!(
            activity.members_removed.is_empty() && !activity.adds_the_bot() && !activity.removes_the_bot()
        );
    }

    #[test]
    fn conversation_reference_has_no_user_if_the_channel_itself_sent_the_update() {
        for (kind, channel, from, expected) in [
            ("conversationUpdate", "directline", "c", true),
            ("conversationUpdate", "webchat", "c", true),
            ("conversationUpdate", "directline", "dl_u", false),
            ("message", "directline", "c", false),
            // In a private chat of Telegram, the person and the conversation have the same id.
            ("conversationUpdate", "telegram", "c", false),
        ] {
            let json = format!(
                r#"{{"type":"{kind}","channelId":"{channel}","serviceUrl":"https://x/","conversation":{{"id":"c"}},"from":{{"id":"{from}"}}}}"#
            );
            let reference = crate::ConversationReference::of(&parse(&json).unwrap()).unwrap();
            assert_eq!(reference.user.is_none(), expected, "{json}");
        }
    }

    #[test]
    fn update_adds_or_removes_the_bot_only_if_the_members_include_the_bot() {
        for (json, expected) in [
            (
                r#"{"type":"conversationUpdate","conversation":{"id":"c"},"recipient":{"id":"b"},"membersAdded":[{"id":"u"},{"id":"b"}]}"#,
                true,
            ),
            (
                r#"{"type":"conversationUpdate","conversation":{"id":"c"},"recipient":{"id":"b"},"membersAdded":[{"id":"u"}]}"#,
                false,
            ),
            (r#"{"type":"conversationUpdate","conversation":{"id":"c"},"recipient":{"id":"b"}}"#, false),
            (r#"{"type":"conversationUpdate","conversation":{"id":"c"},"membersAdded":[{"id":"u"}]}"#, false),
            (
                r#"{"type":"message","conversation":{"id":"c"},"recipient":{"id":"b"},"membersAdded":[{"id":"b"}]}"#,
                false,
            ),
        ] {
            assert_eq!(parse(json).unwrap().adds_the_bot(), expected, "{json}");
            let leaving = json.replace("membersAdded", "membersRemoved");
            assert_eq!(parse(&leaving).unwrap().removes_the_bot(), expected, "{leaving}");
        }
    }
}
