//! Keeps the bot's chat messages for the fake Connector, as people would see the messages in each
//! conversation.

use http::Method;
use serde_json::{Value, json};

use super::{Received, Reply};

/// The ids of the channels on which the Connector refuses to change or delete a message.
const WITHOUT_CHANGES: [&str; 2] = ["webchat", "directline"];

/// A chat message that people would see in a conversation.
#[derive(Debug, Clone)]
struct ChatMessage {
    conversation: String,
    id: String,
    activity: Value,
}

/// The chat messages that the bot has sent and has not deleted, oldest first.
#[derive(Debug, Default)]
pub(super) struct Chats(Vec<ChatMessage>);

impl Chats {
    /// The chat messages that people would see in a conversation, as activities.
    pub(super) fn shown(&self, conversation: &str) -> Vec<Value> {
        let shown = self.0.iter().filter(|shown| shown.conversation == conversation);
        shown.map(|shown| shown.activity.clone()).collect()
    }

    /// The response to a request that changes or deletes a chat message. Returns `None` for a POST.
    pub(super) fn response(&self, received: &Received) -> Option<Reply> {
        if received.method == Method::POST {
            return None;
        }
        let Some(at) = self.position(received) else {
            return Some(Reply::error(404, "ActivityNotFoundInConversation"));
        };
        let channel = self.0[at].activity["channelId"].as_str().unwrap_or_default();
        if WITHOUT_CHANGES.contains(&channel) {
            return Some(Reply::error(405, "BadArgument"));
        }
        Some(Reply::status(200, json!({"id": self.0[at].id})))
    }

    /// Applies an accepted request: adds, changes or deletes a chat message. `id` is the id of a new chat
    /// message. The caller takes `id` from the response to the request.
    pub(super) fn apply(&mut self, received: &Received, id: Option<&str>) {
        let at = self.position(received);
        let activity = received.body.clone();
        match (&received.method, at) {
            (&Method::POST, _) if activity["type"] == "message" => {
                let (Some(conversation), Some(id)) = (received.conversation(), id) else { return };
                self.0.push(ChatMessage { conversation, id: id.to_owned(), activity });
            }
            (&Method::PUT, Some(at)) => self.0[at].activity = activity,
            (&Method::DELETE, Some(at)) => drop(self.0.remove(at)),
            _ => {}
        }
    }

    /// Adds the first chat message of a new thread.
    pub(super) fn start_thread(&mut self, conversation: &str, id: &str, activity: &Value) {
        let (conversation, id) = (conversation.to_owned(), id.to_owned());
        self.0.push(ChatMessage { conversation, id, activity: activity.clone() });
    }

    fn position(&self, received: &Received) -> Option<usize> {
        let (conversation, id) = (received.conversation()?, received.reply_to()?);
        self.0.iter().position(|shown| shown.conversation == conversation && shown.id == id)
    }
}
