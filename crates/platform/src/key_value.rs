//! Key-value storage: a cache, and never more. Losing all of it costs time, and nothing else.

use thiserror::Error;

/// The port for key-value storage. Keys are at most 255 bytes without `/ \ ? #` (Azure Cosmos refuses these); values at
/// most 1 MB.
pub trait KeyValue {
    /// The value, or `None` if there is none.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, KeyValueError>>;

    /// Stores a value, replacing any earlier one.
    fn set(&self, key: &str, value: &[u8]) -> impl Future<Output = Result<(), KeyValueError>>;

    /// Removes a value; a missing one is no error.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), KeyValueError>>;
}

/// The store did not do it. There is one kind, because a caller can do one thing: go on without.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("key-value store: {0}")]
pub struct KeyValueError(pub String);
