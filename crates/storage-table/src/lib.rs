//! A client of Azure Table Storage over REST: entities, queries, and transactions.
//!
//! Use the client to read and write entities. Connection strings and authorization are in the crate
//! `storage_account`. Tests use the fake service in `testing`.
//!
//! In this crate, a *key* is the partition key and the row key of an entity, and a *page* is one part of the
//! results of a query. A *call* is one operation of the service, and can consist of several *attempts* (HTTP
//! requests).
//!
//! This crate does not interpret the properties of an entity. The client never deletes a table. Each client
//! has a deadline, and never begins a repeated attempt after the deadline.
//!
//! Source: <https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api>, API version
//! [`API_VERSION`](storage_account::API_VERSION).
#![warn(missing_docs)]

mod batch;
mod call;
mod client;
mod entity;
mod error;
mod filter;
mod key;
mod names;
mod op;
mod page;
#[cfg(feature = "testing")]
pub mod testing;

pub use batch::{Batch, Operation};
pub use client::{Conditional, Deleted, Inserted, TableClient};
pub use entity::{Entity, Found};
pub use error::TableError;
pub use filter::{Filter, Query};
pub use key::{Key, escape, unescape};
pub use names::{ETag, InvalidTableName, TableName};
pub use page::{Continuation, InvalidContinuation, Page};
pub use storage_account::{Account, ConnectionStringError};
