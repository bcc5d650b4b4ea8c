//! The functions that `cargo dev` and the end-to-end tests share. These functions install programs, build the
//! components, and run child processes that listen on loopback.
//!
//! This crate is for a developer's machine and for CI. No component contains this crate. The crate depends on
//! no other crate of the project, so `cargo dev` compiles in seconds. Then `cargo dev` can show progress
//! during the compilation of the other crates. `cargo dev --help` and the README describe the commands.
#![warn(missing_docs)]

pub mod alert_key;
pub mod application;
pub mod arm;
pub mod azurite;
pub mod back_end;
pub mod browser;
pub mod build;
pub mod chat;
pub mod children;
mod chosen;
pub mod circles;
pub mod dead_letters;
pub mod deny;
pub mod doctor_options;
pub mod host;
mod loopback_http;
pub mod monitoring;
pub mod named_key;
pub mod playground;
pub mod ports;
pub mod process_group;
pub mod progress;
pub mod python;
pub mod recipes;
mod run_note;
pub mod spinkube;
pub mod steps;
pub mod teams_package;
pub mod tools;
pub mod words;
pub mod workspace;
