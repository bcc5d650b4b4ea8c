//! The queue message: what somebody wants said, with the address of the conversation in which to say it.
//!
//! On the queue it is base64 (the Azure Functions default) of UTF-8 JSON, at most [`MAX_JSON_BYTES`] before base64; a
//! superset of the 2017 Node.js template's `{address, text}`, so that an old function can still read it. The JSON's
//! fields are those of [`Envelope`], plus `version` and `seal`. What older bots wrote is read too: see [`Shape`], and
//! [`json_of`] for what may be around the JSON.
#![warn(missing_docs)]

mod arrival;
mod codec;
mod delivery;
mod failure;
mod id;
mod legacy;
mod run;
mod seal;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod trigger;
pub mod words;
mod wrapping;

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

pub use arrival::Arrival;
pub use codec::{DecodeError, MAX_JSON_BYTES, TooLarge};
pub use delivery::{Delivery, OnUncertain};
pub use failure::Failure;
pub use id::EnvelopeId;
pub use legacy::Shape;
pub use run::{LONGEST_HOLD, is_run_at_work, run_holds_until, run_record_key};
pub use seal::{SealKey, SealState, Unsealed};
pub use wrapping::json_of;

/// The version that this code writes, and the latest that it reads.
pub const VERSION: u64 = 1;

/// One alert, addressed.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// `id`: names this alert for ever; duplicates are told by it.
    pub id: EnvelopeId,
    /// `address`: where to say it.
    pub address: ConversationReference,
    /// `text`: what to say.
    pub text: String,
    /// `activity`: what to send beside the text, of [`bot_framework::MORE_MEMBERS`].
    pub activity: Map<String, Value>,
    /// `enqueuedAt`: when it was put on the queue.
    pub enqueued_at: DateTime<Utc>,
    /// `notBefore`: not to be said earlier.
    pub not_before: Option<DateTime<Utc>>,
    /// `expires`: not to be said later.
    pub expires: Option<DateTime<Utc>>,
    /// `cancellable`: it may have been cancelled; the ledger says so.
    pub cancellable: bool,
    /// `stoppable`: somebody else than the person wants it said, so the person's `stop` holds it back.
    pub stoppable: bool,
    /// `once`: the queue may hold it several times, under the same id.
    pub once: bool,
    /// `onUncertain`: what to do when nobody knows whether it was delivered.
    pub on_uncertain: OnUncertain,
    /// `delivery`: what the poller has tried so far.
    pub delivery: Delivery,
    /// Fields of later versions and other producers: they survive.
    pub rest: Map<String, Value>,
    /// How it stood on the queue. Whatever that was, it is written as version 1.
    pub shape: Shape,
}

impl Envelope {
    /// An envelope with nothing but what every envelope has.
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
            enqueued_at,
            not_before: None,
            expires: None,
            cancellable: false,
            stoppable: false,
            once: false,
            on_uncertain: OnUncertain::default(),
            delivery: Delivery::default(),
            rest: Map::new(),
            shape: Shape::Version1,
        }
    }
}
