//! Reads JSON.

use serde_json::Value;

/// Parses `bytes` as JSON.
///
/// # Errors
/// Returns an error if the bytes are not JSON.
// `inline(never)` keeps components small: each component has only one copy of the large JSON parser.
#[inline(never)]
pub fn json_of(bytes: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(bytes)
}

/// Parses `bytes` as JSON; returns `None` if the bytes are not JSON.
pub fn value_of(bytes: &[u8]) -> Option<Value> {
    json_of(bytes).ok()
}
