//! A client of Azure Queue Storage over REST, with the calls that the bot needs.
//!
//! Use the client to put, lease, hide and delete messages. Connection strings and authorization are in the
//! crate `storage_account`. The bot does not use Microsoft's official crate, because that crate supports
//! neither Shared Key nor connection strings. With the official crate, a WebAssembly component is also
//! several times as large as with this crate.
//!
//! In this crate, a *message* is a queue message. A *receipt* is the pop receipt of a message. A caller needs
//! the receipt to delete or update the message. A *lease* is the time for which Get Messages hides a message
//! from other callers. A *call* is one operation of the service, such as Get Messages. One call can consist
//! of several *attempts* (HTTP requests).
//!
//! This crate does not interpret the text of a message. Each client has a deadline. The client never begins a
//! repeated attempt after the deadline.
//!
//! Source: <https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api>, API version
//! [`API_VERSION`].
#![warn(missing_docs)]

mod client;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod names;
mod settings;
mod xml;

pub use client::{Created, Hidden, NotDeleted, Put, PutOptions, QueueClient, TimeToLive, Updated};
pub use error::QueueError;
pub use names::{InvalidQueueName, MessageId, PopReceipt, QueueName};
pub use settings::QueueSettings;
pub use storage_account::{API_VERSION, Account, ConnectionStringError};
pub use xml::{PeekedMessage, QueueMessage};
