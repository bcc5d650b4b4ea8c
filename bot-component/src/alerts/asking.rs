//! Reads the JSON members with which an API call asks a question: `actions`, `answers`, `reply`,
//! `acknowledge`, `callback` and `escalate`.
//!
//! A *question* is an alert that a person can answer with a button or a text. An *escalation* (`escalate`)
//! alerts further conversations, step by step, if no person answers.

use std::time::Duration;

use bot_framework::json::{FieldError, Fields};
use chrono::{DateTime, TimeDelta, Utc};
use envelope::{Action, Answers, Question, Style};
use state::ledger::AlertId;

use super::duration;
use super::to::{self, To};
use crate::limits::MAX_AHEAD;
use crate::rejection::AlertRejection;

/// The highest number of buttons in a question. Teams shows at most six.
const MAX_ACTIONS: usize = 6;

/// The highest number of characters in a button's title. The same limit applies to the label of a button's
/// text field (`input`).
const MAX_TITLE: usize = 80;

/// The highest number of characters in the id of an action, i.e. of a button.
const MAX_ID: usize = 64;

/// The highest number of characters in the web address that a button opens.
const MAX_URL: usize = 2000;

/// The highest number of steps in an escalation.
const MAX_STEPS: usize = 5;

/// A valid question, with its callback and its escalation.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) question: Question,
    /// The URL to which the poller posts each answer. The URL belongs to the back end of the program that
    /// made the API call. [`super::asks`] checks whether the poller is allowed to call the URL.
    pub(super) callback: Option<String>,
    /// The alert key, i.e. the member `key` of the call's body, if the body has this member. (The alert key
    /// is not the API key.) The poller posts the alert key together with each answer.
    pub(super) key: Option<String>,
    pub(super) escalate: Vec<Step>,
}

/// A step of an escalation. When the step begins, the poller alerts further conversations, unless a person
/// has answered the question.
#[derive(Debug)]
pub(super) struct Step {
    /// The time from the alert's due time (`at` or `delay`, or else the time of the API call) to the
    /// beginning of the step.
    pub(super) after: Duration,
    pub(super) to: Vec<To>,
}

impl Asking {
    /// Returns the question of the alert `id`.
    ///
    /// An API call makes one alert for each conversation. The bot splits the conversations of a call into
    /// *pages* of at most 100 conversations. If the question takes only one answer, several alerts share one
    /// table row for the answer: the alerts of one page, and the alerts of the escalation. The row's key
    /// contains `lead`, the id of the first alert of the page.
    ///
    /// If `lead` is `None`, the function computes `lead` from `id`. For an alert of the escalation, `lead`
    /// must not be `None`, because the computation would return the first alert of the step.
    pub(super) fn question_of(&self, id: &AlertId, lead: Option<&AlertId>) -> Question {
        let lead = lead.cloned().unwrap_or_else(|| id.first_of_call());
        let is_shared = self.question.answers == Answers::One && lead != *id;
        Question { lead: is_shared.then(|| lead.as_str().to_owned()), ..self.question.clone() }
    }

    /// Refuses an escalation if a step would begin at `expires` (the end of the question) or later.
    pub(super) fn expect_before(
        &self,
        expires: Option<DateTime<Utc>>,
        due: DateTime<Utc>,
    ) -> Result<(), FieldError> {
        for (index, step) in self.escalate.iter().enumerate() {
            if expires.is_some_and(|expires| step.due(due) >= expires) {
                let path = format!("escalate[{index}].after");
                return Err(FieldError { path, expected: "a duration that ends before `expires`" });
            }
        }
        Ok(())
    }
}

impl Step {
    /// Returns the time at which the step begins. `due` is the due time of the alert.
    pub(super) fn due(&self, due: DateTime<Utc>) -> DateTime<Utc> {
        TimeDelta::from_std(self.after).ok().and_then(|after| due.checked_add_signed(after)).unwrap_or(due)
    }
}

/// Reads the members that ask a question. Returns `None` if the call asks no question.
pub(super) fn read(fields: &mut Fields) -> Result<Option<Asking>, AlertRejection> {
    let body = fields.as_object();
    let key = body.get("key").and_then(serde_json::Value::as_str).map(str::to_owned);
    let has_actions = body.get("actions").is_some_and(|actions| !actions.is_null());
    let mut actions = read_actions(fields)?;
    if has_actions && actions.is_empty() {
        return Err(fields.error("actions", "1 to 6 actions").into());
    }
    if fields.boolean("acknowledge")? {
        if actions.iter().any(|action| action.id() == Some(envelope::ACKNOWLEDGE)) {
            return Err(fields
                .error("acknowledge", "no action with the id `acknowledge` in `actions`; leave one out")
                .into());
        }
        actions.push(Action::acknowledge());
    }
    if actions.len() > MAX_ACTIONS {
        return Err(fields
            .error("actions", "at most 6 actions, including the action of `acknowledge`")
            .into());
    }
    let reply = fields.boolean("reply")?;
    let answers = fields.string("answers")?;
    let callback = fields.string("callback")?;
    let escalate = read_steps(fields)?;
    let can_be_answered = reply || actions.iter().any(|action| action.id().is_some());
    for (name, is_set) in
        [("answers", answers.is_some()), ("callback", callback.is_some()), ("escalate", !escalate.is_empty())]
    {
        if is_set && !can_be_answered {
            return Err(fields
                .error(
                    name,
                    "a question in the same call; set `reply`, `acknowledge` or an action with an `id`",
                )
                .into());
        }
    }
    if actions.is_empty() && !reply {
        return Ok(None);
    }
    let answers = match answers {
        None => Answers::One,
        Some(word) => {
            Answers::from_word(&word).ok_or_else(|| fields.error("answers", "`one`, `each` or `many`"))?
        }
    };
    let question = Question { actions, answers, reply, ..Question::default() };
    Ok(Some(Asking { question, callback, key, escalate }))
}

fn read_actions(fields: &mut Fields) -> Result<Vec<Action>, FieldError> {
    let mut actions: Vec<Action> = Vec::new();
    for element in fields.objects("actions")? {
        let action = read_action(element)?;
        if let Some(id) = action.id().filter(|id| actions.iter().any(|known| known.id() == Some(id))) {
            return Err(FieldError { path: format!("actions.{id}"), expected: "each id only once" });
        }
        actions.push(action);
    }
    Ok(actions)
}

fn read_action(mut fields: Fields) -> Result<Action, FieldError> {
    let title = fields.required_string("title")?;
    if title.trim().is_empty() || title.chars().count() > MAX_TITLE {
        return Err(fields.error("title", "1 to 80 characters"));
    }
    let action = if let Some(url) = fields.string("url")? {
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        if !is_web || url.len() > MAX_URL || !url.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            return Err(fields.error("url", "a web address that begins with https:// or http://"));
        }
        Action::Open { url, title }
    } else {
        let id = fields.required_string("id")?;
        let is_id_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if id.len() > MAX_ID || !id.bytes().all(is_id_byte) {
            return Err(fields.error("id", "1 to 64 ASCII letters, digits and -_."));
        }
        let input = fields.string("input")?;
        if input.as_ref().is_some_and(|input| input.chars().count() > MAX_TITLE) {
            return Err(fields.error("input", "at most 80 characters"));
        }
        let style = match fields.string("style")? {
            None => None,
            Some(word) => Some(
                Style::from_word(&word)
                    .ok_or_else(|| fields.error("style", "`positive` or `destructive`"))?,
            ),
        };
        Action::Answer { id, title: Some(title), input, style }
    };
    match fields.as_object().keys().next() {
        Some(other) => {
            Err(fields.error(other, "one of the members id, title, input and style, or url and title"))
        }
        None => Ok(action),
    }
}

fn read_steps(fields: &mut Fields) -> Result<Vec<Step>, AlertRejection> {
    let elements = fields.objects("escalate")?;
    if elements.len() > MAX_STEPS {
        return Err(fields.error("escalate", "at most 5 steps").into());
    }
    let mut steps: Vec<Step> = Vec::new();
    for (index, mut element) in elements.into_iter().enumerate() {
        let text = element.required_string("after")?;
        let after = duration::parse(&text).filter(|after| !after.is_zero() && *after <= MAX_AHEAD);
        let after = after.ok_or_else(|| {
            element.error("after", "a duration of ISO 8601 with W, D, H, M and S, such as PT10M")
        })?;
        if steps.last().is_some_and(|earlier| earlier.after > after) {
            return Err(element
                .error("after", "a duration that is not shorter than `after` of the previous step")
                .into());
        }
        let to = to::read(&mut element).map_err(|error| error.below(&format!("escalate[{index}]")))?;
        let to = to.into_iter().map(|to| to.below(&format!("escalate[{index}]"))).collect();
        if let Some(other) = element.as_object().keys().next() {
            return Err(element.error(other, "one of the members after and to").into());
        }
        steps.push(Step { after, to });
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ask(body: &Value) -> Result<Option<Asking>, String> {
        let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        read(&mut fields).map_err(|error| error.to_string())
    }

    #[test]
    fn call_without_the_members_of_a_question_asks_no_question() {
        assert!(ask(&json!({"text": "hello", "reply": false, "actions": null})).unwrap().is_none());
    }

    #[test]
    fn members_of_a_question_are_read_from_the_call() {
        let asking = ask(&json!({
            "actions": [{"id": "yes", "title": "Yes"}, {"url": "https://x.example/", "title": "Open"}],
            "acknowledge": true, "answers": "each", "reply": true, "callback": "https://ci.example.com/", "key": "k",
            "escalate": [{"after": "PT10M", "to": {"tag": "lead"}}, {"after": "PT20M", "to": {"tag": "boss"}}],
        }))
        .unwrap()
        .unwrap();
        let ids: Vec<_> = asking.question.actions.iter().map(Action::id).collect();
        assert_eq!(ids, [Some("yes"), None, Some("acknowledge")]);
        assert_eq!((asking.question.answers, asking.question.reply), (Answers::Each, true));
        assert_eq!(
            (asking.callback.as_deref(), asking.key.as_deref()),
            (Some("https://ci.example.com/"), Some("k"))
        );
        let steps: Vec<_> = asking.escalate.iter().map(|step| step.after.as_secs()).collect();
        assert_eq!(steps, [600, 1200]);
    }

    #[test]
    fn error_of_a_wrong_member_begins_with_the_path() {
        let action = json!({"id": "yes", "title": "Yes"});
        let seven: Vec<Value> = (0..7).map(|id| json!({"id": id.to_string(), "title": "x"})).collect();
        for (body, path) in [
            (json!({"actions": []}), "actions"),
            (json!({"actions": seven}), "actions"),
            (json!({"actions": seven[..6], "acknowledge": true}), "actions"),
            (json!({"actions": [{"title": "Yes"}]}), "actions[0].id"),
            (json!({"actions": [{"id": "a b", "title": "Yes"}]}), "actions[0].id"),
            (json!({"actions": [{"id": "yes"}]}), "actions[0].title"),
            (json!({"actions": [{"id": "yes", "title": " "}]}), "actions[0].title"),
            (json!({"actions": [{"id": "yes", "title": "x".repeat(81)}]}), "actions[0].title"),
            (json!({"actions": [{"id": "yes", "title": "Yes", "style": "red"}]}), "actions[0].style"),
            (json!({"actions": [{"id": "yes", "title": "Yes", "color": "red"}]}), "actions[0].color"),
            (json!({"actions": [{"url": "javascript:x", "title": "Yes"}]}), "actions[0].url"),
            (json!({"actions": [{"url": "https://x/", "title": "Yes", "id": "x"}]}), "actions[0].id"),
            (json!({"actions": [action, action]}), "actions.yes"),
            (json!({"actions": [{"id": "acknowledge", "title": "x"}], "acknowledge": true}), "acknowledge"),
            (json!({"actions": [action], "answers": "two"}), "answers"),
            (json!({"answers": "one"}), "answers"),
            (json!({"callback": "https://x.example/"}), "callback"),
            (
                json!({"actions": [{"url": "https://x/", "title": "x"}], "callback": "https://x.example/"}),
                "callback",
            ),
            (json!({"escalate": [{"after": "PT1M", "to": {"tag": "x"}}]}), "escalate"),
            (
                json!({"acknowledge": true, "escalate": [{"after": "PT0S", "to": {"tag": "x"}}]}),
                "escalate[0].after",
            ),
            (json!({"acknowledge": true, "escalate": [{"after": "PT1M"}]}), "escalate[0].to"),
            (
                json!({"acknowledge": true, "escalate": [{"after": "PT1M", "to": {"tag": "x"}, "at": "x"}]}),
                "escalate[0].at",
            ),
            (
                json!({"acknowledge": true, "escalate": [
                    {"after": "PT2M", "to": {"tag": "x"}}, {"after": "PT1M", "to": {"tag": "x"}},
                ]}),
                "escalate[1].after",
            ),
            (json!({"reply": "yes"}), "reply"),
        ] {
            let error = ask(&body).expect_err(&body.to_string());
            assert!(error.starts_with(&format!("{path}: ")), "{body}: {error}");
        }
    }
}
