//! The shared code of the end-to-end tests. Each test is called a *case*. The cases are in `tests/cases/`.
//!
//! The cases run the built `.wasm` files in the *embedded host*, the project's own Spin host in
//! `crates/local-host`. If the environment variable `E2E_HOST` is `spin`, the cases run the `.wasm` files in
//! real Spin. The components call a real Azurite (the emulator of Azure Storage), and fakes of the other
//! services. In some cases, a real program takes the place of a fake: the M365 Agents Playground, a test
//! program of Microsoft.
//!
//! This crate makes the *stage* of a case: the Spin hosts, and the services that the hosts call. This crate
//! also has clients that read the queue and the tables from outside the bot. This crate runs the components
//! only as WebAssembly, and needs no service outside this machine. Each fake follows the documentation of the
//! real service.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod activity;
pub mod alertmanager;
pub mod alerts;
pub mod chat_page;
pub mod closed_port;
pub mod component;
pub mod connector;
pub mod dice;
pub mod direct_line;
mod failure;
pub mod faulty_queue;
mod faulty_service;
pub mod faulty_tables;
pub mod hooks;
pub mod key_value;
pub mod login;
pub mod loopback_server;
pub mod manifest;
pub mod openid;
pub mod operated;
pub mod ports;
pub mod program;
pub mod put_only_queue;
pub mod questions;
pub mod queue;
pub mod recorder;
pub mod registration;
mod runtime;
pub mod sas;
pub mod span_collector;
pub mod stage;
pub mod suite;
pub mod table;
pub mod waiting;
pub mod web;
