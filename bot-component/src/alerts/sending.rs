//! The result of sending alerts: the status of each alert for the response, and the kick. (After the
//! response, the bot starts the poller with a request. This request is the *kick*.)

use http::StatusCode;
use platform::response;
use serde_json::{Map, Value, json};

use crate::answered::Answered;
use crate::kick::Kick;

/// The result of sending the alerts of one API call. A program's post to a webhook address of the bot can
/// contain several alerts. Each of these alerts has its own result, and [`Sending::add`] combines the
/// results.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// The JSON of each alert for the response.
    pub(super) shown: Vec<Value>,
    /// The JSON of each alert of the call's escalation. An alert can ask people a question. An *escalation*
    /// consists of alerts to further conversations. The poller sends the alerts of an escalation only if no
    /// person answers the question.
    pub(super) escalations: Vec<Value>,
    pub(super) queued: usize,
    /// How many alerts the queue did not confirm. This number includes `unconfirmed`.
    pub(super) failed: usize,
    /// How many alerts are perhaps on the queue, although the queue did not confirm them.
    pub(super) unconfirmed: usize,
    /// Whether the caller can repeat the call without sending an alert twice.
    pub(super) is_repeatable: bool,
    /// The value with which the caller continues in another API call, if this call did not reach all
    /// conversations.
    pub(super) next: Option<String>,
    /// The kick, if the queue has a new message that is due.
    pub(super) kick: Option<Kick>,
}

impl Sending {
    /// Adds the result of the next alert in a program's post to a webhook address.
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

    /// Makes the response. `more` holds further members of the body. The HTTP status is 503 if `failed` is
    /// greater than zero.
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
        Answered::with_kick(response::json(status, &body.into()), kick)
    }
}

/// The message about alerts that the queue did not confirm. The message says what the caller can do without
/// sending an alert twice. `failed` is the number of alerts that the queue did not confirm. `unconfirmed` is
/// the number of these alerts that are perhaps on the queue. The rest of the `failed` alerts are certainly
/// not on the queue. `has_key` is true if the call has an idempotency key. The value comes from the field
/// `is_repeatable` of [`Sending`].
pub(crate) fn not_confirmed(queued: usize, failed: usize, unconfirmed: usize, has_key: bool) -> String {
    let all = queued + failed;
    let what_to_do = match (has_key, queued, unconfirmed) {
        (true, ..) => "send the same call again, because with its idempotencyKey nothing is sent twice",
        (false, 0, 0) => "send the same call again, because none of its alerts is on the queue",
        (false, _, 0) => {
            "do not send the same call again, because it has no idempotencyKey and the queued alerts would be sent \
             twice; send another call to only the conversations of the failed alerts"
        }
        (false, ..) => {
            "do not send the same call again, because it has no idempotencyKey and the queue perhaps holds the \
             unconfirmed alerts; cancel each alert whose status is unconfirmed, and send the cancelled and the failed alerts again"
        }
    };
    format!("queue: did not confirm {failed} of {all} alerts; {what_to_do}")
}

#[cfg(test)]
mod tests {
    use super::not_confirmed;

    #[test]
    fn message_says_to_repeat_the_call_only_if_the_repetition_sends_nothing_twice() {
        for (queued, failed, unconfirmed, has_key, expected) in [
            (0, 1, 0, true, "send the same call again"),
            (2, 1, 1, true, "send the same call again"),
            (0, 1, 0, false, "send the same call again, because none of its alerts is on the queue"),
            (
                2,
                1,
                0,
                false,
                "do not send the same call again, because it has no idempotencyKey and the queued alerts",
            ),
            (
                0,
                2,
                1,
                false,
                "do not send the same call again, because it has no idempotencyKey and the queue perhaps holds",
            ),
        ] {
            let said = not_confirmed(queued, failed, unconfirmed, has_key);
            let all = queued + failed;
            let begin = format!("queue: did not confirm {failed} of {all} alerts; {expected}");
            assert!(said.starts_with(&begin), "{said}");
        }
    }
}
