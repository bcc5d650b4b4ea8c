//! What the bot says.

use serde_json::{Map, Value, json};

use crate::account::ChannelAccount;
use crate::json::put;
use crate::reference::ConversationReference;

/// A message from the bot into the conversation of a reference: `{type, text, textFormat, from, recipient, conversation,
/// channelId, serviceUrl, locale?, replyToId?}`.
#[derive(Debug, Clone)]
pub struct OutgoingMessage(Map<String, Value>);

impl OutgoingMessage {
    /// A message that answers nothing in particular.
    pub fn new(reference: &ConversationReference, text: &str) -> Self {
        let mut message = Map::new();
        put(&mut message, "type", Some("message"));
        put(&mut message, "text", Some(text));
        // The text is people's own words: `plain` keeps a channel from reading Markdown into them.
        put(&mut message, "textFormat", Some("plain"));
        put(&mut message, "from", reference.bot.as_ref().map(ChannelAccount::to_json));
        put(&mut message, "recipient", reference.user.as_ref().map(ChannelAccount::to_json));
        put(&mut message, "conversation", Some(reference.conversation.to_json()));
        put(&mut message, "channelId", Some(reference.channel_id.clone()));
        put(&mut message, "serviceUrl", Some(reference.service_url.clone()));
        put(&mut message, "locale", reference.locale.clone());
        Self(message)
    }

    /// Marks it as the answer to the activity of `reference`.
    #[must_use]
    pub fn in_reply_to(mut self, reference: &ConversationReference) -> Self {
        put(&mut self.0, "replyToId", reference.activity_id.clone());
        self
    }

    /// The JSON that is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        json!(self.0).to_string().into_bytes()
    }
}
