//! The `value` of a trigger activity, which carries an envelope to the bot over Direct Line. The Azure
//! Functions of the 2017 templates sent such activities.

use bot_framework::json::Fields;
use serde_json::{Value, json};

use crate::{Arrival, DecodeError, Envelope, EnvelopeId, SealKey, SealState, codec, json_of};

impl Envelope {
    /// The `value` that carries this envelope. `text` is the text of its queue message.
    ///
    /// The bots of both 2017 templates find the fields that they know: the Node.js bot `address` and `text`,
    /// the C# bot `Message`. `Message` is a string with the JSON of the queue message. It is not an object,
    /// because a program on the way may read an object, write it again, and so break the seal. For example,
    /// .NET reads a string that looks like a time as a time, and drops the zeros at its end. `id` is for a
    /// message that contains no id.
    pub fn trigger_value(&self, text: &str) -> Value {
        // There is an envelope, so the text was decoded before, and this call does not fail.
        let message = json_of(text).unwrap_or_default();
        json!({
            "Source": "proactive-bot",
            "Message": message,
            "id": self.id.as_str(),
            "address": self.address.to_json(),
            "text": self.text,
        })
    }

    /// Reads a `value`: an envelope of any shape, as an object or as text. The envelope may also be in the
    /// member `Message`, as in the `{Source, Message}` of the C# template.
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
