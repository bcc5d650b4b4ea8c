//! The figures that come out the same on every machine: instructions, memory, calls, sizes.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Variant};
use crate::driver;
use crate::meter::{Meter, Used};
use crate::stubs::Stubs;
use crate::workload::{Tokens, Workload};

/// All of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exact {
    /// What is executed.
    pub instructions: Instructions,
    /// Calls to the outside per alert, from the activity that asks for it to its deletion from the queue.
    pub calls_per_alert: f64,
    /// The largest instance of the poller, in bytes of linear memory, by the number of messages that waited.
    pub poller_memory_bytes: BTreeMap<usize, u64>,
    /// The components' files.
    pub component_bytes: BTreeMap<String, u64>,
}

/// Executed wasm instructions, as wasmtime counts fuel: medians.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instructions {
    /// Of a component that does nothing; 0 if it was left out.
    pub noop: u64,
    /// Of a message activity, with a token that came before: checked, queued, acknowledged.
    pub activity: u64,
    /// The same with a new token, whose signature has to be checked.
    pub activity_with_new_token: u64,
    /// Of a run that finds the queue empty.
    pub empty_run: u64,
    /// Of an alert in a run that delivers 320 into as many conversations, without the empty run's part.
    pub delivery: u64,
}

/// Alerts of the count of calls: an odd Get and a token are a small part of so many.
pub const ALERTS: usize = 1_000;
const ACTIVITIES: usize = 41;
const DELIVERIES: usize = 320;
const RUNS: usize = 5;

/// Conversations that a backlog is spread over: one of them takes no more than 7 messages a second.
pub const CONVERSATIONS: usize = 1_000;

/// The backlogs whose memory is compared: it must not grow with them.
pub const BACKLOGS: [usize; 3] = [100, 10_000, 50_000];
/// Those of a quick run, and of the test.
pub const SHORT_BACKLOGS: [usize; 2] = [100, 3_000];

/// Measures all of it, with backlogs of these lengths.
pub fn measure(backlogs: &[usize]) -> anyhow::Result<Exact> {
    let stubs = Stubs::start();
    let workload = Workload::new(&stubs);
    Ok(Exact {
        instructions: instructions(&stubs, &workload, Some(&Contender::noop(true)?))?,
        calls_per_alert: calls_per_alert(&stubs, &workload)?,
        poller_memory_bytes: poller_memory(&stubs, &workload, backlogs)?,
        component_bytes: component_bytes()?,
    })
}

/// Counts instructions; `noop` is the metered component that does nothing.
pub fn instructions(
    stubs: &Stubs,
    workload: &Workload,
    noop: Option<&Contender>,
) -> anyhow::Result<Instructions> {
    let noop = match noop {
        None => 0,
        Some(noop) => {
            let mut meter = Meter::of(noop);
            driver::load(noop.url(), 1, workload.activities(RUNS, Tokens::One), 200)?;
            median(&meter.take(RUNS)?)
        }
    };

    let metered = Variant { meter: true, ..Variant::default() };
    let components = Contender::components(workload, metered)?;
    let mut meter = Meter::of(&components);
    let mut activity = |tokens: Tokens| -> anyhow::Result<u64> {
        // The first of these fills the caches; the median does not see it.
        driver::load(components.url(), 1, workload.activities(ACTIVITIES, tokens), 202)?;
        Ok(median(&meter.take(ACTIVITIES)?))
    };
    let (activity, activity_with_new_token) = (activity(Tokens::One)?, activity(Tokens::Each)?);
    drain(stubs, workload, &components)?;

    let mut meter = Meter::of(&components);
    let mut run = |messages: usize| -> anyhow::Result<Used> {
        workload.messages(messages, messages).into_iter().for_each(|text| stubs.queue.put(text));
        driver::send(components.url(), workload.poll(), 200)?;
        ensure!(stubs.queue.is_empty(), "one run is enough for {messages} messages");
        Ok(meter.take(1)?[0])
    };
    let empty = (0..RUNS).map(|_| run(0)).collect::<anyhow::Result<Vec<_>>>()?;
    let full = (0..RUNS).map(|_| run(DELIVERIES)).collect::<anyhow::Result<Vec<_>>>()?;
    stubs.expect_no_complaint()?;
    let empty_run = median(&empty);
    let delivery = median(&full).saturating_sub(empty_run) / DELIVERIES as u64;
    Ok(Instructions { noop, activity, activity_with_new_token, empty_run, delivery })
}

/// Counts the calls of [`ALERTS`] alerts, from nothing: keys and tokens have to be fetched too.
pub fn calls_per_alert(stubs: &Stubs, workload: &Workload) -> anyhow::Result<f64> {
    let components = Contender::components(workload, Variant::default())?;
    let before = stubs.calls();
    // The first one alone: while the keys are being fetched for the first time, others are turned away.
    driver::load(components.url(), 1, workload.activities(1, Tokens::One), 202)?;
    driver::load(components.url(), 8, workload.activities(ALERTS - 1, Tokens::One), 202)?;
    ensure!(stubs.queue.len() == ALERTS, "every activity is queued");
    drain(stubs, workload, &components)?;
    stubs.expect_no_complaint()?;
    Ok((stubs.calls() - before) as f64 / ALERTS as f64)
}

/// The largest instance of the poller for each backlog.
pub fn poller_memory(
    stubs: &Stubs,
    workload: &Workload,
    backlogs: &[usize],
) -> anyhow::Result<BTreeMap<usize, u64>> {
    let metered = Variant { meter: true, ..Variant::default() };
    let components = Contender::components(workload, metered)?;
    let mut largest = BTreeMap::new();
    for backlog in backlogs {
        workload.messages(*backlog, CONVERSATIONS).into_iter().for_each(|text| stubs.queue.put(text));
        let mut meter = Meter::of(&components);
        let runs = drain(stubs, workload, &components)?;
        let used = meter.take(runs)?;
        largest.insert(*backlog, used.iter().map(|used| used.memory_bytes).max().unwrap_or_default());
    }
    stubs.expect_no_complaint()?;
    Ok(largest)
}

/// How large the built components are.
pub fn component_bytes() -> anyhow::Result<BTreeMap<String, u64>> {
    let size = |(name, path): (&str, std::path::PathBuf)| {
        let file = std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((name.to_owned(), file.len()))
    };
    dev::build::component_files().into_iter().map(size).collect()
}

/// Runs the drain until the queue is empty; how many runs that took.
pub fn drain(stubs: &Stubs, workload: &Workload, contender: &Contender) -> anyhow::Result<usize> {
    let mut runs = 0;
    while !stubs.queue.is_empty() {
        let before = stubs.queue.len();
        driver::send(contender.url(), workload.poll(), 200)?;
        runs += 1;
        ensure!(stubs.queue.len() < before, "a run delivers something: {:?}", stubs.queue);
    }
    Ok(runs)
}

fn median(used: &[Used]) -> u64 {
    let mut fuel: Vec<u64> = used.iter().map(|used| used.fuel).collect();
    fuel.sort_unstable();
    fuel.get(fuel.len() / 2).copied().unwrap_or_default()
}
