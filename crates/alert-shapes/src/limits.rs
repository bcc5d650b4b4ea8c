//! The limits of an alert and of a payload.

/// The maximum size of a card's JSON text, in bytes.
pub const MAX_CARD_BYTES: usize = 24_000;

/// The maximum number of events in a batch. A batch is a payload with an array of events.
pub const MAX_EVENTS: usize = 100;

/// The maximum size, in bytes, of the two keys of an alert: [`key`](crate::ShapedAlert::key) and
/// [`idempotency_key`](crate::ShapedAlert::idempotency_key).
pub const MAX_KEY_BYTES: usize = 200;
