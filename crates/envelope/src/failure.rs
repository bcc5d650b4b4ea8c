//! The reason that the poller adds to an envelope when it moves the message to the poison queue.

use bot_framework::json::put;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::time;

/// The field `failure` of an envelope on the poison queue: `{outcome, reason, status?, at, attempts}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The outcome, from the poller's closed list.
    pub outcome: &'static str,
    /// The reason, as a text for operators.
    pub reason: String,
    /// The HTTP status of the Connector's response, if there was a response.
    pub status: Option<u16>,
    /// The time at which the poller moved the message to the poison queue.
    pub at: DateTime<Utc>,
    /// How often the queue had handed out the message.
    pub attempts: u32,
}

impl Failure {
    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        put(&mut object, "outcome", Some(self.outcome));
        put(&mut object, "reason", Some(self.reason.as_str()));
        put(&mut object, "status", self.status);
        put(&mut object, "at", Some(time::to_text(self.at)));
        put(&mut object, "attempts", Some(self.attempts));
        object.into()
    }
}
