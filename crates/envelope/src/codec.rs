//! Between an [`Envelope`] and the text of a queue message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bot_framework::ConversationReference;
use bot_framework::json::{FieldError, Fields, put};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{Delivery, Envelope, EnvelopeId, Failure, OnUncertain, SealKey, SealState, VERSION, time};

/// The longest JSON: base64 makes 64 KiB of it, which is the longest message that Azure takes
/// (<https://learn.microsoft.com/rest/api/storageservices/put-message>).
pub const MAX_JSON_BYTES: usize = 48 * 1024;

/// The envelope does not fit into a queue message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the envelope has {json_bytes} bytes, the queue takes {MAX_JSON_BYTES}")]
pub struct TooLarge {
    /// How long its JSON is.
    pub json_bytes: usize,
}

/// The text of a queue message is no envelope that this code can read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Neither JSON nor base64 of UTF-8 JSON.
    #[error("neither a JSON object nor base64 of one")]
    NotJson,
    /// Written by a newer producer.
    #[error("version {0} is not supported, this reads version {VERSION}")]
    UnsupportedVersion(u64),
    /// A field is missing or of the wrong type.
    #[error("{0}")]
    Field(#[from] FieldError),
}

impl Envelope {
    /// The text of the queue message, sealed if there is a key.
    pub fn encode(&self, key: Option<&SealKey>) -> Result<String, TooLarge> {
        self.encode_with(key, None)
    }

    /// The text for the poison queue: with the reason why it is there.
    pub fn encode_failed(&self, key: Option<&SealKey>, failure: &Failure) -> Result<String, TooLarge> {
        self.encode_with(key, Some(failure))
    }

    fn encode_with(&self, key: Option<&SealKey>, failure: Option<&Failure>) -> Result<String, TooLarge> {
        let mut object = self.to_json();
        put(&mut object, "failure", failure.map(Failure::to_json));
        if let Some(key) = key {
            let seal = key.seal(&object);
            put(&mut object, "seal", Some(seal));
        }
        let json = Value::Object(object).to_string();
        if json.len() > MAX_JSON_BYTES {
            Err(TooLarge { json_bytes: json.len() })
        } else {
            Ok(STANDARD.encode(json))
        }
    }

    /// Reads the text of a queue message: base64 of JSON, or JSON itself, with or without a byte order mark.
    pub fn decode(text: &str, key: Option<&SealKey>) -> Result<(Self, SealState), DecodeError> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{FEFF}');
        // No valid base64 begins with a brace, so one look tells the two apart.
        if text.starts_with('{') {
            return Self::from_json(text.as_bytes(), key);
        }
        Self::from_json(&STANDARD.decode(text).map_err(|_| DecodeError::NotJson)?, key)
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut object = self.rest.clone();
        put(&mut object, "version", Some(VERSION));
        put(&mut object, "id", Some(self.id.as_str()));
        put(&mut object, "address", Some(self.address.to_json()));
        put(&mut object, "text", Some(self.text.as_str()));
        put(&mut object, "enqueuedAt", Some(time::to_text(self.enqueued_at)));
        put(&mut object, "notBefore", self.not_before.map(time::to_text));
        put(&mut object, "expires", self.expires.map(time::to_text));
        self.on_uncertain.put(&mut object);
        self.delivery.put(&mut object);
        object
    }

    fn from_json(json: &[u8], key: Option<&SealKey>) -> Result<(Self, SealState), DecodeError> {
        let mut fields = Fields::parse(json).map_err(|_| DecodeError::NotJson)?;
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
        let envelope = Self {
            id: EnvelopeId::from_text(fields.required_string("id")?),
            address: ConversationReference::from_fields(fields.required_object("address")?)?,
            text: fields.string("text")?.unwrap_or_default(),
            enqueued_at: time::take(&mut fields, "enqueuedAt")?
                .ok_or_else(|| fields.error("enqueuedAt", "a time as of RFC 3339"))?,
            not_before: time::take(&mut fields, "notBefore")?,
            expires: time::take(&mut fields, "expires")?,
            on_uncertain: OnUncertain::take(&mut fields)?,
            delivery: Delivery::take(&mut fields)?,
            rest: fields.rest(),
        };
        Ok((envelope, state))
    }
}
