//! Callbacks: signed HTTP calls to the back end of an alert's sender. A callback tells the sender how a
//! person has answered the alert.
//!
//! Use this crate to check the URL that a sender gives for callbacks ([`CallbackHosts`]), to sign a callback
//! ([`CallbackSecrets`]), and to send the callback ([`call`]). [`call`] makes only one attempt, follows no
//! redirect, and ignores the body of the response. The crate calls only URLs that [`CallbackHosts`] has
//! checked.
//!
//! Source of the headers and of the signature: Standard Webhooks 1.0,
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
#![warn(missing_docs)]

mod client;
mod hosts;
mod signature;

pub use client::{Callback, Called, call};
pub use hosts::{CallbackHosts, CallbackUrl, NotAllowed};
pub use signature::CallbackSecrets;
