//! Measures the number of activities per second, the latency of an activity, and the host's processor time
//! for an activity.

use std::time::Duration;

use crate::contender::{Contender, Variant};
use crate::driver;
use crate::figures::Bench;
use crate::machine::processor_time;
use crate::statistics::percentile_milliseconds;
use crate::workload::{KNOWN, Tokens};

/// The kind of requests that the driver sends.
#[derive(Debug, Clone, Copy)]
enum Load {
    Activities(Tokens),
    FirstActivities,
    WithoutToken,
    Floor,
}

/// Sends activities to each contender: over one connection, then over 8, then over 64. In each repetition,
/// each contender gets 1 000 activities (200 with `--quick`). A *contender* is a process whose speed or cost
/// is measured.
pub fn inbound(bench: &mut Bench) -> anyhow::Result<()> {
    let count = if bench.quick { 200 } else { 1_000 };
    let variant = Variant { host: bench.host, ..Variant::default() };
    let components = Contender::components(&bench.workload, variant)?;
    let floor = Contender::floor(&bench.workload, bench.host)?;
    let noop = Contender::noop(bench.host, false)?;
    let native = Contender::native(&bench.workload, false)?;
    let native_fresh = Contender::native(&bench.workload, true)?;
    let (known, new_tokens) = (Load::Activities(Tokens::One), Load::Activities(Tokens::Each));
    let contenders = [
        ("components", 202, known, &components),
        ("floor", 202, Load::Floor, &floor),
        ("no-op component", 200, known, &noop),
        ("components, new tokens", 202, new_tokens, &components),
        ("components, new conversations", 202, Load::FirstActivities, &components),
        ("components, no token (401)", 401, Load::WithoutToken, &components),
        ("native, kept connections", 202, known, &native),
        ("native, a connection per call", 202, known, &native_fresh),
    ];
    let requests = |bench: &Bench, load: Load, count: usize| match load {
        Load::Activities(tokens) => bench.workload.activities(count, tokens),
        Load::FirstActivities => bench.workload.first_activities(count, Tokens::One),
        Load::WithoutToken => bench.workload.activities_without_token(count),
        Load::Floor => {
            let activities = bench.workload.activities(count, Tokens::One);
            bench.workload.floor_of(activities, "inbound,outbound", &bench.host_calls.activity)
        }
    };
    // This load comes before the measurement, and has every kind of request. It fills the caches, and makes
    // the conversations known to the bot.
    for (_, status, load, contender) in contenders {
        driver::load(contender.url(), 1, requests(bench, load, KNOWN), status)?;
    }
    for connections in [1, 8, 64] {
        let figure = format!("inbound, {connections} connections");
        for _ in 0..bench.repetitions() {
            let mut costs = Vec::new();
            for (name, status, load, contender) in contenders {
                let activities = requests(bench, load, count);
                let (before, host_before) = (processor_time(), contender.processor_time());
                let outcome = driver::load(contender.url(), connections, activities, status)?;
                let (after, host_after) = (processor_time(), contender.processor_time());
                let report = &mut bench.report;
                report.add(&figure, name, "activities/s", outcome.per_second());
                for percent in [50, 99] {
                    let value = percentile_milliseconds(&outcome.latencies, percent);
                    report.add(&format!("{figure}, p{percent}"), name, "ms", value);
                }
                let spent = |before: Option<Duration>, after: Option<Duration>| {
                    Some(after?.saturating_sub(before?).as_secs_f64())
                };
                if let Some(seconds) = spent(host_before, host_after) {
                    let each = seconds * 1000.0 / count as f64;
                    report.add(&format!("{figure}, CPU of the host each"), name, "ms", each);
                    costs.push((name, each));
                }
                if let Some(seconds) = spent(before, after) {
                    let used = seconds / outcome.elapsed.as_secs_f64();
                    report.add(&format!("{figure}, CPU load"), "stubs and driver", "cores", used);
                }
                bench.stubs.queue.clear();
            }
            bench.add_ratio(&format!("{figure}, CPU of the host"), &costs);
        }
    }
    bench.stubs.expect_no_complaint()
}
