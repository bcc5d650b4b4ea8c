//! The code that the clients of Azure Queue Storage and Azure Table Storage share. This crate reads
//! connection strings, signs requests, sends calls with retries, and reads errors.
//!
//! A *call* is one operation of a storage service, such as Put Message. An *attempt* is one HTTP request for
//! a call. In this crate, a *key* is the account key (`AccountKey`). A *SAS* (shared access signature) is a
//! signed list of query parameters. A request with a SAS needs no key.
//!
//! To call a service, use the clients in `storage_queue` and `storage_table`. Use this crate to read a
//! connection string, to set a token with [`Account::with_token`], or to write a client of another storage
//! service.
//!
//! The operations of the services are in the clients. Of the error codes, this crate interprets only the
//! codes for a refused authorization. The error texts of this crate and the `Debug` output of [`Account`]
//! never contain a key, a SAS or a token.
//!
//! Source: <https://learn.microsoft.com/rest/api/storageservices/>, API version [`API_VERSION`].
#![warn(missing_docs)]

mod account;
mod auth;
mod call;
mod connection_string;
mod date;
mod error;
mod sas;
mod sender;
mod service;
mod xml;

pub use account::{Account, STORAGE_SCOPE};
pub use call::{Call, encoded};
pub use date::{parse_rfc_1123, rfc_1123};
pub use error::{
    ConnectionStringError, Failed, Failure, Unusable, denial, header, is_busy, is_retryable,
    retry_after_seconds, word,
};
pub use sas::SasRights;
pub use sender::{Sender, Sent};
pub use service::{API_VERSION, Service};
pub use xml::{ErrorBody, Malformed, read_error, walk};
