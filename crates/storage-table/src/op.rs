//! The property `op` identifies the last write of an entity. Each write has a random `op`, which is the same
//! for all of its attempts.
//!
//! After a lost response, the service refuses a repeated insert with 409 and a repeated replace with 412,
//! although the first attempt did the write. The `op` of the stored entity shows whether this write or
//! another client's write stored it.
//!
//! Upserts and merges have an `op` as well. Without it, the `op` of an earlier writer would stay in the
//! entity, and that writer would conclude that it had written the newer version.

use platform::{Randomness, hex};

/// The property's name.
pub(crate) const OP: &str = "op";

/// A new `op`.
pub(crate) fn new_op(random: &impl Randomness) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    hex(&bytes)
}
