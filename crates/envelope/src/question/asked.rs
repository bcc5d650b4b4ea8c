//! The question of an alert, in the encrypted form that the ledger (the table of all alerts) stores. When a
//! person has answered, the bot and the poller read the stored question. Both use the stored question to show
//! the answer on the card (the chat message with the question). The poller also sends the answer to the back
//! end of the alert's sender.

use bot_framework::json::{FieldError, Fields, put};
use chrono::{DateTime, Utc};
use platform::Randomness;
use serde_json::{Map, Value, json};

use super::{Question, QuestionKeys};
use crate::time;

/// The maximum length of a stored question, in bytes of JSON. After encryption and base64, a question of this
/// length fits into one property of a table.
pub const MAX_ASKED_BYTES: usize = 24 * 1024 - 64;

/// A question with the further data that the ledger stores.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The buttons, and how many answers the question takes.
    pub question: Question,
    /// When the question ends.
    pub until: DateTime<Utc>,
    /// The text of the alert, without the `Alert:` that the bot adds in front.
    pub text: String,
    /// Further members of the alert's activity, such as `attachments`.
    pub activity: Map<String, Value>,
    /// The URL of the sender's back end, to which the poller posts the answer.
    pub callback: Option<String>,
    /// The alert key (the member `key` of the API call), as the alert's sender wrote it.
    pub key: Option<String>,
    /// The ids of the alerts of the *escalation*. The poller sends these alerts to further conversations if
    /// no person answers. So an answer cancels these alerts.
    pub escalations: Vec<String>,
    /// Whether other alerts share the answer. The other alerts are in the same API call, or in the escalation
    /// of this call.
    pub shared: bool,
}

impl Asked {
    /// The JSON form.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        put(&mut object, "question", Some(self.question.to_json()));
        put(&mut object, "until", Some(time::to_text(self.until)));
        put(&mut object, "text", Some(self.text.as_str()).filter(|text| !text.is_empty()));
        put(&mut object, "activity", Some(self.activity.clone()).filter(|activity| !activity.is_empty()));
        put(&mut object, "callback", self.callback.as_deref());
        put(&mut object, "key", self.key.as_deref());
        put(&mut object, "escalations", (!self.escalations.is_empty()).then(|| json!(self.escalations)));
        put(&mut object, "shared", self.shared.then_some(true));
        object.into()
    }

    fn read(mut fields: Fields) -> Result<Self, FieldError> {
        let escalations = match fields.take("escalations") {
            Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            question: Question::of(fields.required_object("question")?)?,
            until: time::take(&mut fields, "until")?
                .ok_or_else(|| fields.error("until", "a time in the form of RFC 3339"))?,
            text: fields.string("text")?.unwrap_or_default(),
            activity: fields.object("activity")?.map(Fields::rest).unwrap_or_default(),
            callback: fields.string("callback")?,
            key: fields.string("key")?,
            escalations,
            shared: fields.boolean("shared")?,
        })
    }

    /// The ledger has one row for each answer. Returns the alert id in the key of such a row. This id is the
    /// question's `lead`. If the question has no `lead`, this id is `alert`, the id of the question's alert.
    pub fn lead<'a>(&'a self, alert: &'a str) -> &'a str {
        self.question.lead.as_deref().unwrap_or(alert)
    }

    /// Encrypts the question of an alert. If the question is longer than [`MAX_ASKED_BYTES`], the function
    /// returns an error with the number of bytes.
    pub fn seal(&self, host: &impl Randomness, keys: &QuestionKeys, alert: &str) -> Result<String, usize> {
        let json = self.to_json();
        let bytes = json.to_string().len();
        if bytes > MAX_ASKED_BYTES {
            return Err(bytes);
        }
        // Without keys, the result is an empty text. This does no harm: without keys, the bot accepts no
        // press of a button, and so it never reads a stored question.
        Ok(keys.seal(host, &place(alert), &json).unwrap_or_default())
    }

    /// Decrypts the question of an alert. Returns `None` in three cases: the text belongs to another alert,
    /// or was changed, or was encrypted with another key.
    pub fn open(keys: &QuestionKeys, alert: &str, sealed: &str) -> Option<Self> {
        let Value::Object(object) = keys.open(&place(alert), sealed)? else { return None };
        Self::read(Fields::new(object, "")).ok()
    }
}

fn place(alert: &str) -> String {
    format!("question {alert}")
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::super::Action;
    use super::*;

    #[test]
    fn stored_question_opens_only_for_its_own_alert_and_is_refused_if_too_long() {
        let host = FakeHost::default();
        let keys = QuestionKeys::new(&[[[1; 32], [2; 32]]]);
        let asked = Asked {
            question: Question { actions: vec![Action::acknowledge()], ..Question::default() },
            until: "2026-11-27T09:12:44Z".parse().unwrap(),
            text: "Deploy?".into(),
            activity: Map::from_iter([("summary".to_owned(), json!("s"))]),
            callback: Some("https://ci.example.com/".into()),
            key: Some("deploy/1".into()),
            escalations: vec!["0a26".into()],
            shared: true,
        };
        let sealed = asked.seal(&host, &keys, "a").unwrap();
        assert_eq!(Asked::open(&keys, "a", &sealed), Some(asked.clone()));
        assert_eq!(Asked::open(&keys, "b", &sealed), None);
        let long = |length| Asked { text: "x".repeat(length), ..asked.clone() };
        let most = MAX_ASKED_BYTES - asked.to_json().to_string().len() + asked.text.len();
        let sealed = long(most).seal(&host, &keys, "a").unwrap();
        assert!(sealed.encode_utf16().count() <= 32_768, "{}", sealed.len());
        assert_eq!(long(most + 1).seal(&host, &keys, "a"), Err(MAX_ASKED_BYTES + 1));
    }
}
