//! What `cargo dev` and the end-to-end tests stand on: installing, building, and running children on loopback.
//!
//! It depends on no part of the project, so that it compiles in seconds and can say what it is doing while the rest
//! compiles.
#![warn(missing_docs)]

pub mod alert_key;
pub mod application;
pub mod azurite;
pub mod back_end;
pub mod browser;
pub mod build;
pub mod chat;
pub mod children;
mod chosen;
pub mod deny;
pub mod host;
mod loopback_http;
pub mod named_key;
pub mod playground;
pub mod ports;
pub mod process_group;
pub mod progress;
pub mod python;
mod run_note;
pub mod steps;
pub mod tools;
pub mod words;
pub mod workspace;
