//! The field `failure` of an envelope: the reason why the poller moved the envelope to the poison queue. The
//! poller writes this field. The bot reads this field, for example when an operator lists the poison queue.

use bot_framework::json::put;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::{Envelope, time};

/// The name of the field in the envelope's JSON.
const FIELD: &str = "failure";

/// The field `failure`, as the poller writes it: `{id, outcome, reason, status?, at, attempts}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The id of this dead letter (a message on the poison queue). The table `<tableprefix>runs` has a row
    /// for each dead letter, and this id is the row key.
    pub id: String,
    /// The poller's word for the outcome, such as `destinationGone`.
    pub outcome: &'static str,
    /// The reason, as a text for operators.
    pub reason: String,
    /// The HTTP status of the Connector's response, if there was a response.
    pub status: Option<u16>,
    /// The time at which the poller moved the message to the poison queue.
    pub at: DateTime<Utc>,
    /// The DequeueCount: how often the message was dequeued before the move to the poison queue.
    pub attempts: u32,
}

impl Failure {
    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        put(&mut object, "id", Some(self.id.as_str()));
        put(&mut object, "outcome", Some(self.outcome));
        put(&mut object, "reason", Some(self.reason.as_str()));
        put(&mut object, "status", self.status);
        put(&mut object, "at", Some(time::to_text(self.at)));
        put(&mut object, "attempts", Some(self.attempts));
        object.into()
    }
}

/// The field `failure`, as the bot reads it. A member that the bot cannot read is `None` or 0. Other programs
/// can also write this field. So trust the values only if the envelope has a valid *seal* (an HMAC with a key
/// that only the bot and the poller have).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureNote {
    /// The id of the dead letter. Older pollers wrote no id.
    pub id: Option<String>,
    /// The poller's word for the outcome.
    pub outcome: Option<String>,
    /// The reason, as a text for operators.
    pub reason: Option<String>,
    /// The HTTP status of the Connector's response.
    pub status: Option<u16>,
    /// The time at which the poller moved the message to the poison queue.
    pub at: Option<DateTime<Utc>>,
    /// The DequeueCount: how often the message was dequeued before the move to the poison queue.
    pub attempts: u32,
}

impl Envelope {
    /// Removes the field `failure` from the envelope, and returns it. Returns `None` if the envelope has no
    /// such field.
    pub fn take_failure(&mut self) -> Option<FailureNote> {
        let failure = self.rest.remove(FIELD)?;
        let text = |name: &str| failure[name].as_str().map(str::to_owned);
        let at = failure["at"].as_str().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        Some(FailureNote {
            id: text("id"),
            outcome: text("outcome"),
            reason: text("reason"),
            status: failure["status"].as_u64().and_then(|status| u16::try_from(status).ok()),
            at: at.map(|at| at.with_timezone(&Utc)),
            attempts: failure["attempts"]
                .as_u64()
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or_default(),
        })
    }
}
