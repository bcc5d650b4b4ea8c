//! Activities per second, and how long each takes.

use crate::contender::{Contender, Variant};
use crate::driver;
use crate::figures::Bench;
use crate::machine::processor_time;
use crate::statistics::percentile_milliseconds;

/// Measures 1 000 activities over 1, 8 and 64 connections.
pub fn inbound(bench: &mut Bench) -> anyhow::Result<()> {
    let count = if bench.quick { 200 } else { 1_000 };
    let contenders = [
        ("components", 202, Contender::components(&bench.workload, Variant::default())?),
        ("no-op component", 200, Contender::noop(false)?),
        ("native, kept connections", 202, Contender::native(&bench.workload, false)?),
        ("native, a connection per call", 202, Contender::native(&bench.workload, true)?),
    ];
    // Caches are filled, and every path has run once.
    for (_, status, contender) in &contenders {
        driver::load(contender.url(), 8, bench.workload.activities(50), *status)?;
    }
    for connections in [1, 8, 64] {
        let figure = format!("inbound, {connections} connections");
        for _ in 0..bench.repetitions() {
            for (name, status, contender) in &contenders {
                let activities = bench.workload.activities(count);
                let before = processor_time();
                let outcome = driver::load(contender.url(), connections, activities, *status)?;
                let report = &mut bench.report;
                report.add(&figure, name, "activities/s", outcome.per_second());
                for percent in [50, 99] {
                    let value = percentile_milliseconds(&outcome.latencies, percent);
                    report.add(&format!("{figure}, p{percent}"), name, "ms", value);
                }
                if let (Some(before), Some(after)) = (before, processor_time()) {
                    let used = (after - before).as_secs_f64() / outcome.elapsed.as_secs_f64();
                    report.add(&format!("{figure}, load on a core"), "stubs and driver", "of 1", used);
                }
                bench.stubs.queue.clear();
            }
        }
    }
    bench.stubs.expect_no_complaint()
}
