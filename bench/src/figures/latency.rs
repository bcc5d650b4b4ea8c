//! Measures the time from the put of a single alert on the queue to the arrival of this alert at the
//! Connector.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::contender::{Contender, Variant};
use crate::driver;
use crate::figures::Bench;
use crate::statistics::percentile_milliseconds;
use crate::workload::{KNOWN, Tokens};

/// The pause after each message, in the two measurements with the cron trigger. The cron trigger starts a run
/// (one execution of the poller) once a second: a *cron tick*. One second is 10.3 pauses, so the time from a
/// message to the next cron tick differs from message to message.
const STEP: Duration = Duration::from_millis(97);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Measures the deliveries of 200 single messages (20 with `--quick`) in each of these ways:
///
/// - The cron trigger starts a run every second.
/// - The driver calls `/internal/poll` after each message.
/// - The bot calls the poller after each message. This call is the *kick*.
pub fn latency(bench: &mut Bench) -> anyhow::Result<()> {
    let (count, repetitions) = if bench.quick { (20, 1) } else { (200, 5) };
    (0..repetitions).try_for_each(|_| all(bench, count))
}

fn all(bench: &mut Bench, count: usize) -> anyhow::Result<()> {
    {
        let variant = Variant { host: bench.host, cron: true, ..Variant::default() };
        let _running = Contender::components(&bench.workload, variant)?;
        let latencies = deliver(bench, count, |_| {
            std::thread::sleep(STEP);
            Ok(())
        })?;
        add(bench, "cron every second", &latencies);
    }
    let variant = Variant { host: bench.host, ..Variant::default() };
    let polled = Contender::components(&bench.workload, variant)?;
    let latencies =
        deliver(bench, count, |bench| driver::send(polled.url(), bench.workload.poll(), 200).map(drop))?;
    add(bench, "a poll per message", &latencies);
    // This variant has the kick and the cron trigger. If a kick fails, the run of the next cron tick delivers
    // the message.
    let kicking = Contender::components(&bench.workload, Variant { kick: true, cron: true, ..variant })?;
    let latencies = ask_and_wait(bench, &kicking, count)?;
    add(bench, "the bot's kick", &latencies);
    bench.stubs.expect_no_complaint()
}

fn add(bench: &mut Bench, contender: &str, latencies: &[Duration]) {
    for percent in [50, 99] {
        let value = percentile_milliseconds(latencies, percent);
        bench.report.add(&format!("enqueued to delivered, p{percent}"), contender, "ms", value);
    }
}

/// Sends activities one after the other. After each activity, the function waits until the alert arrives at
/// the Connector. Returns the times from the Put Message of an alert to its arrival, in ascending order.
fn ask_and_wait(bench: &Bench, contender: &Contender, count: usize) -> anyhow::Result<Vec<Duration>> {
    driver::load(contender.url(), 1, bench.workload.activities(KNOWN, Tokens::One), 202)?;
    wait_until(|| bench.stubs.queue.is_empty())?;
    let mut latencies = Vec::new();
    for index in 0..count {
        bench.stubs.connector.note_arrivals();
        let (conversation, activity) = bench.workload.lone_activity(index);
        driver::send(contender.url(), activity, 202)?;
        let put = bench.stubs.queue.last_put().context("the activity was not put on the queue")?;
        wait_until(|| bench.stubs.connector.arrival(&conversation).is_some())?;
        let arrived =
            bench.stubs.connector.arrival(&conversation).context("the time of the arrival is missing")?;
        latencies.push(arrived.saturating_duration_since(put));
        // In this pause, the run that delivered the alert finds the queue empty, and ends. If this run were
        // still at work when the next activity arrives, the bot would send no kick for the activity.
        std::thread::sleep(STEP);
    }
    latencies.sort_unstable();
    Ok(latencies)
}

fn wait_until(is_there: impl Fn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + LONGEST_WAIT;
    while !is_there() {
        ensure!(Instant::now() < deadline, "no result after {} s", LONGEST_WAIT.as_secs());
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// Puts messages on the queue, calls `between` after each message, and waits until the queue is empty.
/// Returns the times from the put of a message to the arrival of its alert at the Connector, in ascending
/// order.
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
    let deadline = Instant::now() + LONGEST_WAIT;
    while !bench.stubs.queue.is_empty() {
        ensure!(Instant::now() < deadline, "{} messages are left on the queue", bench.stubs.queue.len());
        std::thread::sleep(Duration::from_millis(20));
    }
    let arrivals = bench.stubs.connector.take_arrivals();
    let latency = |(conversation, at): &(String, Instant)| {
        let arrived = arrivals.get(conversation).context("a message was not delivered")?;
        Ok(arrived.saturating_duration_since(*at))
    };
    let mut latencies = put.iter().map(latency).collect::<anyhow::Result<Vec<_>>>()?;
    latencies.sort_unstable();
    Ok(latencies)
}
