//! Runs the scripts of `deploy/` for Akamai Functions, Fermyon Cloud, systemd, releases and the
//! Deploy-to-Azure button. Also tests `deploy/env.awk`, which reads `.env`. The scripts call *stubs* in place
//! of the real programs. A stub is a small script that records its arguments. With the stubs, no script uses
//! a network.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod akamai;
mod button;
mod env_file;
mod fermyon_cloud;
mod release;
mod stage;
mod systemd;
