//! What arrives on `POST /api/messages`.

use serde_json::{Map, Value};

use crate::account::{ChannelAccount, ConversationAccount};
use crate::channel_id;
use crate::json::{FieldError, Fields, NOT_ONLY_DOTS};
use crate::path::is_segment;

/// A message mentions the bot once or twice. Each mention costs a copy of the text, so the rest of a longer list is not read.
const MAX_MENTIONS: usize = 8;

/// An activity: the common fields, its kind, and everything else unread.
///
/// Unknown fields and unknown types are no errors (protocol-activity A2005, A2006); a missing `type` or
/// `conversation.id` is, because then nobody can be answered.
#[derive(Debug, Clone)]
pub struct Activity {
    /// The kind, from `type`.
    pub kind: ActivityKind,
    /// The activity's id. Absent on some updates.
    pub id: Option<String>,
    /// The channel: `msteams`, `webchat`, `directline`, `emulator`, …, in lower case; never empty.
    pub channel_id: Option<String>,
    /// Where to answer, as the caller claims it. Nothing is sent there before a [`crate::TrustPolicy`] has agreed.
    pub service_url: Option<String>,
    /// Who sent it.
    pub from: Option<ChannelAccount>,
    /// To whom: the bot.
    pub recipient: Option<ChannelAccount>,
    /// Where it was said.
    pub conversation: ConversationAccount,
    /// What was said.
    pub text: Option<String>,
    /// The language, e.g. `en-US`.
    pub locale: Option<String>,
    /// Who joined (`conversationUpdate`).
    pub members_added: Vec<ChannelAccount>,
    /// Who left (`conversationUpdate`).
    pub members_removed: Vec<ChannelAccount>,
    /// What was done (`installationUpdate`): `add`, `remove`, ….
    pub action: Option<String>,
    /// Every other field.
    pub rest: Map<String, Value>,
}

/// What an activity is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivityKind {
    /// Somebody said something.
    Message,
    /// Members or properties of the conversation changed.
    ConversationUpdate,
    /// The bot was installed somewhere, or uninstalled.
    InstallationUpdate,
    /// The conversation is over.
    EndOfConversation,
    /// The person wants everything forgotten that is known of them.
    DeleteUserData,
    /// A question that the HTTP answer itself answers.
    Invoke,
    /// Something with a `name` happened; nobody said anything.
    Event,
    /// What events were before early 2017, without a name.
    Trigger,
    /// Any other `type`: acknowledged and ignored.
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
            _ => Self::Other(name),
        }
    }
}

impl Activity {
    /// Reads an activity from a request's body.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::of_request(body)?;
        // Tells nothing that a caller could not have made up: never trusted from the wire (A2251).
        fields.take("callerId");
        let account = |fields: &mut Fields, name: &str| match fields.object(name)? {
            Some(object) => ChannelAccount::from_fields(object).map(Some),
            None => Ok(None),
        };
        let members = |fields: &mut Fields, name: &str| -> Result<Vec<_>, FieldError> {
            fields.objects(name)?.into_iter().map(ChannelAccount::from_fields).collect()
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

    /// Whether the bot is among those who joined.
    pub fn adds_the_bot(&self) -> bool {
        self.kind == ActivityKind::ConversationUpdate && self.is_bot_among(&self.members_added)
    }

    /// Whether the bot is among those who left.
    pub fn removes_the_bot(&self) -> bool {
        self.kind == ActivityKind::ConversationUpdate && self.is_bot_among(&self.members_removed)
    }

    fn is_bot_among(&self, members: &[ChannelAccount]) -> bool {
        let bot = self.recipient.as_ref().map(|bot| &bot.id);
        members.iter().any(|member| Some(&member.id) == bot)
    }

    /// The tenant that Teams names in every scope, where the conversation itself may name none.
    pub fn channel_tenant_id(&self) -> Option<&str> {
        let id = self.rest.get("channelData")?.get("tenant")?.get("id")?.as_str();
        id.filter(|id| !id.is_empty())
    }

    /// The first eight entities of type `mention`.
    fn mentions(&self) -> impl Iterator<Item = &Value> {
        let entities = self.rest.get("entities").and_then(Value::as_array);
        entities.into_iter().flatten().filter(|entity| entity["type"] == "mention").take(MAX_MENTIONS)
    }

    /// The text without the mention of the bot that group chats and channels demand, and without white space around it.
    pub fn text_to_the_bot(&self) -> String {
        let mut text = self.text.clone().unwrap_or_default();
        for words in self.mentions_of_the_bot().filter_map(|mention| mention["text"].as_str()) {
            if !words.is_empty() {
                text = text.replacen(words, "", 1);
            }
        }
        text.trim().to_owned()
    }

    /// Whether the bot is mentioned.
    pub fn mentions_the_bot(&self) -> bool {
        self.mentions_of_the_bot().next().is_some()
    }

    /// Teams: those whose `mentioned.id` is the bot's. The `text` of each is the very words that
    /// mention it.
    fn mentions_of_the_bot(&self) -> impl Iterator<Item = &Value> {
        let bot = self.recipient.as_ref().map(|bot| bot.id.as_str());
        self.mentions().filter(move |mention| {
            let mentioned = mention["mentioned"]["id"].as_str();
            mentioned.is_some() && mentioned == bot
        })
    }
}

/// The activity's id: a reply to it has the id in its path.
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
    fn malformed_activities_are_named() {
        for (json, expected) in [
            ("{}", "type: a string that is not empty expected"),
            (r#"{"type":7,"conversation":{"id":"c"}}"#, "type: a string expected"),
            (r#"{"type":"message"}"#, "conversation: an object expected"),
            (r#"{"type":"message","conversation":"c"}"#, "conversation: an object expected"),
            (
                r#"{"type":"message","conversation":{}}"#,
                "conversation.id: a string that is not empty expected",
            ),
            (
                r#"{"type":"message","conversation":{"id":"c"},"from":{}}"#,
                "from.id: a string that is not empty expected",
            ),
            (r#"{"type":"message","conversation":{"id":"c"},"text":{}}"#, "text: a string expected"),
            (
                r#"{"type":"conversationUpdate","conversation":{"id":"c"},"membersAdded":[{"id":"a"},{"id":2}]}"#,
                "membersAdded[1].id: a string expected",
            ),
            (
                r#"{"type":"message","conversation":{"id":".."}}"#,
                "conversation.id: an id that is not only dots expected",
            ),
            (
                r#"{"type":"message","id":"..","conversation":{"id":"c"}}"#,
                "id: an id that is not only dots expected",
            ),
        ] {
            assert_eq!(parse(json).expect_err(json).to_string(), expected, "{json}");
        }
    }

    #[test]
    fn unknown_fields_and_types_survive() {
        let json =
            r#"{"type":"newThing","conversation":{"id":"c","x":1},"y":{"z":[true]},"callerId":"urn:evil"}"#;
        let activity = parse(json).unwrap();
        assert_eq!(activity.kind, ActivityKind::Other("newThing".into()));
        assert_eq!(activity.conversation.to_json(), serde_json::json!({"id": "c", "x": 1}));
        assert_eq!(Value::Object(activity.rest), serde_json::json!({"y": {"z": [true]}}));
    }

    #[test]
    fn only_the_mention_of_the_bot_is_taken_out_and_counts() {
        let mention = |id: &str, words: &str| {
            format!(r#"{{"type":"mention","mentioned":{{"id":"{id}"}},"text":"{words}"}}"#)
        };
        for (text, entities, expected) in [
            ("hello", vec![], "hello"),
            ("  hello \\n", vec![], "hello"),
            ("<at>Bot</at> go", vec![mention("b", "<at>Bot</at>")], "go"),
            ("go <at>Bot</at>", vec![mention("b", "<at>Bot</at>")], "go"),
            ("<at>Ann</at> go", vec![mention("a", "<at>Ann</at>")], "<at>Ann</at> go"),
            (
                "<at>Bot</at> tell <at>Ann</at>",
                vec![mention("a", "<at>Ann</at>"), mention("b", "<at>Bot</at>")],
                "tell <at>Ann</at>",
            ),
            (
                "<at>Bot</at> <at>Bot</at> x",
                vec![mention("b", "<at>Bot</at>"), mention("b", "<at>Bot</at>")],
                "x",
            ),
            ("go", vec![mention("b", "")], "go"),
        ] {
            let json = format!(
                r#"{{"type":"message","conversation":{{"id":"c"}},"recipient":{{"id":"b"}},"text":"{text}","entities":[{}]}}"#,
                entities.join(",")
            );
            let activity = parse(&json).unwrap();
            assert_eq!(activity.text_to_the_bot(), expected, "{json}");
            assert_eq!(activity.mentions_the_bot(), json.contains(r#""mentioned":{"id":"b"}"#), "{json}");
        }
    }

    #[test]
    fn mentions_beyond_the_eighth_are_not_read() {
        let mention = r#"{"type":"mention","mentioned":{"id":"b"},"text":"x"}"#;
        for (mentions, expected) in [(8, "xx"), (9, "xx"), (10_000, "xx")] {
            // Entities of other types do not count.
            let entities =
                [r#"{"type":"clientInfo"},"#.repeat(20), vec![mention; mentions].join(",")].concat();
            let json = format!(
                r#"{{"type":"message","conversation":{{"id":"c"}},"recipient":{{"id":"b"}},"text":"{}","entities":[{entities}]}}"#,
                "x".repeat(10)
            );
            assert_eq!(parse(&json).unwrap().text_to_the_bot(), expected, "{mentions}");
        }
    }

    #[test]
    fn the_bot_joins_only_if_it_is_among_the_added() {
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
