//! Measures the time of a request to a component that does nothing. The host makes a new instance of the
//! component for each request. The baseline is a response that the host makes without a component.

use crate::contender::Contender;
use crate::driver;
use crate::figures::Bench;
use crate::statistics::percentile_milliseconds;
use crate::workload::Workload;

/// Measures the responses of the component that does nothing (no-op), and of the host alone, over one
/// connection.
pub fn start(bench: &mut Bench) -> anyhow::Result<()> {
    let count = 500;
    let noop = Contender::noop(bench.host, false)?;
    let paths = [("no-op component", "/"), ("the host alone", "/.well-known/spin/health")];
    for _ in 0..=bench.repetitions() {
        let mut medians = Vec::new();
        for (name, path) in paths {
            let requests = (0..count).map(|_| Workload::get_request(path)).collect();
            let outcome = driver::load(noop.url(), 1, requests, 200)?;
            let median = percentile_milliseconds(&outcome.latencies, 50);
            bench.report.add("instance and first response, p50", name, "ms", median);
            medians.push(median);
        }
        bench.report.add("instance and first response, p50", "difference", "ms", medians[0] - medians[1]);
    }
    Ok(())
}
