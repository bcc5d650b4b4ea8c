//! Key-value storage. The components use the store only as a cache. If the store loses its data, the
//! components only need more time.

use thiserror::Error;

/// The trait for key-value storage, one of the [ports](crate) to the platform.
///
/// A key has at most 255 bytes, and none of the characters `/ \ ? #`. Azure Cosmos DB, in which Spin can keep
/// the data, refuses these characters. A value has at most 1 MB.
pub trait KeyValue {
    /// Returns the value of a key, or `None` if the store has no such key.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, KeyValueError>>;

    /// Stores a value. An earlier value of the key is replaced.
    fn set(&self, key: &str, value: &[u8]) -> impl Future<Output = Result<(), KeyValueError>>;

    /// Removes a value. A missing value is not an error.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), KeyValueError>>;
}

/// The reason why a call of the key-value store failed. The caller continues without the store, so only the
/// log needs the reason. The error never contains the store's own error text, because that text can quote a
/// key, a value or a connection string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyValueError {
    /// The platform does not have the store that the components use. On Spin, this store has the name
    /// `default`.
    #[error(
        "key-value store: the platform does not have the bot's store; configure the store on the platform"
    )]
    NoSuchStore,
    /// The component is not allowed to use the store.
    #[error("key-value store: access denied; add the store to key_value_stores in the manifest")]
    AccessDenied,
    /// The platform has too many stores open.
    #[error("key-value store: the platform has too many open stores")]
    TooManyOpen,
    /// Any other failure.
    #[error("key-value store: the call failed")]
    Failed,
}
