//! Building what the host runs, and the host.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::steps::cargo;
use crate::workspace::target;

/// Names an embedded host that is built already.
const BUILT_HOST: &str = "LOCAL_HOST_BIN";

/// The built components: name and path.
pub fn component_files() -> [(&'static str, PathBuf); 2] {
    ["bot_component", "trigger_component"]
        .map(|name| (name, target().join(format!("wasm32-wasip2/release/{name}.wasm"))))
}

/// The command that builds both components in release.
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

/// The command that builds what the components are compared with.
pub fn bench_guest() -> Command {
    cargo(&["build", "--release", "--target", "wasm32-wasip2", "-p", "bench-guest"])
}

/// Prints how large the components are.
pub fn print_sizes() -> anyhow::Result<()> {
    for (name, path) in component_files() {
        let bytes =
            std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
        println!("{name}.wasm: {bytes} bytes");
    }
    Ok(())
}

/// The command that builds the embedded host, in its own profile: the guests' release profile would spend minutes on
/// wasmtime. `None` if the environment names a host that is built already, with `LOCAL_HOST_BIN`.
pub fn embedded_host() -> Option<Command> {
    if std::env::var_os(BUILT_HOST).is_some() {
        return None;
    }
    Some(cargo(&["build", "--profile", "host", "-p", "local-host"]))
}

/// Where the embedded host is, once built.
pub fn embedded_host_file() -> PathBuf {
    match std::env::var_os(BUILT_HOST) {
        Some(path) => path.into(),
        None => target().join("host").join(if cfg!(windows) { "local-host.exe" } else { "local-host" }),
    }
}
