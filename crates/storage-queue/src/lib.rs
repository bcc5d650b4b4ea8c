//! Azure Storage Queue over REST: the seven calls that a bot needs, and what their answers mean. Connection strings and
//! authorization are in `storage_account`.
//!
//! Written by hand because the official crate knows neither Shared Key nor connection strings and is several times as
//! large in a guest. Source: <https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api>, API version
//! [`API_VERSION`]. The text of a message is opaque here.
#![warn(missing_docs)]

mod client;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod names;
mod settings;
mod xml;

pub use client::{Created, Hidden, Put, PutOptions, QueueClient, TimeToLive, Updated};
pub use error::QueueError;
pub use names::{InvalidQueueName, MessageId, PopReceipt, QueueName};
pub use settings::QueueSettings;
pub use storage_account::{API_VERSION, Account, ConnectionStringError};
pub use xml::QueueMessage;
