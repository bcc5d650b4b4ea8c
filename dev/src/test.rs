//! `cargo dev test`: everything that has to hold, in the order in which it fails fastest.

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use dev::browser::Browser;
use dev::host::HostKind;
use dev::progress::quiet;
use dev::steps::{cargo, loud};
use dev::{build, tools};

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// What runs the components end to end: the embedded host, or `spin up`
    #[arg(long, value_enum, default_value = "embedded")]
    host: HostKind,
    /// Runs only the end-to-end tests whose names contain this
    filter: Option<String>,
}

const GUESTS: [&str; 4] = ["-p", "bot-component", "-p", "trigger-component"];

impl Test {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        tools::expect_node()?;
        tools::install_wasm_target()?;
        tools::install_lints()?;
        let mut steps = Steps::default();
        std::thread::scope(|scope| {
            let npm = scope.spawn(tools::install_npm_packages);
            if self.filter.is_none() {
                checks(&mut steps)?;
            }
            steps.run("components", || loud("components", build::components()))?;
            if let Some(command) = build::embedded_host() {
                steps.run("embedded host", || loud("embedded host", command))?;
            }
            steps.run("npm packages", || {
                quiet("npm packages", || npm.join().unwrap_or_else(|_| bail!("npm's thread broke")))
            })?;
            steps.run("end-to-end tests", || self.end_to_end())
        })?;
        steps.print();
        if self.filter.is_none() && Browser::find().is_none() {
            println!("   skipped  the chat page in a browser: {}", dev::browser::MISSING);
        }
        Ok(())
    }

    fn end_to_end(&self) -> anyhow::Result<()> {
        let mut command = cargo(&["test", "-p", "end-to-end", "--"]);
        command.args(&self.filter);
        command.env(
            "E2E_HOST",
            match self.host {
                HostKind::Embedded => "embedded",
                HostKind::Spin => "spin",
            },
        );
        loud("end-to-end tests", command)
    }
}

fn checks(steps: &mut Steps) -> anyhow::Result<()> {
    steps.run("format", || loud("format", cargo(&["fmt", "--all", "--check"])))?;
    let deny = ["--", "-D", "warnings"];
    let lint = |name: &str, arguments: &[&str]| {
        loud(name, cargo(&[&["clippy", "--all-targets"], arguments, &deny].concat()))
    };
    steps.run("lints", || lint("lints", &["--workspace", "--exclude", "local-host"]))?;
    steps.run("lints of the guests", || {
        let arguments = [&["clippy", "--release", "--target", "wasm32-wasip2"], &GUESTS[..], &deny].concat();
        loud("lints of the guests", cargo(&arguments))
    })?;
    steps
        .run("lints of the host", || lint("lints of the host", &["--profile", "host", "-p", "local-host"]))?;
    steps.run("unit tests", || {
        loud(
            "unit tests",
            cargo(&["test", "--workspace", "--exclude", "local-host", "--exclude", "end-to-end"]),
        )
    })?;
    steps.run("unit tests of the host", || {
        loud("unit tests of the host", cargo(&["test", "--profile", "host", "-p", "local-host"]))
    })
}

#[derive(Debug, Default)]
struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    fn run(&mut self, name: &'static str, step: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let start = Instant::now();
        step()?;
        self.done.push((name, start.elapsed()));
        Ok(())
    }

    fn print(&self) {
        println!("\nEverything passed:");
        for (name, took) in &self.done {
            println!("{:>8.1} s  {name}", took.as_secs_f64());
        }
    }
}
