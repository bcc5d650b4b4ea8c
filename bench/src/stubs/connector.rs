//! The stub of the Connector.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;

use super::stub::{Stub, response};

/// A Connector that responds with 201 to each post of an activity. The stub expects the header
/// `Authorization`, but does not check the token in this header.
#[derive(Debug)]
pub struct Connector(Stub<Arrivals>);

/// The time at which the first alert of each conversation arrived. The key of the map is the percent-encoded
/// id of the conversation. `None` while the recording is off.
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

    /// Forgets all arrivals, and begins to record when the first alert of each conversation arrives.
    pub fn note_arrivals(&self) {
        *self.0.state() = Some(HashMap::new());
    }

    /// Returns the time at which the first alert of a conversation arrived. `conversation` is the
    /// percent-encoded id of the conversation.
    pub fn arrival(&self, conversation: &str) -> Option<Instant> {
        self.0.state().as_ref()?.get(conversation).copied()
    }

    /// Ends the recording. Returns the time at which the first alert of each conversation arrived. The key of
    /// the map is the percent-encoded id of the conversation.
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
    // The path of a reply ends with the id of an activity: `/activities/<id>`. With a reply, the bot confirms
    // an activity. A reply is not an alert, so the stub does not record the arrival of a reply.
    if let Some(arrivals) = arrivals.as_mut().filter(|_| reply_to.is_empty()) {
        arrivals.entry(conversation.to_owned()).or_insert_with(Instant::now);
    }
    Some(response(201, r#"{"id":"sent"}"#))
}
