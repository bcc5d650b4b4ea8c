//! Makes the alerts of an *escalation*. An escalation belongs to a question (an alert that people can
//! answer). If no person answers the question, the escalation alerts further conversations, step by step.
//!
//! Each alert of the escalation is due later than the question. When such an alert is due, the poller sends
//! the alert only if no person has answered the question or an alert of an earlier step. A *run* is one
//! execution of the poller.

use platform::Randomness;
use state::ledger::{CallId, NewAlert, Status};

use super::asks::ids_of;
use super::draft::{Alert, Draft, Recipient, message_of};
use super::to::Held;
use crate::rejection::AlertRejection;
use crate::settings::BotSettings;

impl Draft<'_> {
    /// Makes the alerts of the escalation. Returns the id and the alerts of each step. `alerts` are the
    /// alerts of the call itself.
    ///
    /// `once` is true if the caller can repeat the call. The queue can then hold two messages of the same
    /// alert, so each message gets the mark `once`. Before a run sends a message with this mark, the run
    /// reads in the ledger (the table of the alerts' records) whether the alert was sent already.
    pub(super) fn escalations(
        &self,
        host: &impl Randomness,
        settings: &BotSettings,
        call: &CallId,
        alerts: &[Alert],
        once: bool,
    ) -> Result<Vec<(CallId, Vec<Alert>)>, AlertRejection> {
        let (Some(asks), Some(asking)) = (&self.asks, &self.call.asking) else { return Ok(Vec::new()) };
        let asked = alerts.iter().filter(|alert| !is_held(alert.record.status));
        let mut before: Vec<String> = asked.map(|alert| alert.record.id.as_str().to_owned()).collect();
        let mut steps = Vec::new();
        for (number, (step, targets)) in asking.escalate.iter().zip(&asks.steps).enumerate() {
            let id = call.step(number);
            let due = Some(step.due(self.call.due.unwrap_or(self.now)));
            let mut made = Vec::with_capacity(targets.len());
            for (index, target) in (0..).zip(targets) {
                let id = id.alert(index);
                let held = target.held.map(Held::status);
                let message = match held {
                    Some(_) => None,
                    None => {
                        let mut envelope = self.envelope(&id, &Recipient::of(target, due), self.now);
                        envelope.creation.clone_from(&target.creation);
                        envelope.once = once;
                        envelope.unless_answered.clone_from(&before);
                        // Without `keyed`, the alert of a step changes no earlier chat message. Without
                        // `series`, the alert does not recur.
                        (envelope.keyed, envelope.series) = (None, None);
                        envelope.question = Some(asking.question_of(&id, Some(&call.alert(0))));
                        Some(message_of(settings, envelope, self.now)?)
                    }
                };
                let question = self.question(host, &id, due, call)?;
                let alert = NewAlert {
                    status: held.unwrap_or(Status::Queued),
                    due,
                    until: due.max(self.call.expires),
                    tag: target.tag.as_ref().map(|tag| tag.as_str().to_owned()),
                    question,
                    thread: target.channel_of_thread(),
                    ..self.record(id, target.key.as_str())
                };
                made.push(Alert::new(alert, message, target.creation.is_some()));
            }
            before.extend(ids_of(&id, targets));
            if !made.is_empty() {
                steps.push((id, made));
            }
        }
        Ok(steps)
    }
}

/// Whether an alert with this status gets no message on the queue.
fn is_held(status: Status) -> bool {
    matches!(status, Status::Stopped | Status::Paused | Status::Untrusted | Status::TooLarge)
}
