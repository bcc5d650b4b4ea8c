//! `cargo dev doctor`: builds the crate `doctor`, which examines a deployment, and starts it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use dev::steps::{cargo, last};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// A file with lines SPIN_VARIABLE_<NAME>=value: examines variables, login, signing keys and storage
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    /// The address of the running application, or the messaging endpoint that is registered in Azure. With
    /// --env too, the doctor starts one run of the poller
    #[arg(long)]
    url: Option<String>,
    /// The app package for Teams, to compare with microsoftappid
    #[arg(long, value_name = "FILE")]
    teams: Option<PathBuf>,
    /// The manifest that is deployed [default: deploy/spin.http.toml]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
}

impl Doctor {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self { env, url, teams, manifest } = self;
        // `.env` is the file that Spin reads by itself.
        let default = Path::new(".env");
        let env = env.or_else(|| (url.is_none() && default.exists()).then(|| default.to_owned()));
        if env.is_none() && url.is_none() {
            bail!(
                "nothing to examine, and there is no .env; give --env FILE with the variables, --url https://<app>, or both"
            );
        }
        let mut command = cargo(&["run", "-p", "doctor", "--"]);
        for (option, file) in [("--env", env), ("--teams", teams), ("--manifest", manifest)] {
            let Some(file) = file else { continue };
            // The command runs in the workspace's folder.
            let file = std::path::absolute(&file).with_context(|| format!("{option}: expected a file"))?;
            command.arg(option).arg(file);
        }
        if let Some(url) = url {
            command.arg("--url").arg(url);
        }
        last("doctor", command)
    }
}
