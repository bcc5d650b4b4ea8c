//! Reads reports about instances. The host (the program that runs the components) makes a new *instance* of a
//! component for each request. With the option `--meter`, the project's own host (the *embedded host*) prints
//! a report about each instance.

use anyhow::bail;
use end_to_end::waiting::SOON;
use serde::Deserialize;

use crate::contender::Contender;
use crate::host_calls::HostCalls;

/// The resources that one instance used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Used {
    /// The number of executed wasm instructions, which wasmtime counts as *fuel*.
    pub fuel: u64,
    /// The linear memory when the instance ended. Linear memory never shrinks, so this number is the peak.
    pub memory_bytes: u64,
    /// The calls that the instance made to the host.
    #[serde(flatten)]
    pub calls: HostCalls,
}

/// Reads the reports that a contender (a measured process) prints. Each report is read once.
#[derive(Debug)]
pub struct Meter<'c> {
    contender: &'c Contender,
    seen: usize,
}

impl<'c> Meter<'c> {
    /// Makes a reader that skips all reports so far.
    pub fn of(contender: &'c Contender) -> Self {
        Self { contender, seen: reports(contender).len() }
    }

    /// Waits for the next `count` reports, and returns them. The wait is necessary, because the host prints a
    /// report when the instance ends, and an instance ends after its response.
    pub fn take(&mut self, count: usize) -> anyhow::Result<Vec<Used>> {
        let deadline = std::time::Instant::now() + SOON;
        loop {
            let reports = reports(self.contender);
            if reports.len() >= self.seen + count {
                let taken = reports[self.seen..self.seen + count].to_vec();
                self.seen += count;
                return Ok(taken);
            }
            if std::time::Instant::now() > deadline {
                bail!("embedded host: expected {count} reports, found {}", reports.len() - self.seen);
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

fn reports(contender: &Contender) -> Vec<Used> {
    let lines = contender.lines();
    let reports = lines.iter().filter_map(|line| line.strip_prefix("Meter "));
    reports.map(|json| serde_json::from_str(json).expect("a report is JSON")).collect()
}
