//! The program that `cargo dev doctor` starts.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use dev::doctor_options::DoctorOptions;
use dev::workspace::root;
use doctor::{EnvFile, Examination, Machine, Manifest, block_on, examine};

/// Says what is wrong with a deployment, and what to do. Exit status: 0 if the doctor finds no problem, 1 if
/// the doctor finds a problem, 2 if the doctor cannot start its checks.
#[derive(Debug, Parser)]
#[command(name = "cargo dev doctor")]
struct Cli {
    #[command(flatten)]
    options: DoctorOptions,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<bool> {
    let DoctorOptions { env, url, teams, manifest } = cli.options.with_default_env()?;
    let manifest = manifest.unwrap_or_else(|| root().join("deploy/spin.http.toml"));
    let manifest = Manifest::read(&manifest)?;
    let env = env.map(|path| EnvFile::read(&path, &manifest)).transpose()?;
    let package = teams.map(|path| {
        std::fs::read(&path).with_context(|| format!("{}: cannot be read; check --teams", path.display()))
    });
    let examination = Examination { manifest, env, url, package: package.transpose()? };
    let report = block_on(examine(&Machine::default(), &examination));
    println!("{report}");
    Ok(report.is_fine())
}
