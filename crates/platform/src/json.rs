//! Reads JSON.

use serde_json::Value;

/// Parses `bytes` as JSON; returns `None` if they are not JSON.
// One copy of the parser, which is large, in each component.
#[inline(never)]
pub fn value_of(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}
