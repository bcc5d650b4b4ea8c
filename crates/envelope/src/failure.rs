//! What an envelope gains when it goes to the poison queue.

use bot_framework::json::put;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::time;

/// `failure` of a poisoned envelope: `{outcome, reason, status?, at, attempts}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which outcome it was: one of the poller's closed list.
    pub outcome: &'static str,
    /// Why, for people.
    pub reason: String,
    /// The Connector's status, if there was one.
    pub status: Option<u16>,
    /// When it was given up.
    pub at: DateTime<Utc>,
    /// How often the queue had handed it out.
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
