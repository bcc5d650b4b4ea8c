//! Starts the Spin host that runs the components: the embedded host or Spin itself. Both take the same flags.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::build::embedded_host_file;
use crate::children::{Output, Running};
use crate::ports;

/// The kind of a Spin host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HostKind {
    /// The project's own host, on wasmtime.
    Embedded,
    /// `spin up`; Spin 4 and its cron plugin have to be installed.
    Spin,
}

/// The options with which a host is started.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// The kind of host.
    pub kind: HostKind,
    /// The Spin manifest.
    pub manifest: PathBuf,
    /// The `address:port` on which the host listens. Port 0 means any free port.
    pub listen: String,
    /// Values of the application's variables.
    pub variables: Vec<(String, String)>,
    /// The folder of the key-value store.
    pub state_dir: PathBuf,
    /// If true, the host does not write the output of the components.
    pub quiet: bool,
    /// A file for everything that the host writes.
    pub log: Option<PathBuf>,
    /// Whether this process prints everything that the host writes.
    pub print_prefix: bool,
    /// Whether the embedded host reports the resources that each instance of a component used, e.g. memory.
    pub meter: bool,
    /// The time that the embedded host waits at each read of a variable.
    pub variable_delay: Duration,
}

/// A running host. When this value is dropped, the host's process ends.
#[derive(Debug)]
pub struct Host {
    child: Running,
    url: String,
    kind: HostKind,
}

impl Host {
    /// Starts the host and waits until it serves.
    pub fn start(options: &HostOptions) -> anyhow::Result<Self> {
        Self::start_with(options, &[])
    }

    /// Like [`Self::start`], with more environment variables. Pass secrets in this way, because other users
    /// of the machine can read the arguments of a process.
    pub fn start_with(options: &HostOptions, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (mut command, listen) = match options.kind {
            HostKind::Embedded => (Command::new(embedded_host_file()), options.listen.clone()),
            HostKind::Spin => {
                // Spin does not accept port 0.
                let listen = match options.listen.strip_suffix(":0") {
                    Some(address) => format!("{address}:{}", ports::free()?),
                    None => options.listen.clone(),
                };
                (Command::new(std::env::var_os("SPIN_BIN").unwrap_or_else(|| "spin".into())), listen)
            }
        };
        command.arg("up").arg("-f").arg(&options.manifest).args(["--listen", &listen]);
        command.arg("--state-dir").arg(&options.state_dir);
        for (name, value) in &options.variables {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        command.envs(environment.iter().copied());
        if options.quiet {
            command.arg("--quiet");
        }
        if options.meter {
            command.arg("--meter");
        }
        if !options.variable_delay.is_zero() {
            let milliseconds = options.variable_delay.as_millis().to_string();
            command.args(["--slow-variables-milliseconds", &milliseconds]);
        }
        let output =
            Output { print_behind: options.print_prefix.then(String::new), log: options.log.clone() };
        let mut child = Running::start("the host", command, &output).with_context(|| match options.kind {
            HostKind::Embedded => "build the embedded host first: cargo build --profile host -p local-host",
            HostKind::Spin => "install Spin 4 and its cron plugin (https://spinframework.dev/install), or use --host embedded",
        })?;
        let url = child.wait_until(Duration::from_secs(90), |child| {
            child.lines().iter().find_map(|line| line.strip_prefix("Serving ").map(str::to_owned))
        })?;
        Ok(Self { child, url, kind: options.kind })
    }

    /// The address at which the host serves, e.g. `http://127.0.0.1:3978`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The id of the host's process. Spin's process has a child for each trigger.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Every line that the host or its components have written so far: for the embedded host the lines of
    /// stdout, and for Spin also the lines of stderr. The embedded host puts `[component] ` in front of a
    /// component's line. Spin writes the lines of components to stderr (spin:
    /// crates/trigger/src/cli/stdio.rs).
    pub fn lines(&self) -> Vec<String> {
        match self.kind {
            HostKind::Embedded => self.child.lines(),
            HostKind::Spin => self.child.output(),
        }
    }

    /// Every line that the host or its components have written so far, to stdout or stderr.
    pub fn output(&self) -> Vec<String> {
        self.child.output()
    }

    /// If the host has ended by itself, returns a message with the exit status and the last lines of output.
    pub fn has_ended(&mut self) -> Option<String> {
        self.child.has_ended()
    }

    /// Kills the host, as a power cut would.
    pub fn kill_now(&mut self) {
        self.child.kill_now();
    }

    /// Asks the host to end, and kills it if it has not ended in time.
    pub fn stop(&mut self) {
        self.child.stop();
    }
}
