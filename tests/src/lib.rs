//! End-to-end tests: the built `.wasm` files in the embedded host (`E2E_HOST=spin`: in real Spin), against a real
//! Azurite and a fake Connector. This crate is the harness; the cases are in `cases/`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod activity;
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
pub mod key_value;
pub mod login;
pub mod loopback_server;
pub mod manifest;
pub mod openid;
pub mod ports;
pub mod put_only_queue;
pub mod queue;
pub mod recorder;
mod runtime;
pub mod sas;
pub mod stage;
pub mod suite;
pub mod table;
pub mod waiting;
pub mod web;
