//! Encodes an [`Envelope`] (usually one alert) as the text of a queue message, and decodes such a text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bot_framework::ConversationReference;
use bot_framework::json::{Fields, put};
use platform::Traceparent;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::decode_error::DecodeError;
use crate::legacy;
use crate::shape::Shape;
use crate::wrapping::json_of;
use crate::{
    AnswerJob, Arrival, Creation, Delivery, Envelope, EnvelopeId, Failure, Keyed, Look, OnUncertain,
    Question, SealKey, SealState, Series, VERSION, question, time,
};

/// The maximum length of an envelope's JSON, in bytes. The base64 of this JSON has 64 KiB, the maximum length
/// of a queue message in Azure (<https://learn.microsoft.com/rest/api/storageservices/put-message>).
pub const MAX_JSON_BYTES: usize = 48 * 1024;

/// The JSON of the mark `once`. The mark tells the poller that the queue can hold the envelope twice. For
/// example, the bot puts an envelope without the mark on the queue, and the response of the queue is lost.
/// The bot then puts the envelope on the queue again, with the mark. So every envelope must have room for the
/// mark.
const ONCE: &str = r#","once":true"#;

/// The error for an envelope that is too long for a queue message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("envelope: expected at most {MAX_JSON_BYTES} bytes of JSON, found {json_bytes}")]
pub struct TooLarge {
    /// The length of the envelope's JSON, in bytes.
    pub json_bytes: usize,
}

impl Envelope {
    /// Returns the text of the queue message. If `key` is set, the text has a *seal* (an HMAC over the other
    /// fields). If the text is too long, the function leaves out `traceparent`, because an alert without a
    /// trace is better than no alert. The text always has room for the mark `once`.
    pub fn encode(&self, key: Option<&SealKey>) -> Result<String, TooLarge> {
        self.encode_with(key, None)
    }

    /// Returns the text for the poison queue (the queue of messages that the poller could not deliver).
    /// `failure` contains the reason.
    pub fn encode_failed(&self, key: Option<&SealKey>, failure: &Failure) -> Result<String, TooLarge> {
        self.encode_with(key, Some(failure))
    }

    fn encode_with(&self, key: Option<&SealKey>, failure: Option<&Failure>) -> Result<String, TooLarge> {
        let mut object = self.to_json();
        put(&mut object, "failure", failure.map(Failure::to_json));
        let json = match key {
            Some(key) => key.sealed_json(&object),
            // This call does not fail, because all names of fields are strings, and the call writes into
            // memory.
            None => serde_json::to_vec(&object).unwrap_or_default(),
        };
        let is_marked = self.once || failure.is_some();
        let json_bytes = json.len() + if is_marked { 0 } else { ONCE.len() };
        if json_bytes <= MAX_JSON_BYTES {
            return Ok(STANDARD.encode(json));
        }
        match self.traceparent {
            Some(_) => Self { traceparent: None, ..self.clone() }.encode_with(key, failure),
            None => Err(TooLarge { json_bytes }),
        }
    }

    /// Reads the text of a queue message. The text can have every encoding that [`json_of`] lists, such as
    /// base64. If the JSON has neither a `version` nor a `seal`, the function expects a message of an older
    /// bot. Such a message contains no id and no time, so the function takes both from `arrival`.
    pub fn decode(
        text: &str,
        key: Option<&SealKey>,
        arrival: Arrival,
    ) -> Result<(Self, SealState), DecodeError> {
        from_fields(Fields::parse(json_of(text)?.as_bytes()).map_err(|_| DecodeError::NotJson)?, key, arrival)
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut object = self.rest.clone();
        put(&mut object, "version", Some(VERSION));
        put(&mut object, "id", Some(self.id.as_str()));
        put(&mut object, "address", Some(self.address.to_json()));
        put(&mut object, "text", Some(self.text.as_str()));
        put(&mut object, "activity", Some(self.activity.clone()).filter(|activity| !activity.is_empty()));
        self.look.put(&mut object);
        Series::put(self.series.as_ref(), &mut object);
        put(&mut object, "enqueuedAt", Some(time::to_text(self.enqueued_at)));
        put(&mut object, "notBefore", self.not_before.map(time::to_text));
        put(&mut object, "expires", self.expires.map(time::to_text));
        for (name, value) in
            [("cancellable", self.cancellable), ("stoppable", self.stoppable), ("once", self.once)]
        {
            put(&mut object, name, value.then_some(true));
        }
        self.on_uncertain.put(&mut object);
        Keyed::put(self.keyed.as_ref(), &mut object);
        put(&mut object, "traceparent", self.traceparent.as_ref().map(Traceparent::to_string));
        put(&mut object, "question", self.question.as_ref().map(Question::to_json));
        if let Some(answer) = &self.answer {
            answer.put(&mut object);
        }
        question::put_unless_answered(&mut object, &self.unless_answered);
        put(&mut object, "creation", self.creation.as_ref().map(Creation::to_json));
        self.delivery.put(&mut object);
        object
    }
}

pub(crate) fn from_fields(
    fields: Fields,
    key: Option<&SealKey>,
    arrival: Arrival,
) -> Result<(Envelope, SealState), DecodeError> {
    // Messages of older bots have no seal. If an envelope has a seal but no version, a program has removed
    // the version. In this case, `version_1` returns an error.
    if fields.as_object().contains_key("version") || fields.as_object().contains_key("seal") {
        return version_1(fields, key);
    }
    Ok((legacy::read(fields.rest(), arrival)?, SealState::Missing))
}

fn version_1(mut fields: Fields, key: Option<&SealKey>) -> Result<(Envelope, SealState), DecodeError> {
    let seal = fields.string("seal")?;
    let state = match (key, &seal) {
        (_, None) => SealState::Missing,
        (None, Some(_)) => SealState::Unchecked,
        (Some(key), Some(seal)) => key.check(fields.as_object(), seal),
    };
    match fields.take("version").as_ref().and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(other) => return Err(DecodeError::UnsupportedVersion(other)),
        None => return Err(fields.error("version", "a whole number").into()),
    }
    let envelope = Envelope {
        id: EnvelopeId::from_text(fields.required_string("id")?),
        address: ConversationReference::from_fields(fields.required_object("address")?)?,
        text: fields.string("text")?.unwrap_or_default(),
        activity: fields.object("activity")?.map(Fields::rest).unwrap_or_default(),
        look: Look::take(&mut fields)?,
        series: Series::take(&mut fields)?,
        enqueued_at: time::take(&mut fields, "enqueuedAt")?
            .ok_or_else(|| fields.error("enqueuedAt", "a time in the form of RFC 3339"))?,
        not_before: time::take(&mut fields, "notBefore")?,
        expires: time::take(&mut fields, "expires")?,
        cancellable: fields.boolean("cancellable")?,
        stoppable: fields.boolean("stoppable")?,
        once: fields.boolean("once")?,
        on_uncertain: OnUncertain::take(&mut fields)?,
        keyed: Keyed::take(&mut fields)?,
        traceparent: take_traceparent(&mut fields),
        question: Question::take(&mut fields)?,
        answered: None,
        answer: AnswerJob::take(&mut fields)?,
        unless_answered: question::take_unless_answered(&mut fields)?,
        creation: Creation::take(&mut fields)?,
        delivery: Delivery::take(&mut fields)?,
        rest: fields.rest(),
        shape: Shape::Version1,
    };
    Ok((envelope, state))
}

/// Takes the `traceparent`, if it is valid. An invalid `traceparent` stays in `rest`, with the unknown
/// fields. The poller then sends the alert without a trace.
fn take_traceparent(fields: &mut Fields) -> Option<Traceparent> {
    let trace = fields.as_object().get("traceparent")?.as_str().and_then(Traceparent::parse)?;
    fields.take("traceparent");
    Some(trace)
}
