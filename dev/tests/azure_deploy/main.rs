//! Runs `deploy/azure/deploy.sh` with a stub of `az` (`az.sh`), which records its arguments and fails at
//! calls that it does not know.
#![cfg(unix)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints do not see that helper functions of tests belong to tests"
)]

mod failures;
mod real_az;
mod runs;
mod stage;
