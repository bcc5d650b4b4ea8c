//! From the queue to the person: how long a lone message takes.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::contender::{Contender, Variant};
use crate::driver;
use crate::figures::Bench;
use crate::statistics::percentile_milliseconds;

/// Between two messages: no divisor of cron's second, so that they come at every phase of it.
const STEP: Duration = Duration::from_millis(97);
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures 200 lone messages, with cron every second, and with a poll for each, by turns.
pub fn latency(bench: &mut Bench) -> anyhow::Result<()> {
    let (count, repetitions) = if bench.quick { (20, 1) } else { (200, 5) };
    (0..repetitions).try_for_each(|_| both(bench, count))
}

fn both(bench: &mut Bench, count: usize) -> anyhow::Result<()> {
    {
        let _running = Contender::components(&bench.workload, Variant { cron: true, ..Variant::default() })?;
        let latencies = deliver(bench, count, |_| {
            std::thread::sleep(STEP);
            Ok(())
        })?;
        add(bench, "cron every second", &latencies);
    }
    let polled = Contender::components(&bench.workload, Variant::default())?;
    let latencies =
        deliver(bench, count, |bench| driver::send(polled.url(), bench.workload.poll(), 200).map(drop))?;
    add(bench, "a poll per message", &latencies);
    bench.stubs.expect_no_complaint()
}

fn add(bench: &mut Bench, contender: &str, latencies: &[Duration]) {
    for percent in [50, 99] {
        let value = percentile_milliseconds(latencies, percent);
        bench.report.add(&format!("enqueued to delivered, p{percent}"), contender, "ms", value);
    }
}

/// Puts messages, with `between` after each, and waits until all are delivered; how long each took, in ascending order.
fn deliver(
    bench: &Bench,
    count: usize,
    between: impl Fn(&Bench) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Duration>> {
    bench.stubs.connector.note_arrivals();
    let mut put = Vec::new();
    for _ in 0..count {
        let (conversation, text) = bench.workload.lone_message();
        put.push((conversation, Instant::now()));
        bench.stubs.queue.put(text);
        between(bench)?;
    }
    let deadline = Instant::now() + PATIENCE;
    while !bench.stubs.queue.is_empty() {
        ensure!(Instant::now() < deadline, "{} messages are left on the queue", bench.stubs.queue.len());
        std::thread::sleep(Duration::from_millis(20));
    }
    let arrivals = bench.stubs.connector.take_arrivals();
    let latency = |(conversation, at): &(String, Instant)| {
        let arrived = arrivals.get(conversation).context("every message is delivered")?;
        Ok(arrived.saturating_duration_since(*at))
    };
    let mut latencies = put.iter().map(latency).collect::<anyhow::Result<Vec<_>>>()?;
    latencies.sort_unstable();
    Ok(latencies)
}
