//! Builds the components and the embedded host. The embedded host is the project's own Spin host (the crate
//! `local-host`), which can replace Spin.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::steps::cargo;
use crate::workspace::target;

/// The environment variable with the path of an embedded host that is already built.
const BUILT_HOST: &str = "LOCAL_HOST_BIN";

/// The WebAssembly files of the bot (`bot_component`) and the poller (`trigger_component`), each with its
/// name and path.
pub fn component_files() -> [(&'static str, PathBuf); 2] {
    ["bot_component", "trigger_component"]
        .map(|name| (name, target().join(format!("wasm32-wasip2/release/{name}.wasm"))))
}

/// The command that builds both components with the profile `release`.
pub fn components() -> Command {
    cargo(&[
        "build",
        "--release",
        "--target",
        "wasm32-wasip2",
        "-p",
        "bot-component",
        "-p",
        "trigger-component",
    ])
}

/// The command that builds `bench-guest`, a small component for comparison. The benchmarks compare the bot
/// and the poller with `bench-guest`.
pub fn bench_guest() -> Command {
    cargo(&["build", "--release", "--target", "wasm32-wasip2", "-p", "bench-guest"])
}

/// Prints the sizes of the built components.
pub fn print_sizes() -> anyhow::Result<()> {
    for (name, path) in component_files() {
        let bytes =
            std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
        println!("{name}.wasm: {bytes} bytes");
    }
    Ok(())
}

/// The command that builds the embedded host; `None` if `LOCAL_HOST_BIN` names a host that is built already.
///
/// The host has its own profile `host`. With the profile `release` of the components, cargo would need
/// minutes to compile wasmtime, the host's runtime for WebAssembly.
pub fn embedded_host() -> Option<Command> {
    if std::env::var_os(BUILT_HOST).is_some() {
        return None;
    }
    Some(cargo(&["build", "--profile", "host", "-p", "local-host"]))
}

/// The path of the built embedded host.
pub fn embedded_host_file() -> PathBuf {
    match std::env::var_os(BUILT_HOST) {
        Some(path) => path.into(),
        None => target().join("host").join(if cfg!(windows) { "local-host.exe" } else { "local-host" }),
    }
}
