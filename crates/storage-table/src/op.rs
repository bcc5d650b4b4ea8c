//! Who wrote an entity last: every write carries a random `op`, the same for all attempts of one intention.
//!
//! After a lost answer, a repeated insert is refused with 409 and a repeated replace with 412, although the first attempt
//! did it. The `op` of the stored entity tells that from a rival's write. Upserts and merges carry one as well: otherwise
//! they would leave the `op` of an earlier writer, which would take the newer version for its own.

use platform::{Randomness, hex};

/// The property's name.
pub(crate) const OP: &str = "op";

/// A new `op`.
pub(crate) fn new_op(random: &impl Randomness) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    hex(&bytes)
}
