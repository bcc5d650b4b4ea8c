//! Makes the JSON of the chat messages that the bot sends to the Connector.

use platform::Traceparent;
use serde_json::{Map, Value, json};

use crate::account::ChannelAccount;
use crate::json::put;
use crate::reference::ConversationReference;

/// The JSON members that an alert is allowed to add to a chat message, besides the text. The program that
/// puts the alert on the queue chooses the values of these members. The list has no member for the sender,
/// the recipient or the conversation, because the program must not choose these three.
pub const MORE_MEMBERS: [&str; 5] =
    ["attachments", "attachmentLayout", "suggestedActions", "summary", "importance"];

/// A message that the bot sends to one conversation. The usual members are
/// `{type, text, textFormat, from, recipient, conversation, channelId, serviceUrl, locale?, replyToId?}`. A
/// card or a mention adds further members.
#[derive(Debug, Clone)]
pub struct OutgoingMessage {
    pub(crate) members: Map<String, Value>,
    /// The trace of the request that caused the message. The trace becomes a header of the call to the
    /// Connector, not a member of the message.
    pub(crate) trace: Option<Traceparent>,
}

impl OutgoingMessage {
    /// Makes a message with this text. The message is not a reply to an activity.
    pub fn new(reference: &ConversationReference, text: &str) -> Self {
        let mut message = Map::new();
        put(&mut message, "type", Some("message"));
        put(&mut message, "text", Some(text));
        // With `plain`, the channel does not read parts of the text as Markdown. The caller of `new` can
        // change the format with `in_format`.
        put(&mut message, "textFormat", Some("plain"));
        put(&mut message, "from", reference.bot.as_ref().map(ChannelAccount::to_json));
        put(&mut message, "recipient", reference.user.as_ref().map(ChannelAccount::to_json));
        put(&mut message, "conversation", Some(reference.conversation.to_json()));
        put(&mut message, "channelId", Some(reference.channel_id.clone()));
        put(&mut message, "serviceUrl", Some(reference.service_url.clone()));
        put(&mut message, "locale", reference.locale.clone());
        Self { members: message, trace: None }
    }

    /// Adds the members of `activity` that are in [`MORE_MEMBERS`], and ignores all other members. `activity`
    /// is the member `activity` of an alert. A member that the message already has keeps its value. On Teams,
    /// a message of high importance also raises a notification.
    #[must_use]
    pub fn with(mut self, activity: &Map<String, Value>) -> Self {
        for name in MORE_MEMBERS {
            if let Some(value) = activity.get(name) {
                self.members.entry(name).or_insert_with(|| value.clone());
            }
        }
        // With an empty text, the channel would show an empty message in addition to the card. A channel
        // accepts a message with a card and without a text, so the text is removed.
        if self.members.get("text").is_some_and(|text| text == "") && self.members.contains_key("attachments")
        {
            self.members.retain(|name, _| !matches!(name.as_str(), "text" | "textFormat"));
        }
        let is_important = self.members.get("importance").is_some_and(|importance| importance == "high");
        if is_important && self.members.get("channelId").is_some_and(|channel| channel == "msteams") {
            // With this member, Teams shows the message as a banner, with the summary:
            // https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/notification-only-bot
            put(&mut self.members, "channelData", Some(json!({"notification": {"alert": true}})));
        }
        self
    }

    /// Marks the message as the reply to the activity of `reference`.
    #[must_use]
    pub fn in_reply_to(mut self, reference: &ConversationReference) -> Self {
        put(&mut self.members, "replyToId", reference.activity_id.clone());
        self
    }

    /// Marks the message as the reply to the activity with this id.
    #[must_use]
    pub fn in_reply_to_activity(mut self, activity_id: &str) -> Self {
        put(&mut self.members, "replyToId", Some(activity_id));
        self
    }

    /// Sets the trace of the request that caused the message. The call to the Connector carries the id of the
    /// trace in the header `traceparent`.
    #[must_use]
    pub fn in_trace(mut self, trace: Option<&Traceparent>) -> Self {
        self.trace = trace.cloned();
        self
    }

    /// Returns the JSON of the content: the message without the members that depend on the conversation, such
    /// as the recipient or the locale. So the same content has the same JSON in every conversation.
    pub fn content(mut self) -> Vec<u8> {
        const OF_THE_ADDRESS: [&str; 7] =
            ["from", "recipient", "conversation", "channelId", "serviceUrl", "locale", "replyToId"];
        self.members.retain(|name, _| !OF_THE_ADDRESS.contains(&name.as_str()));
        self.to_bytes()
    }

    /// Returns the message as a JSON value.
    pub fn into_json(self) -> Value {
        self.members.into()
    }

    /// Returns the JSON that is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing JSON with string keys into memory cannot fail.
        serde_json::to_vec(&self.members).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Fields;

    fn message(text: &str, activity: Value) -> Value {
        let address = br#"{"channelId":"x","serviceUrl":"https://x/","conversation":{"id":"c"}}"#;
        let address = ConversationReference::from_fields(Fields::parse(address).unwrap()).unwrap();
        let message = OutgoingMessage::new(&address, text).with(activity.as_object().unwrap());
        serde_json::from_slice(&message.to_bytes()).unwrap()
    }

    #[test]
    fn message_takes_only_the_listed_members_of_an_alert() {
        let sent = message(
            "hi",
            json!({
                "attachments": [{"contentType": "x"}], "summary": "s", "importance": "high", "text": "other", "type": "event",
                "from": {"id": "evil"}, "serviceUrl": "https://evil.example/", "channelData": {}, "replyToId": "7",
            }),
        );
        let expected = json!({
            "type": "message", "text": "hi", "textFormat": "plain", "conversation": {"id": "c"}, "channelId": "x",
            "serviceUrl": "https://x/", "attachments": [{"contentType": "x"}], "summary": "s", "importance": "high",
        });
        assert_eq!(sent, expected);
    }

    #[test]
    fn message_of_high_importance_raises_a_notification_on_teams_only() {
        let sent = |channel: &str, importance: &str| {
            let address =
                json!({"channelId": channel, "serviceUrl": "https://x/", "conversation": {"id": "c"}});
            let address = Fields::parse(address.to_string().as_bytes()).unwrap();
            let address = ConversationReference::from_fields(address).unwrap();
            let activity =
                json!({"importance": importance, "channelData": {"notification": {"alert": false}}});
            OutgoingMessage::new(&address, "x").with(activity.as_object().unwrap()).into_json()
        };
        assert_eq!(sent("msteams", "high")["channelData"], json!({"notification": {"alert": true}}));
        for (channel, importance) in [("msteams", "normal"), ("msteams", "low"), ("webchat", "high")] {
            assert_eq!(sent(channel, importance).get("channelData"), None, "{channel} {importance}");
        }
    }

    #[test]
    fn message_with_a_card_and_empty_text_has_no_text() {
        let card = json!({"attachments": [{"contentType": "x"}]});
        assert_eq!(message("", card.clone()).get("text"), None);
        assert_eq!(message("hi", card)["text"], "hi");
        assert_eq!(message("", json!({"summary": "s"}))["text"], "");
    }
}
