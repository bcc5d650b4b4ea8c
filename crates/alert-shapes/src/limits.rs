//! How large an alert and a payload may be.

/// The most bytes that a card has as JSON.
pub const MAX_CARD_BYTES: usize = 24_000;

/// The most events that one batch may have.
pub const MAX_EVENTS: usize = 100;

/// The most bytes of a key, and of an idempotency key.
pub const MAX_KEY_BYTES: usize = 200;
