//! The native build: the code of the components (bot and poller), compiled for this machine. The native build
//! serves the same paths as the components. The benchmark compares the components with the native build.

mod host;
mod server;

use std::net::SocketAddr;

use clap::Args;

use host::Shared;
pub use host::{NativeHost, Variables};

/// The options of the native build, which runs in a process of its own.
#[derive(Debug, Clone, Args)]
pub struct Native {
    /// The address on which to serve; port 0 picks a free port
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Opens a connection for each outbound call
    #[arg(long)]
    fresh_connections: bool,
    /// The value of a variable; can be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    variable: Vec<String>,
}

impl Native {
    /// Serves until the process ends.
    pub fn run(self) -> anyhow::Result<()> {
        let variables = self.variable.iter().filter_map(|pair| pair.split_once('='));
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        server::serve(self.listen, Shared::new(Variables(variables)), self.fresh_connections)
    }
}
