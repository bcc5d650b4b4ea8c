//! The property `op`, which the client stores in every entity that it writes. The value of `op` identifies
//! the last write of the entity. Each write has a random `op`, which is the same for all attempts of the
//! write.
//!
//! If the response to a write is lost, the client repeats the write. If the first attempt took effect, the
//! service refuses the repeated attempt: an insert with 409, and a replace with 412. The service returns the
//! same status if another client wrote the entity. So the client reads the stored `op`. If the stored `op` is
//! the `op` of this write, the client's own first attempt wrote the entity.
//!
//! The service does not refuse a repeated `put` or `put_merge`, or a repeated merge without an ETag. But
//! these writes also store a new `op`. Without a new `op`, a merge would keep the `op` of an earlier write in
//! the entity. If the response to the earlier write was lost, the client that sent the earlier write would
//! find the `op` of the earlier write, and would return the version of the merge as the version of the
//! earlier write.

use platform::{Randomness, hex};

/// The name of the property.
pub(crate) const OP: &str = "op";

/// Makes a new random `op`.
pub(crate) fn new_op(random: &impl Randomness) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    hex(&bytes)
}
