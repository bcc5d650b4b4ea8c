//! The property `op` identifies the last write of an entity. Each write has a random `op`, which is the same
//! for all of its attempts.
//!
//! If the response to a write is lost, the client repeats the write. The service then refuses an insert with
//! 409 and a replace with 412, although the first attempt did the write. The `op` of the stored entity tells
//! the client whether its own write or another client's write stored the entity.
//!
//! Upserts and merges also store an `op`. Otherwise, the `op` of an earlier writer would stay in the entity,
//! and the earlier writer would believe that it had written the newer version.

use platform::{Randomness, hex};

/// The name of the property.
pub(crate) const OP: &str = "op";

/// Makes a new random `op`.
pub(crate) fn new_op(random: &impl Randomness) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    hex(&bytes)
}
