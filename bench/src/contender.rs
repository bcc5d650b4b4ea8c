//! The contenders of a measurement. A *contender* is a process whose speed or cost is measured. The process
//! is one of these:
//!
//! - a host with the components (bot and poller). A *host* is a program that runs WebAssembly components:
//!   Spin, or the *embedded host*, the project's own program
//! - a host with the *floor*, a guest in `bench/guest`. A *guest* is a component for benchmarks. The floor
//!   makes as many host calls (calls of a component to its host) as the bot or the poller, and does nothing
//!   else
//! - a host with a component that does nothing (no-op)
//! - the *native build*: the components' code, compiled for this machine

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dev::children::{Output, Running};
use dev::host::{Host, HostKind, HostOptions};
use end_to_end::manifest::Manifest;
use tempfile::TempDir;

use crate::machine;
use crate::workload::Workload;

/// The guest's WebAssembly file.
const GUEST: &str = "target/wasm32-wasip2/release/bench_guest.wasm";

/// A process under measurement, which serves HTTP. Each contender has its own tables and its own key-value
/// store.
#[derive(Debug)]
pub struct Contender {
    process: Process,
    url: String,
    _folder: TempDir,
}

#[derive(Debug)]
enum Process {
    Host(Host),
    Native(Running),
}

/// The kind of host, and the options with which the host and the components run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// The kind of host.
    pub host: HostKind,
    /// Whether the bot calls the poller (the kick).
    pub kick: bool,
    /// Whether the host prints the components' log lines. Printing costs speed.
    pub logs: bool,
    /// Whether the cron trigger runs.
    pub cron: bool,
    /// Whether the host's *meter* is on: the host reports the resources that each instance used. These
    /// reports cost speed.
    pub meter: bool,
}

impl Default for Variant {
    fn default() -> Self {
        Self { host: HostKind::Embedded, kick: false, logs: false, cron: false, meter: false }
    }
}

impl Contender {
    /// Starts the components in their host.
    pub fn components(workload: &Workload, variant: Variant) -> anyhow::Result<Self> {
        let manifest = Manifest::local();
        let manifest = if variant.cron { manifest } else { manifest.without_cron() };
        Self::application(workload, manifest, variant)
    }

    /// Starts a host with the floor. The floor has the variables of the bot and the poller.
    pub fn floor(workload: &Workload, host: HostKind) -> anyhow::Result<Self> {
        let manifest = Manifest::local().without_cron().with_source(GUEST);
        Self::application(workload, manifest, Variant { host, ..Variant::default() })
    }

    /// Starts a host with a component that does nothing.
    pub fn noop(host: HostKind, meter: bool) -> anyhow::Result<Self> {
        let manifest = dev::workspace::root().join("bench/guest/spin.toml");
        let variant = Variant { host, meter, ..Variant::default() };
        Self::host(tempfile::tempdir()?, manifest, Vec::new(), variant)
    }

    fn application(workload: &Workload, manifest: Manifest, variant: Variant) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let manifest = manifest.write(folder.path());
        Self::host(folder, manifest, variables(workload, variant).into_iter().collect(), variant)
    }

    fn host(
        folder: TempDir,
        manifest: std::path::PathBuf,
        variables: Vec<(String, String)>,
        variant: Variant,
    ) -> anyhow::Result<Self> {
        let host = Host::start(&HostOptions {
            kind: variant.host,
            manifest,
            listen: "127.0.0.1:0".to_owned(),
            variables,
            state_dir: folder.path().join("state"),
            quiet: !variant.logs,
            log: None,
            print_prefix: false,
            meter: variant.meter,
            variable_delay: Duration::ZERO,
        })?;
        let url = host.url().to_owned();
        Ok(Self { process: Process::Host(host), url, _folder: folder })
    }

    /// Starts the native build: this program again, in a second process, with the subcommand `native`.
    pub fn native(workload: &Workload, fresh_connections: bool) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("native");
        if fresh_connections {
            command.arg("--fresh-connections");
        }
        // In the default variant, the bot sends no kick (the bot's call to the poller). In the native build,
        // the bot could not send a kick, because a kick follows the bot's response, and the native build runs
        // nothing after a response.
        for (name, value) in variables(workload, Variant::default()) {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        let mut process = Running::start("the native build", command, &Output::default())?;
        let url = process.wait_until(Duration::from_secs(10), |process| {
            process.lines().iter().find_map(|line| line.strip_prefix("Serving ").map(str::to_owned))
        })?;
        Ok(Self { process: Process::Native(process), url, _folder: tempfile::tempdir()? })
    }

    /// The URL at which the process serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The processor time that the process and its descendants have used so far; `None` without `/proc`.
    pub fn processor_time(&self) -> Option<Duration> {
        machine::processor_time_of(match &self.process {
            Process::Host(host) => host.pid(),
            Process::Native(process) => process.pid(),
        })
    }

    /// Every line that the process has printed so far.
    pub fn lines(&self) -> Vec<String> {
        match &self.process {
            Process::Host(host) => host.lines(),
            Process::Native(process) => process.lines(),
        }
    }
}

/// The variables of a new contender. The variable `tableprefix` differs from contender to contender, because
/// each contender needs its own tables.
fn variables(workload: &Workload, variant: Variant) -> BTreeMap<String, String> {
    static CONTENDERS: AtomicUsize = AtomicUsize::new(0);
    let number = CONTENDERS.fetch_add(1, Ordering::Relaxed);
    let mut variables = workload.variables().clone();
    variables.insert("kick".to_owned(), if variant.kick { "on" } else { "off" }.to_owned());
    // By default, the bot sends at most 20 replies to a conversation in a minute. A load test causes more
    // replies, so the limit is off (0). A measurement with the meter causes few replies, so the limit stays
    // on. With the limit, the bot counts its replies, and the figures include the cost of counting.
    if !variant.meter {
        variables.insert("repliesperminute".to_owned(), "0".to_owned());
    }
    variables.insert("tableprefix".to_owned(), format!("bench{number}"));
    variables
}
