//! Measures the *exact figures*: instructions, memory, calls, and file sizes. These figures are the same on
//! every machine. A *run* is one execution of the poller.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use bytes::Bytes;
use dev::host::HostKind;
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Variant};
use crate::drain::drain;
use crate::driver;
use crate::host_calls::HostCalls;
use crate::listing::{self, Listing};
use crate::meter::{Meter, Used};
use crate::stubs::Stubs;
use crate::workload::{KNOWN, Tokens, Workload};

/// All exact figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exact {
    /// The executed instructions.
    pub instructions: Instructions,
    /// The calls of a component to its host (*host calls*), for an activity and for a run.
    pub host_calls: HostCallsByWork,
    /// The average number of outbound calls for one alert that a person requests by a chat message. An
    /// *outbound call* is an HTTP request of a component to another server. The number includes all calls
    /// from the arrival of the chat message to the deletion of the queue message.
    pub calls_per_alert: f64,
    /// The average number of outbound calls for one alert that a program requests by `POST /api/alerts`.
    pub calls_per_api_alert: PerApiAlert,
    /// The linear memory of the poller's largest instance, in bytes. The key of the map is the number of
    /// messages that are on the queue when the first run begins.
    pub poller_memory_bytes: BTreeMap<usize, u64>,
    /// The cost of listing the conversations (`GET /api/targets`). The key of the map is the number of
    /// conversations that the bot knows.
    pub listing: BTreeMap<usize, Listing>,
    /// The size of each component's file, in bytes.
    pub component_bytes: BTreeMap<String, u64>,
}

/// Numbers of executed WebAssembly instructions, which wasmtime counts as *fuel*. Each number is the median
/// of several requests or runs. Only `delivery` is computed from two medians.
///
/// A token is *known* if the bot has checked the signature of this token before. A conversation is *known* if
/// the bot has stored this conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instructions {
    /// A request to a component that does nothing. The number is 0 if this component was not measured.
    pub noop: u64,
    /// A message activity that has a known token and belongs to a known conversation. The bot checks the
    /// activity, puts an alert on the queue, and replies `Queued: …`.
    pub activity: u64,
    /// A message activity that has a known token and belongs to a new conversation.
    pub first_activity: u64,
    /// A message activity that has a new token and belongs to a known conversation. The bot has to check the
    /// signature of the token.
    pub activity_with_new_token: u64,
    /// A run of the poller that finds the queue empty.
    pub empty_run: u64,
    /// The delivery of one alert: `(full_run - empty_run) / 320`. Here, `full_run` is the number of
    /// instructions for a run that delivers 320 alerts to 320 conversations.
    pub delivery: u64,
}

/// The host calls of one instance, for each kind of work. For each activity and each run, the host makes a
/// new *instance* of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostCallsByWork {
    /// The same kind of activity as in [`Instructions::activity`].
    pub activity: HostCalls,
    /// An activity without a token. The bot refuses this activity.
    pub stranger: HostCalls,
    /// A run that finds the queue empty.
    pub empty_run: HostCalls,
    /// A run that delivers [`DELIVERIES`] alerts.
    pub full_run: HostCalls,
}

/// The average number of outbound calls for one alert that a program requests by `POST /api/alerts`. A
/// *target* is a conversation to which the API call sends the alert. The API call has no idempotency key, and
/// names each target by the target's conversation key (32 hexadecimal digits).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerApiAlert {
    /// The average if each API call has one target.
    pub one_target: f64,
    /// The average if each API call has 100 targets. The bot knows 200 conversations.
    pub hundred_targets: f64,
}

/// The number of alerts in the measurements of outbound calls. The number is large, so one more Get Messages
/// or one more fetch of a token hardly changes the average.
pub const ALERTS: usize = 1_000;
const METERED_ACTIVITIES: usize = 41;
/// The number of alerts that the run of [`HostCallsByWork::full_run`] delivers.
pub const DELIVERIES: usize = 320;
const RUNS: usize = 5;

/// The number of conversations to which the messages of a backlog go. A *backlog* is a queue with many
/// waiting messages. The poller sends at most 7 messages a second to each conversation. With few
/// conversations, this limit would slow down the delivery of the backlog.
pub const CONVERSATIONS: usize = 1_000;

/// The lengths of the backlogs, in messages. The poller's memory must hardly depend on the length.
pub const BACKLOGS: [usize; 3] = [1_000, 10_000, 50_000];
/// The lengths of the backlogs in a quick measurement (`--quick`), and in the test.
pub const SHORT_BACKLOGS: [usize; 2] = [1_000, 4_000];

/// Measures all exact figures. `backlogs` has the lengths of the backlogs, and `books` has the sizes of the
/// address books. An *address book* is the list of the conversations that the bot knows.
pub fn measure(backlogs: &[usize], books: &[usize]) -> anyhow::Result<Exact> {
    let stubs = Stubs::start();
    let workload = Workload::new(&stubs);
    let noop = Contender::noop(HostKind::Embedded, true)?;
    let (instructions, host_calls) = metered(&stubs, &workload, Some(&noop))?;
    Ok(Exact {
        instructions,
        host_calls,
        calls_per_alert: calls_per_alert(&stubs, &workload)?,
        calls_per_api_alert: calls_per_api_alert(&stubs, &workload)?,
        poller_memory_bytes: poller_memory(&stubs, &workload, backlogs)?,
        listing: listing::measure(&stubs, &workload, books)?,
        component_bytes: component_bytes()?,
    })
}

/// Counts instructions and host calls. `noop` is a host that runs the component that does nothing. This host
/// reports the resources that each instance used (option `--meter`). Without `noop`, [`Instructions::noop`]
/// is 0.
pub fn metered(
    stubs: &Stubs,
    workload: &Workload,
    noop: Option<&Contender>,
) -> anyhow::Result<(Instructions, HostCallsByWork)> {
    let noop = match noop {
        None => 0,
        Some(noop) => {
            let mut meter = Meter::of(noop);
            driver::load(noop.url(), 1, workload.activities(RUNS, Tokens::One), 200)?;
            median(&meter.take(RUNS)?).fuel
        }
    };

    let metered = Variant { meter: true, ..Variant::default() };
    let components = Contender::components(workload, metered)?;
    let mut meter = Meter::of(&components);
    let mut cost_of = |requests: Vec<http::Request<Bytes>>, status: u16| -> anyhow::Result<Used> {
        let count = requests.len();
        driver::load(components.url(), 1, requests, status)?;
        Ok(median(&meter.take(count)?))
    };
    // The very first request costs more, because the bot fills its caches in this request. One such request
    // hardly changes the figure, because the figure is the median of all requests.
    let first_activity = cost_of(workload.first_activities(METERED_ACTIVITIES, Tokens::One), 202)?.fuel;
    cost_of(workload.activities(KNOWN, Tokens::One), 202)?;
    let activity = cost_of(workload.activities(METERED_ACTIVITIES, Tokens::One), 202)?;
    let activity_with_new_token = cost_of(workload.activities(METERED_ACTIVITIES, Tokens::Each), 202)?.fuel;
    let stranger = cost_of(workload.activities_without_token(RUNS), 401)?;
    drain(stubs, workload, &components)?;

    let mut meter = Meter::of(&components);
    let mut run = |messages: usize| -> anyhow::Result<Used> {
        workload.messages(messages, messages).into_iter().for_each(|text| stubs.queue.put(text));
        driver::send(components.url(), workload.poll(), 200)?;
        ensure!(stubs.queue.is_empty(), "expected {messages} messages delivered in one run, found some left");
        Ok(meter.take(1)?[0])
    };
    let empty = (0..RUNS).map(|_| run(0)).collect::<anyhow::Result<Vec<_>>>()?;
    let full = (0..RUNS).map(|_| run(DELIVERIES)).collect::<anyhow::Result<Vec<_>>>()?;
    stubs.expect_no_complaint()?;
    let (empty_run, full_run) = (median(&empty), median(&full));
    let instructions = Instructions {
        noop,
        activity: activity.fuel,
        first_activity,
        activity_with_new_token,
        empty_run: empty_run.fuel,
        delivery: full_run.fuel.saturating_sub(empty_run.fuel) / DELIVERIES as u64,
    };
    let host_calls = HostCallsByWork {
        activity: activity.calls,
        stranger: stranger.calls,
        empty_run: empty_run.calls,
        full_run: full_run.calls,
    };
    Ok((instructions, host_calls))
}

/// Counts the outbound calls for [`ALERTS`] alerts to people whom the bot knows, and returns the average for
/// one alert. A person's first chat message costs a few more calls. So before the count begins, each person
/// sends one message.
pub fn calls_per_alert(stubs: &Stubs, workload: &Workload) -> anyhow::Result<f64> {
    let components = Contender::components(workload, Variant::default())?;
    driver::load(components.url(), 1, workload.activities(KNOWN, Tokens::One), 202)?;
    drain(stubs, workload, &components)?;
    let before = stubs.calls();
    driver::load(components.url(), 8, workload.activities(ALERTS, Tokens::One), 202)?;
    ensure!(stubs.queue.len() == ALERTS, "expected {ALERTS} queued alerts, found {}", stubs.queue.len());
    drain(stubs, workload, &components)?;
    stubs.expect_no_complaint()?;
    Ok((stubs.calls() - before) as f64 / ALERTS as f64)
}

/// Counts the outbound calls for [`ALERTS`] alerts by `POST /api/alerts` to people whom the bot knows, and
/// returns the averages for one alert.
pub fn calls_per_api_alert(stubs: &Stubs, workload: &Workload) -> anyhow::Result<PerApiAlert> {
    let components = Contender::components(workload, Variant::default())?;
    driver::load(components.url(), 1, workload.activities(KNOWN, Tokens::One), 202)?;
    drain(stubs, workload, &components)?;
    let count = |targets: usize| {
        let before = stubs.calls();
        driver::load(components.url(), 8, workload.api_calls(ALERTS / targets, targets), 202)?;
        ensure!(stubs.queue.len() == ALERTS, "expected {ALERTS} queued alerts, found {}", stubs.queue.len());
        drain(stubs, workload, &components)?;
        stubs.expect_no_complaint()?;
        Ok((stubs.calls() - before) as f64 / ALERTS as f64)
    };
    Ok(PerApiAlert { one_target: count(1)?, hundred_targets: count(100)? })
}

/// Measures the linear memory of the poller's largest instance, in bytes, for each length in `backlogs`.
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

/// The sizes of the built components, in bytes.
pub fn component_bytes() -> anyhow::Result<BTreeMap<String, u64>> {
    let size = |(name, path): (&str, std::path::PathBuf)| {
        let file = std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((name.to_owned(), file.len()))
    };
    dev::build::component_files().into_iter().map(size).collect()
}

/// The element of `used` with the median number of instructions.
fn median(used: &[Used]) -> Used {
    let mut used = used.to_vec();
    used.sort_by_key(|used| used.fuel);
    used[used.len() / 2]
}
