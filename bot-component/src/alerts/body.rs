//! Reads the body of `POST /api/alerts`.

use bot_framework::json::{FieldError, Fields};
use chrono::{DateTime, TimeDelta, Utc};
use envelope::{Look, OnUncertain};
use platform::name_of;
use serde_json::{Map, Value};

use super::asking::{self, Asking};
use super::keyed::KeyedCall;
use super::series::{self, Recurrence};
use super::time::take_time;
use super::to::{self, To};
use super::{activity, duration, looks};
use crate::limits::MAX_AHEAD;
use crate::rejection::AlertRejection;

pub(super) const MAX_IDEMPOTENCY_KEY_CHARACTERS: usize = 200;

const MEMBERS: &str = "one of the members to, text, activity, card, format, mentions, importance, key, state, again, \
     notify, actions, answers, reply, acknowledge, callback, escalate, at, delay, every, until, zone, expires, \
     idempotencyKey, onUncertain and next";

/// A checked API call that sends alerts. [`AlertCall::read`] reads the body of `POST /api/alerts`. Other
/// routes, such as `PATCH /api/alerts/{id}`, have bodies of another form. The code of such a route calls
/// [`AlertCall::new`], and then sets further fields of the struct.
#[derive(Debug)]
pub(super) struct AlertCall {
    pub(super) to: Vec<To>,
    pub(super) text: String,
    pub(super) activity: Map<String, Value>,
    pub(super) look: Look,
    /// The alert key (the member `key`), with the members `state`, `again` and `notify`. By default, alerts
    /// with the same alert key share one chat message. `None` if the call has no `key`.
    pub(super) keyed: Option<KeyedCall>,
    /// The question, if people can answer the alert.
    pub(super) asking: Option<Asking>,
    /// When the alert is due. `None` means at once.
    pub(super) due: Option<DateTime<Utc>>,
    /// How the alert recurs. `None` if the alert is sent once.
    pub(super) series: Option<Recurrence>,
    pub(super) expires: Option<DateTime<Utc>>,
    pub(super) on_uncertain: OnUncertain,
}

/// The values by which the bot recognises a repeated API call.
#[derive(Debug)]
pub(super) struct Identity {
    /// The name of the caller's API key ([`super::caller::Caller`]). Callers with different names can use the
    /// same idempotency key for different calls.
    pub(super) key_name: String,
    pub(super) idempotency_key: String,
    /// A hash of the body. The order of members and the white space do not change the hash.
    pub(super) fingerprint: String,
}

impl Identity {
    /// Returns the identity of a call, or `None` if the call has no valid idempotency key.
    ///
    /// The function checks no other member, because a repeated call can be invalid. For example, the time in
    /// the member `expires` has passed since the first call. With the identity, the bot still finds the first
    /// call.
    pub(super) fn of(fields: &Fields, key_name: &str) -> Option<Self> {
        let body = fields.as_object();
        let key = body.get("idempotencyKey")?.as_str().filter(|key| is_idempotency_key(key))?;
        let fingerprint = name_of(&[&Value::Object(body.clone()).to_string()]);
        Some(Self { key_name: key_name.into(), idempotency_key: key.into(), fingerprint })
    }
}

fn is_idempotency_key(key: &str) -> bool {
    (1..=MAX_IDEMPOTENCY_KEY_CHARACTERS).contains(&key.chars().count())
}

/// Takes the content of an alert out of a body: the text, and the members of the body's `activity`. If the
/// only attachment is an Adaptive Card, a caller can write `card` instead of `activity.attachments`.
pub(super) fn take_content(fields: &mut Fields) -> Result<(String, Map<String, Value>), FieldError> {
    let text = fields.string("text")?.unwrap_or_default();
    let mut activity = match fields.object("activity")? {
        Some(members) => activity::read(members)?,
        None => Map::new(),
    };
    if let Some(card) = fields.object("card")? {
        let attachments = activity::attachments_of(card.rest());
        if activity.insert("attachments".into(), attachments).is_some() {
            return Err(fields.error("card", "no value, because activity.attachments is set; leave one out"));
        }
    }
    if text.trim().is_empty() && !activity.contains_key("attachments") {
        return Err(fields.error("text", "some text, unless `card` or activity.attachments is set"));
    }
    Ok((text, activity))
}

impl AlertCall {
    /// Whether the alert ignores quiet hours, i.e. the hours in which the person wants no alerts.
    pub(super) fn is_important(&self) -> bool {
        self.activity.get("importance").is_some_and(|importance| importance == "high")
    }

    /// Makes a call that sends `text` to the targets `to` at once.
    pub(super) fn new(to: Vec<To>, text: impl Into<String>) -> Self {
        Self {
            to,
            text: text.into(),
            activity: Map::new(),
            look: Look::default(),
            keyed: None,
            asking: None,
            due: None,
            series: None,
            expires: None,
            on_uncertain: OnUncertain::default(),
        }
    }

    pub(super) fn read(mut fields: Fields, now: DateTime<Utc>) -> Result<Self, AlertRejection> {
        let to = to::read(&mut fields)?;
        let (text, mut activity) = take_content(&mut fields)?;
        let look = looks::read(&mut fields, &text, &mut activity)?;
        let asking = asking::read(&mut fields)?;
        let keyed = KeyedCall::take(&mut fields)?;
        let due = read_due(&mut fields, now)?;
        let expires = take_time(&mut fields, "expires")?;
        let series = series::read(&mut fields, due.unwrap_or(now), expires.is_some())?;
        if expires.is_some_and(|expires| expires <= due.unwrap_or(now)) {
            return Err(fields
                .error("expires", "a time in the future, later than the due time (`at` or `delay`)")
                .into());
        }
        if !fields.string("idempotencyKey")?.is_none_or(|key| is_idempotency_key(&key)) {
            return Err(fields.error("idempotencyKey", "1 to 200 characters").into());
        }
        let on_uncertain = match fields.string("onUncertain")? {
            None => OnUncertain::default(),
            Some(word) => OnUncertain::from_word(&word)
                .ok_or_else(|| fields.error("onUncertain", "`retry` or `drop`"))?,
        };
        // An unknown member is probably misspelt. For example, if the bot ignored `expire` (instead of
        // `expires`), the bot would send alerts that have expired.
        if let Some(other) = fields.as_object().keys().next() {
            return Err(fields.error(other, MEMBERS).into());
        }
        if let Some(asking) = &asking {
            asking.expect_before(expires, due.unwrap_or(now))?;
            if series.is_some() {
                let expected = "no value, because the call asks a question (`actions`, `reply` or `acknowledge`); leave `every` out, and send each question in a separate call";
                return Err(FieldError { path: "every".into(), expected }.into());
            }
        }
        Ok(Self { activity, look, keyed, asking, due, series, expires, on_uncertain, ..Self::new(to, text) })
    }
}

/// Reads the due time from `at` or `delay`. Returns `None` if the alert is due at once, because the call has
/// neither member, or because the time has passed.
fn read_due(fields: &mut Fields, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, FieldError> {
    const WITHIN_A_YEAR: &str = "a time at most 366 days ahead";
    let at = take_time(fields, "at")?;
    let delay = match fields.string("delay")? {
        None => None,
        Some(text) => Some(duration::parse(&text).ok_or_else(|| {
            fields.error("delay", "a duration of ISO 8601 with W, D, H, M and S, such as PT10M")
        })?),
    };
    let (name, due) = match (at, delay) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(fields.error("delay", "`at` or `delay`, found both; leave one out"));
        }
        (Some(at), None) => ("at", Some(at)),
        (None, Some(delay)) => {
            ("delay", TimeDelta::from_std(delay).ok().and_then(|delay| now.checked_add_signed(delay)))
        }
    };
    let due = due.filter(|due| (*due - now).to_std().unwrap_or_default() <= MAX_AHEAD);
    let due = due.ok_or_else(|| fields.error(name, WITHIN_A_YEAR))?;
    Ok(Some(due).filter(|due| *due > now))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-23T22:00:00Z".parse().unwrap()
    }

    fn read(change: &Value) -> Result<AlertCall, AlertRejection> {
        let mut body = json!({"to": {"tag": "x"}, "text": "hello"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        AlertCall::read(Fields::parse(body.to_string().as_bytes())?, now())
    }

    #[test]
    fn due_time_is_read_from_at_or_computed_from_delay() {
        let time = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
        for (change, expected) in [
            (json!({}), None),
            (json!({"at": "2026-11-24T00:00:00+01:00"}), time("2026-11-23T23:00:00Z")),
            (json!({"at": "2027-11-24T22:00:00Z"}), time("2027-11-24T22:00:00Z")),
            (json!({"at": "2020-01-01T00:00:00Z"}), None),
            (json!({"delay": "PT10M"}), time("2026-11-23T22:10:00Z")),
            (json!({"delay": "P366D"}), time("2027-11-24T22:00:00Z")),
            (json!({"delay": "PT0S"}), None),
        ] {
            assert_eq!(read(&change).unwrap().due, expected, "{change}");
        }
    }

    #[test]
    fn error_of_a_wrong_member_begins_with_the_path() {
        for (change, path) in [
            (json!({"text": ""}), "text"),
            (json!({"text": " \n"}), "text"),
            (json!({"text": null}), "text"),
            (json!({"text": 7}), "text"),
            (json!({"text": null, "activity": {"summary": "s"}}), "text"),
            (json!({"card": []}), "card"),
            (json!({"card": {}, "activity": {"attachments": [{}]}}), "card"),
            (json!({"state": "resolved"}), "state"),
            (json!({"activity": []}), "activity"),
            (json!({"activity": {"from": {}}}), "activity.from"),
            (json!({"at": "tomorrow"}), "at"),
            (json!({"at": 7}), "at"),
            (json!({"at": "2027-11-24T22:00:01Z"}), "at"),
            (json!({"at": "9999-12-31T23:59:59Z"}), "at"),
            (json!({"delay": "10 minutes"}), "delay"),
            (json!({"delay": "P367D"}), "delay"),
            (json!({"delay": "PT18446744073709551615S"}), "delay"),
            (json!({"delay": "PT1M", "at": "2026-11-24T00:00:00Z"}), "delay"),
            (json!({"expires": "2026-11-23T22:00:00Z"}), "expires"),
            (json!({"expires": "2026-11-23T22:05:00Z", "delay": "PT10M"}), "expires"),
            (json!({"expires": "soon"}), "expires"),
            (json!({"every": "P1D", "at": "2026-11-24T00:00:00Z", "acknowledge": true}), "every"),
            (json!({"idempotencyKey": ""}), "idempotencyKey"),
            (json!({"idempotencyKey": "x".repeat(201)}), "idempotencyKey"),
            (json!({"onUncertain": "ask"}), "onUncertain"),
            (json!({"expire": "2020-01-01T00:00:00Z"}), "expire"),
        ] {
            let error = read(&change).expect_err("refused").to_string();
            assert!(error.starts_with(&format!("{path}: ")), "{change}: {error}");
        }
    }

    #[test]
    fn call_with_attachments_needs_no_text() {
        let call = read(&json!({"text": null, "activity": {"attachments": [{"contentType": "x"}]}})).unwrap();
        assert_eq!(call.text, "");
    }

    #[test]
    fn fingerprint_of_a_body_does_not_depend_on_the_order_of_members() {
        let of = |body: &str| {
            Identity::of(&Fields::parse(body.as_bytes()).unwrap(), "ci").map(|call| call.fingerprint)
        };
        let body = of(r#"{"to":{"tag":"x"},"idempotencyKey":"k"}"#);
        assert_eq!(body, of(r#" { "idempotencyKey" : "k", "to": {"tag": "x"} }"#));
        assert_ne!(body, of(r#"{"to":{"tag":"y"},"idempotencyKey":"k"}"#));
        for body in [r#"{}"#, r#"{"idempotencyKey":""}"#, r#"{"idempotencyKey":7}"#] {
            assert_eq!(of(body), None, "{body}");
        }
    }
}
