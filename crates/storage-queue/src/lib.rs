//! Azure Storage Queue over REST: connection strings, Shared Key and SAS, the seven calls that a bot needs, and what
//! their answers mean.
//!
//! Written by hand because the official crate knows neither Shared Key nor connection strings and is several times as
//! large in a guest. Source: <https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api>, API version
//! [`API_VERSION`]. The text of a message is opaque here.
#![warn(missing_docs)]

mod auth;
mod client;
mod connection;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod names;
mod request;
mod settings;
mod xml;

pub use client::{Created, Hidden, PutOptions, QueueClient, TimeToLive, Updated};
pub use connection::{Account, ConnectionStringError};
pub use error::QueueError;
pub use names::{InvalidQueueName, MessageId, PopReceipt, QueueName};
pub use request::API_VERSION;
pub use settings::QueueSettings;
pub use xml::QueueMessage;
