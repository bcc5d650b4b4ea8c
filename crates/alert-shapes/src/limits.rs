//! The limits of an alert and of a payload.

/// The longest JSON text of a card, in bytes.
pub const MAX_CARD_BYTES: usize = 24_000;

/// The most events in one batch.
pub const MAX_EVENTS: usize = 100;

/// The most bytes of an alert key, and of an idempotency key.
pub const MAX_KEY_BYTES: usize = 200;
