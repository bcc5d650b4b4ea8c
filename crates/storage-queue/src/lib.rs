//! A client of Azure Queue Storage over REST, with the calls that the bot needs.
//!
//! Use the client to put, lease, hide and delete messages. Connection strings and authorization are in
//! `storage_account`. The bot does not use the official crate, because that crate supports neither Shared Key
//! nor connection strings, and makes a WebAssembly component several times as large.
//!
//! In this crate, a *message* is a queue message, a *receipt* is its pop receipt, and a *lease* is the time
//! for which Get Messages hides a message from other callers. A *call* is one operation of the service, and
//! can consist of several *attempts* (HTTP requests).
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
