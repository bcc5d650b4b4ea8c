//! Tests of `deploy/azure/deploy.sh` without Azure. In place of `az` (the Azure CLI), the script calls the
//! stub `az.sh`. The stub records the arguments of each call. The stub fails if it does not know the call.
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
