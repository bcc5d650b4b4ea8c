//! The property `op` identifies the last write of an entity. Each write has a random `op`, which is the same
//! for all of its attempts.
//!
//! If the response to a write is lost, the client repeats the write. If the first attempt took effect, the
//! service refuses the repeated attempt: an insert with 409, and a replace with 412. The service returns the
//! same status if another client wrote the entity. The `op` of the stored entity tells the client which of
//! the two happened.
//!
//! Upserts and merges also store an `op`. Otherwise, the `op` of an earlier write would stay in the entity.
//! The client that did the earlier write would find its own `op`, and would report the newer version as its
//! own write.

use platform::{Randomness, hex};

/// The name of the property.
pub(crate) const OP: &str = "op";

/// Makes a new random `op`.
pub(crate) fn new_op(random: &impl Randomness) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    hex(&bytes)
}
