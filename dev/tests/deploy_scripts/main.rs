//! Runs the scripts of `deploy/` for Akamai Functions, Fermyon Cloud, systemd and releases. Stubs, which
//! record their arguments, take the place of the programs that the scripts call, so no script reaches a
//! network here.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod akamai;
mod button;
mod env_file;
mod fermyon_cloud;
mod release;
mod stage;
mod systemd;
