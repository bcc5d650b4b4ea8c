//! The services of a storage account, and the version of their API.

/// The version of the services' API (`x-ms-version`). Earlier versions lack some operations that the clients
/// use. The emulator Azurite supports this version.
pub const API_VERSION: &str = "2021-12-02";

/// A service of a storage account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Azure Queue Storage.
    Queue,
    /// Azure Table Storage.
    Table,
}

impl Service {
    /// The name of the connection string's setting that holds the service's URL.
    pub(crate) fn endpoint_setting(self) -> &'static str {
        match self {
            Self::Queue => "QueueEndpoint",
            Self::Table => "TableEndpoint",
        }
    }
}
