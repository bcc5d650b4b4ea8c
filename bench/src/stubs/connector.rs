//! The Connector: it takes every activity.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;

use super::{Stub, answer};

/// A Connector that answers 201 to every post of an activity with a token, whatever token.
#[derive(Debug)]
pub struct Connector(Stub<Arrivals>);

/// When an activity came into a conversation, if anybody wants to know.
type Arrivals = Option<HashMap<String, Instant>>;

impl Connector {
    pub(super) fn start() -> Self {
        Self(Stub::start(take_activity))
    }

    /// `127.0.0.1:<port>`
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// How many activities came.
    pub fn calls(&self) -> u64 {
        self.0.calls()
    }

    /// From now on it notes when which conversation got something.
    pub fn note_arrivals(&self) {
        *self.0.state() = Some(HashMap::new());
    }

    /// When a conversation got something, by its percent-encoded id, if it did.
    pub fn arrival(&self, conversation: &str) -> Option<Instant> {
        self.0.state().as_ref()?.get(conversation).copied()
    }

    /// When each conversation got something, by its percent-encoded id. It stops noting.
    pub fn take_arrivals(&self) -> HashMap<String, Instant> {
        self.0.state().take().unwrap_or_default()
    }

    pub(super) fn complaint(&self) -> Option<String> {
        self.0.complaint()
    }
}

fn take_activity(arrivals: &mut Arrivals, request: &http::Request<Bytes>) -> Option<http::Response<Bytes>> {
    let (_, rest) = request.uri().path().split_once("/v3/conversations/")?;
    let (conversation, reply_to) = rest.split_once("/activities")?;
    if request.method() != http::Method::POST || !request.headers().contains_key(http::header::AUTHORIZATION)
    {
        return None;
    }
    // A reply is an acknowledgement.
    if let Some(arrivals) = arrivals.as_mut().filter(|_| reply_to.is_empty()) {
        arrivals.entry(conversation.to_owned()).or_insert_with(Instant::now);
    }
    Some(answer(201, r#"{"id":"sent"}"#))
}
