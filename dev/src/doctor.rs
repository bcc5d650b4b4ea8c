//! `cargo dev doctor`: builds and starts the program `doctor`, which examines a deployment of the bot.

use anyhow::Context;
use dev::doctor_options::DoctorOptions;
use dev::steps::{cargo, last};

pub(crate) fn run(options: DoctorOptions) -> anyhow::Result<()> {
    let DoctorOptions { env, url, teams, manifest } = options.with_default_env()?;
    let mut command = cargo(&["run", "-p", "doctor", "--"]);
    for (option, file) in [("--env", env), ("--teams", teams), ("--manifest", manifest)] {
        let Some(file) = file else { continue };
        // A relative path is relative to the folder in which the person runs `cargo dev doctor`. The program
        // `doctor` runs in the workspace's folder, so the program gets an absolute path.
        let file = std::path::absolute(&file).with_context(|| format!("{option}: expected a file"))?;
        command.arg(option).arg(file);
    }
    if let Some(url) = url {
        command.arg("--url").arg(url);
    }
    last("doctor", command)
}
