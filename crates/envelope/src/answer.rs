//! The field `answer` of an envelope (the JSON of a queue message). An envelope with this field is a *job*:
//! the envelope holds no alert, but tells the poller to pass something on to a program. There are two kinds
//! of jobs:
//!
//! - [`AnswerJob::Answer`]: a person has answered a question (an alert with buttons, for example). The poller
//!   passes the answer on to a program, and shows the answer on the *card*, the chat message with the
//!   question.
//! - [`AnswerJob::Message`]: a person has written a chat message. The poller passes the chat message on to a
//!   program.

use bot_framework::json::{FieldError, Fields, put};
use bot_framework::{ChannelAccount, ConversationReference};
use chrono::{DateTime, Utc};
use platform::Randomness;
use serde_json::{Map, Value};

use crate::{QuestionKeys, time};

/// The person who answered a question or wrote a chat message. The ids and the name come from the channel,
/// such as Teams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct By {
    /// The person's object id in Entra, if the channel itself sets this id, as Teams does. On other channels,
    /// a person's chat program could choose any id, so the value is `None`.
    pub aad_object_id: Option<String>,
    /// The person's tenant in Entra, if the channel itself sets the tenant, as Teams does.
    pub tenant: Option<String>,
    /// The name, as the channel sent it.
    pub name: Option<String>,
    /// The id on the channel.
    pub id: Option<String>,
}

impl By {
    /// Returns the person in the member `user` of a conversation's address.
    pub fn of(address: &ConversationReference) -> Self {
        Self {
            aad_object_id: address.vouched_aad_object_id().map(str::to_owned),
            tenant: address.vouched_tenant().map(str::to_owned),
            name: address.user.as_ref().and_then(ChannelAccount::name).map(str::to_owned),
            id: address.user.as_ref().map(|user| user.id.clone()),
        }
    }

    /// The JSON form: `{aadObjectId?, tenant?, name?, id?}`.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        put(&mut object, "aadObjectId", self.aad_object_id.as_deref());
        put(&mut object, "tenant", self.tenant.as_deref());
        put(&mut object, "name", self.name.as_deref());
        put(&mut object, "id", self.id.as_deref());
        object.into()
    }

    fn read(mut fields: Fields) -> Result<Self, FieldError> {
        Ok(Self {
            aad_object_id: fields.string("aadObjectId")?,
            tenant: fields.string("tenant")?,
            name: fields.string("name")?,
            id: fields.string("id")?,
        })
    }
}

/// A person's answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The id of the action that the person chose. Usually, an action is a button of the question.
    pub action: String,
    /// The text that the person wrote, for example in the input field of the action.
    pub input: Option<String>,
    /// The values that the person entered into the other fields of the card.
    pub data: Map<String, Value>,
    /// When the person answered.
    pub at: DateTime<Utc>,
    /// The person who answered.
    pub by: By,
}

impl Answer {
    /// The JSON form: `{action, input?, data?, at, by}`.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        put(&mut object, "action", Some(self.action.as_str()));
        put(&mut object, "input", self.input.as_deref());
        put(&mut object, "data", Some(self.data.clone()).filter(|data| !data.is_empty()));
        put(&mut object, "at", Some(time::to_text(self.at)));
        put(&mut object, "by", Some(self.by.to_json()));
        object
    }

    /// Reads the JSON form.
    pub fn of(mut fields: Fields) -> Result<Self, FieldError> {
        Ok(Self {
            action: fields.required_string("action")?,
            input: fields.string("input")?,
            data: fields.object("data")?.map(Fields::rest).unwrap_or_default(),
            at: time::take(&mut fields, "at")?
                .ok_or_else(|| fields.error("at", "a time in the form of RFC 3339"))?,
            by: By::read(fields.required_object("by")?)?,
        })
    }
}

impl Answer {
    /// Encrypts the answer for one place in the ledger. The ledger is the table with one record (a row about
    /// an alert) for each alert, and with other rows, such as rows for answers. [`Answer::open`] decrypts the
    /// text only for the same place. There are two kinds of places:
    ///
    /// - The answer's own row. The key of this row is `reply.<alert>.<row>`, made of the parameters `alert`
    ///   and `row`.
    /// - The record of an alert to which the answer belongs. `alert` is the id of this alert, and `row` is
    ///   empty.
    pub fn seal(&self, host: &impl Randomness, keys: &QuestionKeys, alert: &str, row: &str) -> String {
        keys.seal(host, &place(alert, row), &self.to_json().into()).unwrap_or_default()
    }

    /// Decrypts an answer. Returns `None` in three cases: the text belongs to another place, or was changed,
    /// or was encrypted with another key.
    pub fn open(keys: &QuestionKeys, alert: &str, row: &str, sealed: &str) -> Option<Self> {
        let Value::Object(object) = keys.open(&place(alert, row), sealed)? else { return None };
        Self::of(Fields::new(object, "")).ok()
    }
}

fn place(alert: &str, row: &str) -> String {
    format!("answer {alert} {row}")
}

/// The steps of an [`AnswerJob::Answer`] that are done. A later attempt does not repeat these steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps {
    /// The ledger has the answer, and the poller has cancelled the unsent alerts that the answer makes
    /// unnecessary. One example is an *escalation*: alerts that the poller sends to further conversations if
    /// no person answers.
    pub recorded: bool,
    /// The answer is on the queue of replies (`<queuename>-replies`). Programs read this queue.
    pub queued: bool,
    /// The poller no longer has to change the card. For example, the card shows the answer, or too many
    /// attempts have failed.
    pub shown: bool,
    /// The number of failed attempts to change the card.
    pub tries: u8,
}

/// A job: it passes a person's answer or chat message on to a program.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerJob {
    /// Passes a person's answer on to a program, and shows the answer on the card.
    Answer {
        /// The id of the alert to which the answer belongs.
        alert: String,
        /// The alert id in the key of the answer's row, if this id is not `alert`. For example, several
        /// alerts of one API call can share one answer. The ledger then has one row for the answer, and the
        /// key of this row contains the id of the call's first alert.
        lead: Option<String>,
        /// Whether the job only records and shows the answer, because another job passes the answer on to a
        /// program. For example, one API call sends an alert to Kim and an alert to Lee, and Kim answers. The
        /// job for Kim's alert passes the answer on. In the job for Lee's alert, `shows` is true: this job
        /// records the answer for Lee's alert, and shows the answer on Lee's card.
        shows: bool,
        /// The last part of the key of the answer's row: `<row>` in `reply.<alert>.<row>`.
        row: String,
        /// The id of the person's press of a button, or of the person's text. If two people answer a question
        /// that takes one answer, the answer's row has the id of the first press or text. A job with another
        /// id does nothing.
        press: String,
        /// The answer.
        answer: Box<Answer>,
        /// The id of the card (the chat message with the question), if the channel told the bot this id.
        card: Option<String>,
        /// The steps that are done.
        done: Steps,
    },
    /// Passes a person's chat message on to a program. The envelope's `text` is the text of the chat message.
    /// The envelope's `address` is the conversation in which the person wrote.
    Message {
        /// The person who wrote the chat message.
        by: By,
    },
}

impl AnswerJob {
    pub(crate) fn take(fields: &mut Fields) -> Result<Option<Self>, FieldError> {
        let Some(mut fields) = fields.object("answer")? else { return Ok(None) };
        let Some(alert) = fields.string("alert")? else {
            return Ok(Some(Self::Message { by: By::read(fields.required_object("by")?)? }));
        };
        let tries = fields.take("tries").and_then(|tries| tries.as_u64()).unwrap_or_default();
        Ok(Some(Self::Answer {
            alert,
            lead: fields.string("lead")?,
            shows: fields.boolean("shows")?,
            row: fields.required_string("row")?,
            press: fields.required_string("press")?,
            card: fields.string("card")?,
            done: Steps {
                recorded: fields.boolean("recorded")?,
                queued: fields.boolean("queued")?,
                shown: fields.boolean("shown")?,
                tries: u8::try_from(tries).unwrap_or(u8::MAX),
            },
            answer: Box::new(Answer::of(fields)?),
        }))
    }

    pub(crate) fn put(&self, object: &mut Map<String, Value>) {
        let json = match self {
            Self::Message { by } => Map::from_iter([("by".to_owned(), by.to_json())]),
            Self::Answer { alert, lead, shows, row, press, answer, card, done } => {
                let mut json = answer.to_json();
                put(&mut json, "alert", Some(alert.as_str()));
                put(&mut json, "lead", lead.as_deref());
                put(&mut json, "shows", shows.then_some(true));
                put(&mut json, "row", Some(row.as_str()));
                put(&mut json, "press", Some(press.as_str()));
                put(&mut json, "card", card.as_deref());
                for (name, is_done) in
                    [("recorded", done.recorded), ("queued", done.queued), ("shown", done.shown)]
                {
                    put(&mut json, name, is_done.then_some(true));
                }
                put(&mut json, "tries", Some(done.tries).filter(|tries| *tries > 0));
                json
            }
        };
        put(object, "answer", Some(json));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn job_of_any_kind_is_the_same_after_encoding_and_decoding() {
        let answer = Answer {
            action: "reject".into(),
            input: Some("too late".into()),
            data: Map::from_iter([("size".to_owned(), json!("L"))]),
            at: "2026-11-27T09:12:44.123Z".parse().unwrap(),
            by: By { name: Some("Kim".into()), ..By::default() },
        };
        let job = AnswerJob::Answer {
            alert: "0a26".into(),
            lead: Some("0a25".into()),
            shows: true,
            row: "one".into(),
            press: "p".into(),
            answer: Box::new(answer),
            card: Some("1764".into()),
            done: Steps { recorded: true, tries: 2, ..Steps::default() },
        };
        let message = AnswerJob::Message { by: By { id: Some("29:u".into()), ..By::default() } };
        for job in [job, message] {
            let mut object = Map::new();
            job.put(&mut object);
            let mut fields = Fields::parse(Value::Object(object).to_string().as_bytes()).unwrap();
            assert_eq!(AnswerJob::take(&mut fields), Ok(Some(job)));
        }
        assert_eq!(AnswerJob::take(&mut Fields::new(Map::new(), "")), Ok(None));
    }
}
