//! Callbacks: signed HTTP calls to the back end of an alert's sender. A callback reports a person's answer to
//! the alert.
//!
//! Use this crate to check the URL that a sender names ([`CallbackHosts`]), to sign a callback
//! ([`CallbackSecrets`]), and to send the callback ([`call`]). This crate repeats no callback, follows no
//! redirect, and does not interpret a body. It calls only URLs that [`CallbackHosts`] has checked.
//!
//! Source: Standard Webhooks 1.0,
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
#![warn(missing_docs)]

mod client;
mod hosts;
mod signature;

pub use client::{Callback, Called, call};
pub use hosts::{CallbackHosts, CallbackUrl, NotAllowed};
pub use signature::CallbackSecrets;
