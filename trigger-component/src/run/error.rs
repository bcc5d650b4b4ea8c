//! The reasons why a run can fail.

use bot_framework::outbound::TokenError;
use platform::SettingsError;
use storage_queue::QueueError;
use storage_table::TableError;
use thiserror::Error;

/// The reason why a run failed. A failed run loses no message: when the leases of its messages end, the queue
/// makes these messages visible again.
#[derive(Debug, Error)]
pub enum RunError {
    /// A variable is wrong.
    #[error("{0}")]
    Misconfigured(#[from] SettingsError),
    /// The queue cannot be read.
    #[error("the queue cannot be read: {0}")]
    Queue(#[from] QueueError),
    /// The login host (the host that issues access tokens) issued no token for the storage account.
    #[error("the storage account cannot be opened: {0}")]
    NoStorageToken(#[from] TokenError),
    /// The tables cannot be read or written. From then on, the run sends nothing more, because it does not
    /// know whether another run works.
    #[error("the tables cannot be used, so the run sends nothing more: {0}")]
    State(#[from] TableError),
}
