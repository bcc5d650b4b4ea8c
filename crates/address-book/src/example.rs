//! The conversation that the tests speak of: a personal one, in a tenant, of a person with an id in Entra.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use platform::testing::{FakeHost, run};
use serde_json::{Value, json};

use crate::book::{AddressBook, Sign};
use crate::key::ConversationKey;
use crate::record::Record;

fn reference(json: &Value) -> ConversationReference {
    ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
}

fn personal() -> Value {
    json!({
        "id": "7", "channelId": "msteams", "serviceUrl": "https://smba.trafficmanager.net/amer/", "locale": "de",
        "user": {"id": "29:u", "aadObjectId": "e5"}, "bot": {"id": "28:b"},
        "conversation": {"id": "a:1", "conversationType": "personal", "tenantId": "t"}, "serviceUrlVerified": true,
    })
}

/// The reference to it, or to another one that differs by this.
pub(crate) fn with(change: impl FnOnce(&mut Value)) -> ConversationReference {
    let mut json = personal();
    change(&mut json);
    reference(&json)
}

/// Its key.
pub(crate) fn key() -> ConversationKey {
    ConversationKey::of(&reference(&personal()))
}

pub(crate) fn hear(host: &FakeHost, reference: &ConversationReference, sign: Sign) {
    run(AddressBook::new(host).hear(reference, sign)).unwrap();
}

/// Its record.
pub(crate) fn record(host: &FakeHost) -> Record {
    run(AddressBook::new(host).get(&key())).unwrap().expect("a record")
}
