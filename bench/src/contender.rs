//! Who is measured: the components in the embedded host, a component that does nothing, and the native build.

use std::process::Command;
use std::time::Duration;

use dev::children::{Output, Running};
use dev::host::{Host, HostKind, HostOptions};
use end_to_end::manifest::Manifest;
use tempfile::TempDir;

use crate::workload::Workload;

/// A process that serves.
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

/// A variant of the application in the embedded host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Variant {
    /// With the cron trigger.
    pub cron: bool,
    /// With a meter on each instance, which costs speed.
    pub meter: bool,
}

impl Contender {
    /// The components in the embedded host.
    pub fn components(workload: &Workload, variant: Variant) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let manifest = Manifest::local();
        let manifest = if variant.cron { manifest } else { manifest.without_cron() };
        let manifest = manifest.write(folder.path());
        let variables = workload.variables().clone().into_iter().collect();
        Self::host(folder, manifest, variables, variant.meter)
    }

    /// A component that does nothing, in the embedded host.
    pub fn noop(meter: bool) -> anyhow::Result<Self> {
        let manifest = dev::workspace::root().join("bench/noop-guest/spin.toml");
        Self::host(tempfile::tempdir()?, manifest, Vec::new(), meter)
    }

    fn host(
        folder: TempDir,
        manifest: std::path::PathBuf,
        variables: Vec<(String, String)>,
        meter: bool,
    ) -> anyhow::Result<Self> {
        let host = Host::start(&HostOptions {
            kind: HostKind::Embedded,
            manifest,
            listen: "127.0.0.1:0".to_owned(),
            variables,
            state_dir: folder.path().join("state"),
            quiet: true,
            log: None,
            print_prefix: false,
            meter,
        })?;
        let url = host.url().to_owned();
        Ok(Self { process: Process::Host(host), url, _folder: folder })
    }

    /// The native build: this very program, in a process of its own.
    pub fn native(workload: &Workload, fresh_connections: bool) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("native");
        if fresh_connections {
            command.arg("--fresh-connections");
        }
        for (name, value) in workload.variables() {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        let mut process = Running::start("the native build", command, &Output::default())?;
        let url = process.wait_until(Duration::from_secs(10), |process| {
            process.lines().iter().find_map(|line| line.strip_prefix("Serving ").map(str::to_owned))
        })?;
        Ok(Self { process: Process::Native(process), url, _folder: tempfile::tempdir()? })
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every line that it printed so far.
    pub fn lines(&self) -> Vec<String> {
        match &self.process {
            Process::Host(host) => host.lines(),
            Process::Native(process) => process.lines(),
        }
    }
}
