//! The settings and clients of a run.

use state::ledger::Ledger;
use state::runs::{Runs, Withdrawals};

use crate::attempt::Attempts;
use crate::limits::Limits;
use crate::queue::Queues;

/// The settings and clients that all jobs of a run share. A *job* is a future in which the run makes calls to
/// services.
#[derive(Debug)]
pub(crate) struct RunContext<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) run: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) queues: &'a Queues<'a, H>,
    pub(crate) attempts: Attempts<'a, H>,
    pub(crate) runs: &'a Runs<'a, H>,
    pub(crate) ledger: &'a Ledger<'a, H>,
    pub(crate) withdrawals: Withdrawals<'a, H>,
}
