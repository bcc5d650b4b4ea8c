//! The options of `cargo dev doctor`. The command builds the program `doctor`, and passes the options on to
//! this program.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;

/// The files and the address that the doctor (the program `doctor`) examines.
#[derive(Debug, Args)]
pub struct DoctorOptions {
    /// A file with lines such as SPIN_VARIABLE_QUEUENAME=bot-queue. The doctor examines these variables, the
    /// bot's login, the channels' signing keys and the storage account [default without --url: .env]
    #[arg(long, value_name = "FILE")]
    pub env: Option<PathBuf>,
    /// The address of the running application, or the messaging endpoint that is registered in Azure (the
    /// address to which channels send messages). If you give the endpoint, the doctor also checks the
    /// endpoint's path. If you also give --env, the doctor starts one run of the poller
    #[arg(long)]
    pub url: Option<String>,
    /// The app package for Teams; the doctor compares the package's bot with the variable microsoftappid
    #[arg(long, value_name = "FILE")]
    pub teams: Option<PathBuf>,
    /// The Spin manifest that is deployed [default: deploy/spin.http.toml]
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

impl DoctorOptions {
    /// If `--env` and `--url` are both missing, sets `--env` to the file `.env`, which Spin reads, too. Fails
    /// if `.env` is missing as well, because the doctor then has nothing to examine.
    pub fn with_default_env(mut self) -> anyhow::Result<Self> {
        let default = Path::new(".env");
        if self.env.is_none() && self.url.is_none() && default.exists() {
            self.env = Some(default.to_owned());
        }
        ensure!(
            self.env.is_some() || self.url.is_some(),
            "nothing to examine, and there is no .env; give --env FILE with the variables, --url https://<app>, or both"
        );
        Ok(self)
    }
}
