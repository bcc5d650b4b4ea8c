//! The program behind `cargo dev doctor`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use dev::workspace::root;
use doctor::{EnvFile, Examination, Machine, Manifest, block_on, examine};

/// Says what is wrong with a deployment, and what to do. Exit status: 0 without a problem, 1 with one, 2 if
/// nothing could be examined.
#[derive(Debug, Parser)]
#[command(name = "cargo dev doctor")]
struct Cli {
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    #[arg(long)]
    url: Option<String>,
    #[arg(long, value_name = "FILE")]
    teams: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
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
    let Cli { env, url, teams, manifest } = cli;
    if env.is_none() && url.is_none() {
        bail!("nothing to examine; give --env FILE with the variables, --url https://<app>, or both");
    }
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
