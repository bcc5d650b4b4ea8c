//! The result of sending: the status of each alert for the answer, and the kick that follows the answer.

use http::StatusCode;
use platform::answer;
use serde_json::{Map, Value, json};

use super::call::not_confirmed;
use crate::answered::Answered;
use crate::kick::Kick;

/// The result of sending the alerts of one call, or of several calls one after the other.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// The JSON of each alert for the answer.
    pub(super) shown: Vec<Value>,
    /// The JSON of each alert of an escalation.
    pub(super) escalations: Vec<Value>,
    pub(super) queued: usize,
    /// How many alerts the queue did not confirm.
    pub(super) failed: usize,
    pub(super) unconfirmed: usize,
    /// Whether the caller can repeat the call without sending an alert twice.
    pub(super) is_repeatable: bool,
    /// Where the next call continues.
    pub(super) next: Option<String>,
    /// The kick, if the queue has a new message that is due.
    pub(super) kick: Option<Kick>,
}

impl Sending {
    /// Adds the result of the next call.
    pub(super) fn add(&mut self, other: Self) {
        self.is_repeatable = other.is_repeatable && (self.is_repeatable || self.shown.is_empty());
        self.shown.extend(other.shown);
        self.escalations.extend(other.escalations);
        self.queued += other.queued;
        self.failed += other.failed;
        self.unconfirmed += other.unconfirmed;
        self.next = self.next.take().or(other.next);
        self.kick = self.kick.take().or(other.kick);
    }

    /// Makes the answer, with further members. 503 if the queue did not confirm every alert.
    pub(super) fn into_answered(self, more: Map<String, Value>) -> Answered {
        let Self { shown, escalations, queued, failed, unconfirmed, is_repeatable, next, kick } = self;
        let mut body = more;
        body.insert("alerts".into(), shown.into());
        if !escalations.is_empty() {
            body.insert("escalations".into(), escalations.into());
        }
        if let Some(next) = next {
            body.insert("next".into(), next.into());
        }
        let mut status = StatusCode::ACCEPTED;
        if failed > 0 {
            let message = not_confirmed(queued, failed, unconfirmed, is_repeatable);
            body.insert("error".into(), json!({"code": "QueueUnavailable", "message": message}));
            status = StatusCode::SERVICE_UNAVAILABLE;
        }
        Answered::with_kick(answer::json(status, &body.into()), kick)
    }
}
