//! Callbacks: signed HTTP calls to the back end of an alert's sender, which report a person's answer to the
//! alert.
//!
//! Use this crate to check the address that a sender names ([`CallbackHosts`]), to sign a call
//! ([`CallbackSecrets`]), and to make the call ([`call`]). This crate repeats no call, follows no redirect,
//! and does not interpret a body. It calls only addresses that [`CallbackHosts`] has checked.
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
