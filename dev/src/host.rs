//! Starts a Spin host (the program that runs the components): the embedded host, which is part of this
//! project, or Spin itself. Both hosts take the flags that this module sets, except `--meter` and
//! `--slow-variables-milliseconds`. Only the embedded host takes these two flags.

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
    /// The project's own host, which runs the components with the library wasmtime.
    Embedded,
    /// `spin up`; Spin 4 and its cron plugin must be installed.
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
    /// The names and values of the application's variables.
    pub variables: Vec<(String, String)>,
    /// The folder in which the host keeps Spin's key-value store.
    pub state_dir: PathBuf,
    /// If true, the host does not print the output of the components.
    pub quiet: bool,
    /// The file into which this process copies all output of the host.
    pub log: Option<PathBuf>,
    /// Whether this process also prints all output of the host. The prefix of each line is empty.
    pub print_prefix: bool,
    /// Whether the embedded host reports the memory and other resources that each instance of a component
    /// used.
    pub meter: bool,
    /// The time for which the embedded host delays each read of a variable.
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
    /// Starts the host, and waits until the host prints the address at which it serves HTTP.
    pub fn start(options: &HostOptions) -> anyhow::Result<Self> {
        Self::start_with(options, &[])
    }

    /// Starts the host like [`Self::start`], with additional environment variables. Pass secrets as
    /// environment variables, because other users of the machine can read the arguments of a process.
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
        let output = Output { prefix: options.print_prefix.then(String::new), log: options.log.clone() };
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

    /// The id of the host's process. Spin's process has a child process for each trigger, e.g. HTTP and cron.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Lines that the host and its components have written so far. For the embedded host, the result has only
    /// the lines of stdout. There, a component's line begins with the component's id, e.g. `[bot] `. For
    /// Spin, the result also has the lines of stderr, because Spin writes the lines of components to stderr
    /// (spin: crates/trigger/src/cli/stdio.rs).
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
    pub fn end_message(&mut self) -> Option<String> {
        self.child.end_message()
    }

    /// Kills the host without asking the host to end first.
    pub fn kill_now(&mut self) {
        self.child.kill_now();
    }

    /// Asks the host to end, and kills the host if it has not ended within a few seconds.
    pub fn stop(&mut self) {
        self.child.stop();
    }
}
