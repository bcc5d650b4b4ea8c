//! The requests that the fake Connector receives, and the reasons for complaints.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::login::Tokens;

/// A request that the fake Connector received.
#[derive(Clone)]
pub struct Received {
    pub at: Instant,
    pub method: http::Method,
    /// Path and query as sent, still percent-encoded.
    pub path: String,
    pub headers: http::HeaderMap,
    pub raw: Bytes,
    /// The body as JSON; `null` if the body is not JSON.
    pub body: Value,
    pub(super) answered: Arc<OnceLock<Instant>>,
}

impl Received {
    /// The time when the fake began to send its response. `None` if the fake has not begun yet, or if the
    /// connection broke before the response. All clones of a request share this time.
    pub fn answered_at(&self) -> Option<Instant> {
        self.answered.get().copied()
    }

    /// The conversation id in the path, decoded.
    pub fn conversation(&self) -> Option<String> {
        self.target().map(|(conversation, _)| conversation)
    }

    /// The activity id in the path, decoded. If the bot replies to a message, this is the id of the person's
    /// message. If the bot changes or deletes a message, this is the id of the bot's message. Other paths
    /// have no activity id.
    pub fn reply_to(&self) -> Option<String> {
        self.target().and_then(|(_, activity)| activity)
    }

    /// The body's text.
    pub fn text(&self) -> &str {
        self.body["text"].as_str().unwrap_or_default()
    }

    /// The token of the `Authorization` header. `None` if the request does not have exactly one such header,
    /// or if the header does not begin with `Bearer `.
    pub fn token(&self) -> Option<&str> {
        let mut values = self.headers.get_all("authorization").iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok()?.strip_prefix("Bearer "),
            _ => None,
        }
    }

    /// Whether this request is the bot's acknowledgement of a person's message. An acknowledgement has a text
    /// that starts with `Queued:`.
    pub fn is_acknowledgement(&self) -> bool {
        self.text().starts_with("Queued:")
    }

    /// Whether this request is an alert. An alert has a text that starts with `Alert:`.
    pub fn is_alert(&self) -> bool {
        self.text().starts_with("Alert:")
    }

    /// Returns the conversation id and the activity id in the path, which ends in
    /// `/v3/conversations/{conversation}/activities[/{activity}]`. The part before `/v3` comes from
    /// `serviceUrl`.
    fn target(&self) -> Option<(String, Option<String>)> {
        let (_, rest) = self.path.split_once("/v3/conversations/")?;
        let segments: Vec<&str> = rest.split('/').collect();
        match segments.as_slice() {
            [conversation, "activities"] => Some((decode(conversation)?, None)),
            [conversation, "activities", activity] => Some((decode(conversation)?, Some(decode(activity)?))),
            _ => None,
        }
    }

    /// The reason why the fake complains about the request. `None` if the request is right.
    ///
    /// `is_activity` is false for a request that creates a conversation or reads the members of a
    /// conversation. Every other request must post, change or delete an activity.
    pub(super) fn objection(&self, is_activity: bool, tokens: Option<&Tokens>) -> Option<&'static str> {
        use http::Method;
        let is_deletion = self.method == Method::DELETE;
        let is_known = is_deletion || self.method == Method::POST || self.method == Method::PUT;
        if is_activity && !is_known {
            Some("expected POST, PUT or DELETE, because the bot only posts, puts and deletes")
        } else if is_activity && self.target().is_none() {
            Some("no such route")
        } else if is_activity && self.method != Method::POST && self.reply_to().is_none() {
            Some("expected that the path names an activity")
        } else if is_deletion && !self.raw.is_empty() {
            Some("expected that a deletion has no body")
        } else if tokens.is_none() && self.headers.contains_key("authorization") {
            Some("a credential must not be sent in anonymous mode")
        } else if tokens.is_some_and(|tokens| !self.token().is_some_and(|token| tokens.contains(token))) {
            Some("expected exactly one token of the login host")
        } else if is_deletion || self.method == Method::GET {
            None
        } else if !self
            .headers
            .get("content-type")
            .is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
        {
            Some("expected that the body is application/json")
        } else if !self.headers.contains_key("content-length") {
            Some("the body must have a declared length")
        } else if is_activity && !self.body["type"].is_string() {
            Some("expected that an activity has a type")
        } else {
            None
        }
    }
}

fn decode(segment: &str) -> Option<String> {
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    Some(decoded.into_owned()).filter(|text| !text.is_empty())
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.raw);
        write!(f, "{} {} {:?} {body}", self.method, self.path, self.headers)
    }
}
