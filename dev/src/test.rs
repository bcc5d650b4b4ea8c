//! `cargo dev test`: runs all checks and tests. The quick checks run first, so that a failure shows early.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use dev::browser::Browser;
use dev::host::HostKind;
use dev::progress::quiet;
use dev::python::{self, Program};
use dev::steps::{cargo, loud};
use dev::{arm, build, circles, deny, monitoring, recipes, spinkube, teams_package, tools, words};

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The host that runs the components end to end: the embedded host, or `spin up`
    #[arg(long, value_enum, default_value = "embedded")]
    host: HostKind,
    /// Runs only the end-to-end tests whose names contain this text
    filter: Option<String>,
}

/// Cargo's options for the *guests*: the packages that compile to WebAssembly components.
const GUESTS: [&str; 6] = ["-p", "bot-component", "-p", "trigger-component", "-p", "bench-guest"];

impl Test {
    /// Runs all steps. With a filter, runs only the installations, the builds and the end-to-end tests. `cli`
    /// is clap's definition of the options of `cargo dev`. The step `words` uses `cli` to check the commands
    /// in Markdown.
    pub(crate) fn run(self, cli: &clap::Command) -> anyhow::Result<()> {
        tools::expect_node()?;
        tools::install_wasm_target()?;
        tools::install_rustfmt_and_clippy()?;
        let mut steps = Steps::default();
        std::thread::scope(|scope| {
            let npm = scope.spawn(tools::install_npm_packages);
            if self.filter.is_none() {
                checks(&mut steps, cli)?;
            }
            steps.run("components", || loud("components", build::components()))?;
            steps.run("component for the benchmarks", || {
                loud("component for the benchmarks", build::bench_guest())
            })?;
            if let Some(command) = build::embedded_host() {
                steps.run("embedded host", || loud("embedded host", command))?;
            }
            steps.run("npm packages", || {
                quiet("npm packages", || {
                    npm.join().unwrap_or_else(|_| bail!("the thread that runs npm panicked"))
                })
            })?;
            if self.filter.is_none() {
                steps.run("Teams package", || quiet("Teams package", teams_package::check::run))?;
                steps.run("Grafana dashboard", || quiet("Grafana dashboard", monitoring::check_dashboard))?;
            }
            let schemathesis = self.schemathesis(&mut steps)?;
            let openmetrics = self.openmetrics(&mut steps)?;
            steps.run("end-to-end tests", || self.end_to_end(schemathesis, openmetrics))
        })?;
        steps.print();
        if self.filter.is_none() && Browser::find().is_none() {
            println!("   skipped  the chat page in a browser: {}", dev::browser::MISSING);
        }
        if self.filter.is_none() && !has_alertmanager() {
            println!(
                "   skipped  Alertmanager: not installed (Debian and Ubuntu: apt-get install prometheus-alertmanager)"
            );
        }
        Ok(())
    }

    /// Installs Schemathesis, which tests the bot's HTTP API. Returns `None` if the filter leaves out the
    /// test that needs Schemathesis, or if Python is missing or too old.
    fn schemathesis(&self, steps: &mut Steps) -> anyhow::Result<Option<PathBuf>> {
        const TEST: &str = "openapi::openapi_description_matches_the_running_components";
        if self.filter.as_ref().is_some_and(|filter| !TEST.contains(filter.as_str())) {
            return Ok(None);
        }
        match steps.install("schemathesis")? {
            Program::There(program) => Ok(Some(program)),
            Program::Missing(why) => {
                steps.skip(TEST, why);
                Ok(None)
            }
        }
    }

    /// Installs Prometheus' Python library, which can parse metrics. Returns the Python that can import the
    /// library. Returns `None` if the filter leaves out the test that needs the library, or if Python is
    /// missing or too old.
    fn openmetrics(&self, steps: &mut Steps) -> anyhow::Result<Option<PathBuf>> {
        const TEST: &str = "openmetrics::metrics_are_read_by_the_parser_of_prometheus";
        if self.filter.as_ref().is_some_and(|filter| !TEST.contains(filter.as_str())) {
            return Ok(None);
        }
        const NAME: &str = "prometheus-client";
        let start = Instant::now();
        match quiet(NAME, || python::install_library(NAME))? {
            Program::There(python) => {
                steps.done.push((NAME, start.elapsed()));
                Ok(Some(python))
            }
            Program::Missing(why) => {
                steps.skip(TEST, why);
                Ok(None)
            }
        }
    }

    fn end_to_end(&self, schemathesis: Option<PathBuf>, openmetrics: Option<PathBuf>) -> anyhow::Result<()> {
        let mut command = cargo(&["test", "-p", "end-to-end", "--"]);
        command.args(&self.filter);
        command.env("SCHEMATHESIS", schemathesis.unwrap_or_default());
        command.env("OPENMETRICS_PYTHON", openmetrics.unwrap_or_default());
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

/// Whether Alertmanager is installed. The function looks for Alertmanager's tool `amtool` on the `PATH`,
/// because one Debian package installs both Alertmanager and `amtool`.
fn has_alertmanager() -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join("amtool").is_file())
}

/// Checks the crates on which the workspace depends: licences, sources, *bans* (crates and versions that
/// `deny.toml` refuses), and known vulnerabilities.
fn supply_chain(steps: &mut Steps) -> anyhow::Result<()> {
    match steps.install("cargo-deny")? {
        Program::Missing(why) => steps.skip("cargo deny", why),
        Program::There(program) => {
            steps.run("licences, bans, sources", || deny::check(&program))?;
            let mut unchecked = None;
            steps.run("advisories", || {
                unchecked = deny::check_advisories(&program)?;
                Ok(())
            })?;
            if let Some(why) = unchecked {
                steps.skip("advisories", why);
            }
        }
    }
    Ok(())
}

/// Checks the files in `deploy/spinkube`. These files are the recipe for a deployment on Kubernetes.
fn kubernetes(steps: &mut Steps) -> anyhow::Result<()> {
    let validator = match steps.install("kubernetes-validate")? {
        Program::There(program) => Some(program),
        Program::Missing(why) => {
            steps.skip("kubernetes-validate", why);
            None
        }
    };
    let mut skipped = Vec::new();
    steps.run("deploy/spinkube", || {
        skipped = spinkube::check(validator.as_deref())?;
        Ok(())
    })?;
    for check in skipped {
        steps.skip(check.name, check.why);
    }
    Ok(())
}

/// Compares the Azure template (`deploy/azure/azuredeploy.json`) with Azure's descriptions of resource types.
/// Unit tests check everything else in the template.
fn azure_template(steps: &mut Steps) -> anyhow::Result<()> {
    const STEP: &str = "types of the Azure template";
    let mut unchecked = None;
    steps.run(STEP, || {
        unchecked = arm::check_types()?;
        Ok(())
    })?;
    if let Some(why) = unchecked {
        steps.skip(STEP, why);
    }
    Ok(())
}

/// Checks the deploy scripts, the service file for systemd, and GitHub's workflows. The tools of these
/// checks, such as shellcheck, only read these files. The tests of the crate `dev` run the scripts.
fn deploy_recipes(steps: &mut Steps) -> anyhow::Result<()> {
    let mut unchecked = None;
    steps.run("service of systemd", || {
        unchecked = recipes::check_service()?;
        Ok(())
    })?;
    if let Some(why) = unchecked {
        steps.skip("service of systemd", why);
    }
    let shellcheck = match recipes::shellcheck_is_missing() {
        Some(why) => Program::Missing(why),
        None => steps.install("shellcheck")?,
    };
    let shellcheck = match shellcheck {
        Program::Missing(why) => {
            steps.skip("deploy scripts", why);
            None
        }
        Program::There(shellcheck) => {
            steps.run("deploy scripts", || recipes::check_scripts(&shellcheck))?;
            Some(shellcheck)
        }
    };
    match (steps.install("actionlint")?, steps.install("zizmor")?) {
        (Program::There(actionlint), Program::There(zizmor)) => {
            steps.run("workflows", || recipes::check_workflows(&actionlint, shellcheck.as_deref(), &zizmor))
        }
        (Program::Missing(why), _) | (_, Program::Missing(why)) => {
            steps.skip("workflows", why);
            Ok(())
        }
    }
}

/// Checks the files for Prometheus in `deploy/monitoring`. Unit tests and the step `Grafana dashboard` check
/// the other files of this folder.
fn monitoring_rules(steps: &mut Steps) -> anyhow::Result<()> {
    const STEP: &str = "rules for Prometheus";
    let mut unchecked = None;
    steps.run(STEP, || {
        unchecked = monitoring::check_rules()?;
        Ok(())
    })?;
    if let Some(why) = unchecked {
        steps.skip(STEP, why);
    }
    Ok(())
}

fn checks(steps: &mut Steps, cli: &clap::Command) -> anyhow::Result<()> {
    steps.run("words", || words::run(cli))?;
    steps.run("circles", circles::run)?;
    azure_template(steps)?;
    supply_chain(steps)?;
    kubernetes(steps)?;
    deploy_recipes(steps)?;
    monitoring_rules(steps)?;
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
    skipped: Vec<(&'static str, String)>,
}

impl Steps {
    fn run(&mut self, name: &'static str, step: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let start = Instant::now();
        step()?;
        self.done.push((name, start.elapsed()));
        Ok(())
    }

    /// Installs a program from PyPI. Returns `Missing` if Python is missing or too old.
    fn install(&mut self, name: &'static str) -> anyhow::Result<Program> {
        let start = Instant::now();
        let program = quiet(name, || python::install(name))?;
        if !matches!(program, Program::Missing(_)) {
            self.done.push((name, start.elapsed()));
        }
        Ok(program)
    }

    fn skip(&mut self, name: &'static str, why: String) {
        eprintln!("  SKIPPED {name}: {why}");
        // The summary must not list a skipped step among the steps that passed.
        self.done.retain(|(done, _)| *done != name);
        self.skipped.push((name, why));
    }

    fn print(&self) {
        println!("\nPassed:");
        for (name, took) in &self.done {
            println!("{:>8.1} s  {name}", took.as_secs_f64());
        }
        for (name, why) in &self.skipped {
            println!("   skipped  {name}: {why}");
        }
    }
}
