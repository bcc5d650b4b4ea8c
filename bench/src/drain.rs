//! Lets the poller empty the queue of the stub (a small server in place of the queue service).

use anyhow::ensure;

use crate::contender::Contender;
use crate::driver;
use crate::stubs::Stubs;
use crate::workload::Workload;

/// Starts runs one after the other until the queue is empty, and returns the number of runs. A *run* is one
/// execution of the poller.
pub fn drain(stubs: &Stubs, workload: &Workload, contender: &Contender) -> anyhow::Result<usize> {
    let mut runs = 0;
    while !stubs.queue.is_empty() {
        let before = stubs.queue.len();
        driver::send(contender.url(), workload.poll(), 200)?;
        runs += 1;
        ensure!(stubs.queue.len() < before, "a run left all {before} messages on the queue");
    }
    Ok(runs)
}
