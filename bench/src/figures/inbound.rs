//! Activities per second, and how long each takes.

use crate::contender::{Contender, Variant};
use crate::driver;
use crate::figures::Bench;
use crate::machine::processor_time;
use crate::statistics::percentile_milliseconds;
use crate::workload::Tokens;

/// Measures 1 000 activities over 1, 8 and 64 connections.
pub fn inbound(bench: &mut Bench) -> anyhow::Result<()> {
    let count = if bench.quick { 200 } else { 1_000 };
    let components = Contender::components(&bench.workload, Variant::default())?;
    let noop = Contender::noop(false)?;
    let native = Contender::native(&bench.workload, false)?;
    let native_unkept = Contender::native(&bench.workload, true)?;
    let contenders = [
        ("components", 202, Tokens::One, &components),
        ("no-op component", 200, Tokens::One, &noop),
        ("native, kept connections", 202, Tokens::One, &native),
        ("native, a connection per call", 202, Tokens::One, &native_unkept),
        ("components, new tokens", 202, Tokens::Each, &components),
        ("native, kept connections, new tokens", 202, Tokens::Each, &native),
    ];
    // Caches are filled, and every path has run once.
    for (_, status, tokens, contender) in contenders {
        driver::load(contender.url(), 1, bench.workload.activities(50, tokens), status)?;
    }
    for connections in [1, 8, 64] {
        let figure = format!("inbound, {connections} connections");
        for _ in 0..bench.repetitions() {
            for (name, status, tokens, contender) in contenders {
                let activities = bench.workload.activities(count, tokens);
                let before = processor_time();
                let outcome = driver::load(contender.url(), connections, activities, status)?;
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
