//! `cargo dev bench`: builds the components and the Spin host, and runs the program `bench`, which measures
//! the components and the host.

use clap::Args;
use dev::steps::{cargo, last, loud};
use dev::{build, tools};

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Options of the benchmarks; `cargo dev bench -- --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        tools::install_wasm_target()?;
        loud("components", build::components())?;
        loud("guest for comparison", build::bench_guest())?;
        if let Some(command) = build::embedded_host() {
            loud("embedded host", command)?;
        }
        // The program `bench` measures the components' code twice: as WebAssembly, and as native code inside
        // of `bench`. Cargo builds the WebAssembly with the profile `release`, and `bench` with the profile
        // `host`. Both profiles have the same `opt-level`, so the two measurements can be compared.
        let mut command = cargo(&["run", "--profile", "host", "-p", "bench", "--"]);
        command.args(self.arguments);
        last("benchmarks", command)
    }
}
