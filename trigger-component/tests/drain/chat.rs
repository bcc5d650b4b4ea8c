//! The chat messages that the simulated conversations show. Calls to the Connector send, change and delete
//! these messages, as on Teams.

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::script::Reply;

/// The chat messages of all conversations.
#[derive(Debug, Default)]
pub(crate) struct Chats {
    /// For each conversation: the id and the text of each message, the oldest first.
    messages: BTreeMap<String, Vec<(String, String)>>,
    sent: usize,
}

impl Chats {
    /// Carries out a call that the Connector has accepted: sends (POST), changes (PUT) or deletes a message.
    /// Returns the HTTP status of the response, and the id of the message. For a POST, the HTTP status is
    /// the status in `reply`.
    pub(crate) fn carry_out(
        &mut self,
        method: &Method,
        conversation: &str,
        activity: Option<&str>,
        text: &str,
        reply: &Reply,
    ) -> (u16, String) {
        let messages = self.messages.entry(conversation.to_owned()).or_default();
        if *method == Method::POST {
            self.sent += 1;
            let id = format!("m{}", self.sent);
            messages.push((id.clone(), text.to_owned()));
            return (reply.status, id);
        }
        let Some(at) = messages.iter().position(|(id, _)| Some(id.as_str()) == activity) else {
            return (404, String::new());
        };
        match *method == Method::PUT {
            true => text.clone_into(&mut messages[at].1),
            false => drop(messages.remove(at)),
        }
        (200, activity.unwrap_or_default().to_owned())
    }

    /// The texts that a conversation shows, the oldest message first.
    pub(crate) fn texts(&self, conversation: &str) -> Vec<&str> {
        let messages = self.messages.get(conversation).into_iter().flatten();
        messages.map(|(_, text)| text.as_str()).collect()
    }

    /// Deletes every message of a conversation, as a person can do.
    pub(crate) fn delete_all(&mut self, conversation: &str) {
        self.messages.remove(conversation);
    }
}

/// Returns the ids of the conversation and of the activity in the path of a call.
pub(crate) fn target_of(path: &str) -> (String, Option<String>) {
    let decoded = |segment: &str| percent_decode_str(segment).decode_utf8().unwrap().into_owned();
    let (_, rest) = path.split_once("/v3/conversations/").unwrap();
    let mut segments = rest.split('/').map(decoded);
    let conversation = segments.next().unwrap();
    assert_eq!(segments.next().as_deref(), Some("activities"), "{path}");
    (conversation, segments.next())
}
