//! The alerts of an escalation: ordinary delayed alerts of the same call, which the poller sends unless a
//! person has answered.

use bot_framework::AuthMode;
use bot_framework::json::FieldError;
use callbacks::{CallbackHosts, CallbackSecrets};
use chrono::{DateTime, Utc};
use envelope::{Answers, Asked, QuestionKeys};
use platform::{Host, Randomness};
use state::ledger::{AlertId, CallId, NewAlert, Status};

use super::asking::Asking;
use super::body::AlertCall;
use super::caller::Caller;
use super::draft::{Alert, Draft, Recipient, message_of};
use super::paging::{self, Named};
use super::target::{Held, Target};
use crate::limits::MAX_TARGETS;
use crate::pressing;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::BotSettings;

/// The data that the question of a call needs.
pub(super) struct Asks {
    keys: QuestionKeys,
    /// The conversations of each step of the escalation.
    steps: Vec<Vec<Target>>,
}

impl Asks {
    /// Reads what the question of a call needs; `None` if the call asks nothing. Refuses a callback that the
    /// poller may not call. `is_only_page`: the call has only one page of conversations. A call with more
    /// pages may have no escalation.
    pub(super) async fn read<H: Host>(
        host: &H,
        settings: &BotSettings,
        caller: &Caller,
        call: &AlertCall,
        is_only_page: bool,
    ) -> Result<Option<Self>, Rejection> {
        let Some(asking) = &call.asking else { return Ok(None) };
        check_callback(host, settings, asking)?;
        let mut steps = Vec::new();
        for step in &asking.escalate {
            let page = paging::read(host, settings, caller, &step.to, None, &Named::new()).await?;
            steps.push(page.targets);
            let count: usize = steps.iter().map(Vec::len).sum();
            if page.next.is_some() || count > MAX_TARGETS || !is_only_page {
                return Err(AlertRejection::EscalationTooLarge.into());
            }
        }
        Ok(Some(Self { keys: pressing::keys(host, settings)?, steps }))
    }

    /// The ids of the alerts of all steps.
    fn ids(&self, call: &CallId) -> Vec<String> {
        let steps = self.steps.iter().enumerate();
        steps.flat_map(|(step, targets)| ids_of(&call.step(step), targets)).collect()
    }

    /// The encrypted question of the alert `id`. `call` and its id `of_call` are the call itself, also for
    /// the alert of a step.
    pub(super) fn sealed(
        &self,
        host: &impl Randomness,
        call: &AlertCall,
        id: &AlertId,
        until: DateTime<Utc>,
        of_call: &CallId,
        has_others: bool,
    ) -> Result<String, AlertRejection> {
        let Some(asking) = &call.asking else { return Ok(String::new()) };
        let escalations = self.ids(of_call);
        let question = asking.question_of(id, Some(&of_call.alert(0)));
        let asked = Asked {
            shared: question.answers == Answers::One && (has_others || !escalations.is_empty()),
            question,
            until,
            text: call.text.clone(),
            activity: call.activity.clone(),
            callback: asking.callback.clone(),
            key: asking.key.clone(),
            escalations,
        };
        asked
            .seal(host, &self.keys, id.as_str())
            .map_err(|json_bytes| AlertRejection::QuestionTooLarge { json_bytes })
    }
}

/// The ids of the alerts to these conversations. Conversations that get no message are left out.
fn ids_of(call: &CallId, targets: &[Target]) -> Vec<String> {
    let alerts = (0..).zip(targets).filter(|(_, target)| target.held.is_none());
    alerts.map(|(index, _)| call.alert(index).as_str().to_owned()).collect()
}

fn check_callback<H: Host>(host: &H, settings: &BotSettings, asking: &Asking) -> Result<(), Rejection> {
    let Some(callback) = &asking.callback else { return Ok(()) };
    let error = |expected| AlertRejection::from(FieldError { path: "callback".into(), expected });
    let mode = if settings.bot.is_some() { AuthMode::Required } else { AuthMode::Anonymous };
    CallbackHosts::read(host, mode)?.check(callback).map_err(|why| error(why.expected()))?;
    match CallbackSecrets::read(host)? {
        Some(_) => Ok(()),
        None => Err(error("no callback while the variable callbacksecret is empty").into()),
    }
}

impl Draft<'_> {
    /// Makes the alerts of each step of the escalation. `alerts` are those of the call itself.
    pub(super) fn escalations(
        &self,
        host: &impl Randomness,
        settings: &BotSettings,
        call: &CallId,
        alerts: &[Alert],
        once: bool,
    ) -> Result<Vec<(CallId, Vec<Alert>)>, AlertRejection> {
        let (Some(asks), Some(asking)) = (&self.asks, &self.call.asking) else { return Ok(Vec::new()) };
        let asked = alerts.iter().filter(|alert| !is_held(alert.alert.status));
        let mut before: Vec<String> = asked.map(|alert| alert.alert.id.as_str().to_owned()).collect();
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
                        // The alert of a step changes no earlier message, and does not recur.
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
                    thread: target.thread(),
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

/// Whether the queue gets no message of an alert with this status.
fn is_held(status: Status) -> bool {
    matches!(status, Status::Stopped | Status::Paused | Status::Untrusted | Status::TooLarge)
}
