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

/// The store did not do it. A caller can do one thing: go on without. The kinds are for the log, which gets no text of the
/// store's own, because that may quote a key, a value or a connection string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyValueError {
    /// The platform has no store of this name.
    #[error("key-value store: there is none of this name")]
    NoSuchStore,
    /// The component may not use the store.
    #[error("key-value store: access denied; add the store to key_value_stores in the manifest")]
    AccessDenied,
    /// The platform has too many stores open.
    #[error("key-value store: the platform cannot open one more")]
    TooManyOpen,
    /// Any other failure.
    #[error("key-value store: the call failed")]
    Failed,
}
