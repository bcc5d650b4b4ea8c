//! Runs the scripts of `deploy/` for Akamai Functions, Fermyon Cloud and systemd between programs that record
//! their arguments. No script reaches a network here.
#![cfg(unix)]

mod akamai;
mod env_file;
mod fermyon_cloud;
mod stage;
mod systemd;
