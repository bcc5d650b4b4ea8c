//! `cargo dev doctor`: builds and starts the program `doctor`. This program examines a deployment.

use anyhow::Context;
use dev::doctor_options::DoctorOptions;
use dev::steps::{cargo, last};

pub(crate) fn run(options: DoctorOptions) -> anyhow::Result<()> {
    let DoctorOptions { env, url, teams, manifest } = options.with_defaults()?;
    let mut command = cargo(&["run", "-p", "doctor", "--"]);
    for (option, file) in [("--env", env), ("--teams", teams), ("--manifest", manifest)] {
        let Some(file) = file else { continue };
        // The command runs in the workspace's folder, where a relative path would name another file.
        let file = std::path::absolute(&file).with_context(|| format!("{option}: expected a file"))?;
        command.arg(option).arg(file);
    }
    if let Some(url) = url {
        command.arg("--url").arg(url);
    }
    last("doctor", command)
}
