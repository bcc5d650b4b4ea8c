//! The format of a queue message. Usually, a queue message is an alert with the address of its conversation.
//! In this crate, a *message* is a queue message, and a *producer* is a program that writes messages to the
//! queue. A message that people see is called a chat message. The module [`words`] has the texts that people
//! read in chats.
//!
//! Use this crate to write a message for the queue ([`Envelope::encode`]), to read a message
//! ([`Envelope::decode`], [`Envelope::decode_trigger`]), and to seal a message ([`SealKey`]). A *seal* is an
//! HMAC that only the bot and the poller can make. The crate never calls the queue, and does not decide
//! whether an address is trusted. Only [`is_run_at_work`] does I/O: this function reads the key-value
//! store once, to find out whether a run (one execution of the poller) is at work.
//!
//! On the queue, a message is UTF-8 JSON in base64, the default of Azure Functions. The JSON has at most
//! [`MAX_JSON_BYTES`]. The fields of the JSON are `version`, `seal`, and the fields of [`Envelope`]. Every
//! message has the fields `address` and `text`. The Azure Function of Microsoft's Node.js template of 2017
//! uses only these two fields. So this Azure Function can still read the messages.
//!
//! The crate also reads the messages of older bots, such as the bots of Microsoft's templates of 2017.
//! [`Shape`] lists the shapes of the JSON, and [`json_of`] lists the encodings around the JSON. The files in
//! `tests/golden/` show each shape.
#![warn(missing_docs)]

mod answer;
mod arrival;
mod codec;
mod creation;
mod decode_error;
mod delivery;
mod failure;
mod following;
mod id;
mod keyed;
mod legacy;
mod look;
mod message;
mod question;
mod run;
mod seal;
mod series;
mod shape;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod trigger;
pub mod words;
mod wrapping;

use std::borrow::Cow;

use bot_framework::ConversationReference;
use chrono::{DateTime, TimeDelta, Utc};
use platform::{Traceparent, name_of};
use serde_json::{Map, Value};

pub use answer::{Answer, AnswerJob, By, Steps};
pub use arrival::Arrival;
pub use codec::{MAX_JSON_BYTES, TooLarge};
pub use creation::{Creation, CreationOf};
pub use decode_error::DecodeError;
pub use delivery::{Delivery, OnUncertain};
pub use failure::{Failure, FailureNote};
pub use id::EnvelopeId;
pub use keyed::{Again, KeyState, Keyed};
pub use look::Look;
pub use question::{
    ACKNOWLEDGE, Action, Answers, Asked, ButtonData, Looks, MAX_ASKED_BYTES, Press, Question, QuestionKeys,
    REPLY, Style, can_change, card_of, filled_in, line,
};
pub use run::{is_run_at_work, run_record_key};
pub use seal::{SealKey, SealState, Unsealed};
pub use series::Series;
pub use shape::Shape;
pub use wrapping::json_of;

/// The version of the format. This code writes only this version, and reads no other version. Messages of
/// older bots have no version.
pub const VERSION: u64 = 1;

/// The content of a queue message: one alert with the address of its conversation, or a job (see `answer`).
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// `id`: the id of this alert. It never changes. Two queue messages with the same id are duplicates.
    pub id: EnvelopeId,
    /// `address`: the conversation to send the alert to.
    pub address: ConversationReference,
    /// `text`: the text of the alert.
    pub text: String,
    /// `activity`: further members of the activity (the chat message as JSON).
    /// [`bot_framework::MORE_MEMBERS`] lists the possible members.
    pub activity: Map<String, Value>,
    /// `format`, `mentions`: how the alert looks.
    pub look: Look,
    /// `series`: the series to which the alert belongs, if the alert recurs.
    pub series: Option<Series>,
    /// `enqueuedAt`: the time at which the bot accepted the alert. In a series, the poller makes the later
    /// alerts, and `enqueuedAt` is the time at which the poller made the alert. For messages of older bots,
    /// see [`Arrival::at`].
    pub enqueued_at: DateTime<Utc>,
    /// `notBefore`: the earliest time at which the poller may deliver the alert.
    pub not_before: Option<DateTime<Utc>>,
    /// `expires`: the latest time at which the poller may deliver the alert.
    pub expires: Option<DateTime<Utc>>,
    /// `cancellable`: whether the alert can be cancelled. If so, the poller looks for a cancellation before
    /// it sends the alert.
    pub cancellable: bool,
    /// `stoppable`: whether a person's command `stop` also stops this alert. Alerts of programs are
    /// stoppable. Alerts that the bot makes from the person's own chat messages, such as reminders, are not.
    pub stoppable: bool,
    /// `once`: the queue can hold several messages with this id. The poller must deliver at most one of these
    /// messages.
    pub once: bool,
    /// `onUncertain`: whether the poller tries again after an attempt with no clear result.
    pub on_uncertain: OnUncertain,
    /// `keyed`: what the poller does with a chat message that the conversation already shows.
    pub keyed: Option<Keyed>,
    /// `traceparent`: the W3C header of the request that made the alert. HTTP calls and log lines about the
    /// alert have the trace id of this header.
    pub traceparent: Option<Traceparent>,
    /// `question`: the buttons of the alert, and the rules for people's answers.
    pub question: Option<Question>,
    /// The answer that a changed chat message has to show. This field is set if the envelope changes an alert
    /// that a person has already answered. The poller reads the answer from the ledger (the table of all
    /// alerts). The queue message does not contain this field.
    pub answered: Option<Box<Answer>>,
    /// `answer`: if set, the envelope is a *job*, and not an alert. A job tells the poller to pass a person's
    /// answer or chat message on to a program.
    pub answer: Option<AnswerJob>,
    /// `unlessAnswered`: the ids of other alerts. If a person has answered one of these alerts, the poller
    /// does not send this alert.
    pub unless_answered: Vec<String>,
    /// `creation`: the conversation that the poller has to create or find before it sends the alert.
    pub creation: Option<Creation>,
    /// `delivery`: the poller's attempts so far.
    pub delivery: Delivery,
    /// Fields that this code does not know, from a newer bot or another producer. [`Envelope::encode`] writes
    /// these fields unchanged.
    pub rest: Map<String, Value>,
    /// The shape of the message that was read. [`Envelope::encode`] always writes version 1.
    pub shape: Shape,
}

/// How long people can answer a question that has no `expires`. The ledger keeps the alert's record at least
/// for this time.
pub const ANSWERED_WITHIN: TimeDelta = TimeDelta::days(7);

/// Returns the time at which a question ends. This time is `expires`, if `expires` is set. Otherwise, the
/// question ends [`ANSWERED_WITHIN`] after the bot accepted the alert. If the alert is due later, the
/// question ends [`ANSWERED_WITHIN`] after the due time.
pub fn end_of_question(
    accepted_at: DateTime<Utc>,
    due: Option<DateTime<Utc>>,
    expires: Option<DateTime<Utc>>,
) -> DateTime<Utc> {
    let begin = due.map_or(accepted_at, |due| due.max(accepted_at));
    expires.unwrap_or_else(|| begin.checked_add_signed(ANSWERED_WITHIN).unwrap_or(begin))
}

impl Envelope {
    /// Returns the text of the alert and the further members of its activity, in the form that the channel
    /// gets. If the alert has a question, the result can also contain the buttons or the answer. `keys` make
    /// the MACs of the buttons. A MAC proves that the bot made the button. Without `keys`, the question has
    /// no buttons.
    pub fn shown(&self, keys: Option<&QuestionKeys>) -> (String, Cow<'_, Map<String, Value>>) {
        let address = &self.address;
        let words = words::Words::of(address);
        let text = words.alert(&self.text);
        let (Some(question), Some(keys)) = (&self.question, keys) else {
            return (text, Cow::Borrowed(&self.activity));
        };
        let looks = Looks::of(&address.channel_id);
        if let Some(answer) = &self.answered {
            if looks == Looks::Text {
                return (text, Cow::Borrowed(&self.activity));
            }
            let line = question.line(answer, words);
            let (text, activity) = question.show_answered(looks, &text, &self.activity, words, &line, None);
            return (text, Cow::Owned(activity));
        }
        let conversation = name_of(&[&address.channel_id, &address.conversation.id]);
        let until = self.question_until();
        let data = |action: &str| {
            let press = Press {
                alert: self.question_alert().to_owned(),
                lead: question.lead.clone(),
                conversation: conversation.clone(),
                action: action.to_owned(),
                answers: question.answers,
                until,
            };
            press.data(keys)
        };
        let (text, activity) = question.show(looks, &text, &self.activity, words, data);
        (text, Cow::Owned(activity))
    }

    /// `enqueuedAt` as text.
    pub fn enqueued_at_text(&self) -> String {
        time::to_text(self.enqueued_at)
    }

    /// Returns the id of the alert to which people's answers belong. If this envelope changes the chat
    /// message of an earlier alert, the result is the id of the earlier alert. Otherwise, the result is the
    /// id of this envelope.
    pub fn question_alert(&self) -> &str {
        let of_question = self.question.as_ref().and_then(|question| question.alert.as_deref());
        of_question.unwrap_or(self.id.as_str())
    }

    /// Returns the time at which the question of the alert ends.
    pub fn question_until(&self) -> DateTime<Utc> {
        let of_question = self.question.as_ref().and_then(|question| question.until);
        of_question.unwrap_or_else(|| self.question_end())
    }

    fn question_end(&self) -> DateTime<Utc> {
        end_of_question(self.enqueued_at, self.not_before, self.expires)
    }

    /// Makes an envelope without optional fields.
    pub fn new(
        id: EnvelopeId,
        address: ConversationReference,
        text: impl Into<String>,
        enqueued_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            address,
            text: text.into(),
            activity: Map::new(),
            look: Look::default(),
            series: None,
            enqueued_at,
            not_before: None,
            expires: None,
            cancellable: false,
            stoppable: false,
            once: false,
            on_uncertain: OnUncertain::default(),
            keyed: None,
            traceparent: None,
            question: None,
            answered: None,
            answer: None,
            unless_answered: Vec::new(),
            creation: None,
            delivery: Delivery::default(),
            rest: Map::new(),
            shape: Shape::Version1,
        }
    }
}
