//! The `value` of a trigger activity: how an envelope comes to the bot over Direct Line, as in the 2017 template.

use bot_framework::json::Fields;
use serde_json::{Value, json};

use crate::{Arrival, DecodeError, Envelope, EnvelopeId, SealKey, SealState, codec, json_of};

impl Envelope {
    /// The `value` that carries this envelope, which stands on the queue as `text`.
    ///
    /// Both templates find what they know: Node `address` and `text`, C# `Message`. That one holds the queue's own JSON as a
    /// string, because a seal would not survive a hop that writes objects anew (.NET reads strings that look like times
    /// as times, and drops the zeros at their ends). `id` is for a message that does not name itself.
    pub fn trigger_value(&self, text: &str) -> Value {
        // It was read before, or there would be no envelope.
        let message = json_of(text).unwrap_or_default();
        json!({
            "Source": "proactive-bot",
            "Message": message,
            "id": self.id.as_str(),
            "address": self.address.to_json(),
            "text": self.text,
        })
    }

    /// Reads a `value`: an envelope of any shape, as an object or as text; or the C# template's `{Source, Message}`, where
    /// Message is one.
    pub fn decode_trigger(
        value: &Value,
        key: Option<&SealKey>,
        mut arrival: Arrival,
    ) -> Result<(Self, SealState), DecodeError> {
        let find = |name: &str| {
            let mut entries = value.as_object()?.iter();
            entries
                .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null())
                .map(|(_, value)| value)
        };
        let Some(message) = find("message") else { return decode(value, key, arrival) };
        if let Some(id) = find("id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
            arrival.id = EnvelopeId::from_text(id);
        }
        decode(message, key, arrival)
    }
}

fn decode(
    value: &Value,
    key: Option<&SealKey>,
    arrival: Arrival,
) -> Result<(Envelope, SealState), DecodeError> {
    match value {
        Value::String(text) => Envelope::decode(text, key, arrival),
        Value::Object(object) => codec::from_fields(Fields::new(object.clone(), ""), key, arrival),
        _ => Err(DecodeError::NotJson),
    }
}
