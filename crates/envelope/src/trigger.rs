//! The `value` of a trigger activity. A *trigger activity* brings an *envelope* (an alert as JSON) to the bot
//! over Direct Line, a channel of the Bot Framework. The poller sends trigger activities if
//! `delivery=directline`. The Azure Functions of Microsoft's 2017 bot templates sent trigger activities, too.

use bot_framework::json::Fields;
use serde_json::{Value, json};

use crate::{Arrival, DecodeError, Envelope, EnvelopeId, SealKey, SealState, codec, json_of};

impl Envelope {
    /// Makes the `value` that carries this envelope. The parameter `text` is the text of the queue message
    /// with the envelope.
    ///
    /// The bots of both 2017 templates can read this value: the Node.js bot reads `address` and `text` (the
    /// text of the alert), and the C# bot reads `Message`. This bot reads `Message`, too. A queue message of
    /// an older bot contains no id. For such a message, this bot takes the id from the member `id` beside
    /// `Message`.
    ///
    /// `Message` is the JSON of the queue message as a string. If `Message` were an object, a program on the
    /// way could parse the object, and write the data in another form. The other form would break the seal
    /// (the HMAC of the envelope). For example, .NET parses a string that looks like a time, and drops the
    /// zeros at the end of the seconds.
    pub fn trigger_value(&self, text: &str) -> Value {
        // This call does not fail, because the caller has already decoded the text into this envelope.
        let message = json_of(text).unwrap_or_default();
        json!({
            "Source": "proactive-bot",
            "Message": message,
            "id": self.id.as_str(),
            "address": self.address.to_json(),
            "text": self.text,
        })
    }

    /// Reads the envelope in a `value`. If the `value` has a member `Message`, this member is the envelope,
    /// because the C# template wrote an object with `Source` and `Message`. Otherwise the `value` itself is
    /// the envelope.
    ///
    /// The envelope can be of version 1 or of an older shape. The envelope can be a JSON object, or a text
    /// that [`json_of`] reads.
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
