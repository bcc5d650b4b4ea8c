//! The stub of the Connector.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;

use super::stub::{Stub, response};

/// A Connector that answers 201 to every post of an activity. The request must have the header
/// `Authorization`, but the stub does not check the token in this header.
#[derive(Debug)]
pub struct Connector(Stub<Arrivals>);

/// The time at which the first activity of each conversation arrived; `None` while the stub does not record
/// arrivals.
type Arrivals = Option<HashMap<String, Instant>>;

impl Connector {
    pub(super) fn start() -> Self {
        Self(Stub::start(take_activity))
    }

    /// The address of the stub: `127.0.0.1:<port>`.
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The number of calls to the stub so far.
    pub fn calls(&self) -> u64 {
        self.0.calls()
    }

    /// From now on, the stub records when the first activity of each conversation arrives.
    pub fn note_arrivals(&self) {
        *self.0.state() = Some(HashMap::new());
    }

    /// Returns the time at which the first activity of a conversation arrived. `conversation` is the
    /// percent-encoded id.
    pub fn arrival(&self, conversation: &str) -> Option<Instant> {
        self.0.state().as_ref()?.get(conversation).copied()
    }

    /// Ends the recording, and returns the time at which the first activity of each conversation arrived, by
    /// the conversation's percent-encoded id.
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
    // A reply to an activity is the bot's acknowledgement and not an alert, so the stub does not record the
    // arrival.
    if let Some(arrivals) = arrivals.as_mut().filter(|_| reply_to.is_empty()) {
        arrivals.entry(conversation.to_owned()).or_insert_with(Instant::now);
    }
    Some(response(201, r#"{"id":"sent"}"#))
}
