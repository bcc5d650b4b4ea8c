//! Reads JSON.

use serde_json::Value;

/// Parses `bytes` as JSON; returns `None` if they are not JSON.
// The function is not inlined, so that each component has only one copy of the parser, which is large.
#[inline(never)]
pub fn value_of(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}
