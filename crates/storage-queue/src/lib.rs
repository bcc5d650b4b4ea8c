//! A client of Azure Queue Storage over REST, with the calls that the bot needs.
//!
//! Use the client to put, lease, hide and delete messages. Connection strings and authorization are in
//! `storage_account`. The bot does not use the official crate, because that crate supports neither Shared Key
//! nor connection strings, and makes a WebAssembly component several times as large.
//!
//! This crate does not interpret the text of a message. The client repeats no call after its deadline.
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
