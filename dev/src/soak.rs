//! `cargo dev soak`: runs the long form of the end-to-end test `storm`, which takes some minutes. During this
//! test, the queue service, the table service and the Connector fail at random.

use clap::Args;
use dev::steps::{cargo, loud};
use dev::{build, tools};

#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// The seed that an earlier `cargo dev soak` printed; the same seed repeats the same faults
    #[arg(long)]
    seed: Option<u64>,
}

impl Soak {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        tools::expect_node()?;
        tools::install_wasm_target()?;
        loud("components", build::components())?;
        if let Some(command) = build::embedded_host() {
            loud("embedded host", command)?;
        }
        tools::install_npm_packages()?;
        let mut command = cargo(&["test", "-p", "end-to-end", "--", "storm"]);
        command.env("SOAK", "1");
        match self.seed {
            Some(seed) => command.env("SOAK_SEED", seed.to_string()),
            None => command.env_remove("SOAK_SEED"),
        };
        loud("soak", command)
    }
}
