//! Runs the scripts of `deploy/` for Akamai Functions, Fermyon Cloud, systemd and releases. The scripts call
//! stubs in place of the real programs, so no script uses a network here. The stubs record their arguments.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod akamai;
mod button;
mod env_file;
mod fermyon_cloud;
mod release;
mod stage;
mod systemd;
