//! Prepares the question of an API call. A *question* is an alert that people can answer. An *escalation*
//! alerts further conversations, step by step, if no person answers the question.
//!
//! This module finds the conversations of the escalation, and the keys that encrypt the question. The bot
//! stores the encrypted question in the *ledger* (a table with one record for each alert).

use bot_framework::AuthMode;
use bot_framework::json::FieldError;
use callbacks::{CallbackHosts, CallbackSecrets};
use chrono::{DateTime, Utc};
use envelope::{Answers, Asked, QuestionKeys};
use platform::{Host, Randomness};
use state::ledger::{AlertId, CallId};

use super::asking::Asking;
use super::body::AlertCall;
use super::caller::Caller;
use super::paging::{self, Named};
use super::to::Target;
use crate::limits::MAX_TARGETS;
use crate::pressing;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::BotSettings;

/// The encryption keys for the question of an API call, and the conversations of the question's escalation.
pub(super) struct Asks {
    keys: QuestionKeys,
    /// The conversations of each step of the escalation.
    pub(super) steps: Vec<Vec<Target>>,
}

impl Asks {
    /// Reads the keys, and finds the conversations of the escalation. Returns `None` if the call asks no
    /// question. Refuses a callback URL that the poller is not allowed to call. If the variable
    /// `callbacksecret` is empty, refuses every callback URL.
    ///
    /// The bot splits the conversations of a call into *pages* of at most 100 conversations. `is_only_page`
    /// is true if the call has only one page. The function refuses the escalation if the call has several
    /// pages, or if all steps together have more than 100 conversations.
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

    /// Returns the ids of the alerts in all steps of the escalation. `call` is the id of the API call.
    fn ids(&self, call: &CallId) -> Vec<String> {
        let steps = self.steps.iter().enumerate();
        steps.flat_map(|(step, targets)| ids_of(&call.step(step), targets)).collect()
    }

    /// Encrypts the question of the API call `call` for the record of the alert `id`. Returns an empty text
    /// if the call asks no question. After the time `until`, the question takes no answers.
    ///
    /// The alert belongs to a page of the call, or to a step of the call's escalation. (A call with an
    /// escalation has only one page.) `of_call` is the call id of this page, because each page has its own
    /// call id. `has_others` is true if this page has several conversations.
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

/// Returns the ids of the alerts to the conversations in `targets`. Leaves out each conversation that gets no
/// alert now, for example because the person sent `stop`.
pub(super) fn ids_of(call: &CallId, targets: &[Target]) -> Vec<String> {
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
