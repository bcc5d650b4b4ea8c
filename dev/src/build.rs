//! Building what the host runs, and the host.

use std::path::PathBuf;

use anyhow::Context;

use crate::steps::{cargo, loud};
use crate::workspace::target;

/// The built components: name and path.
pub fn component_files() -> [(&'static str, PathBuf); 2] {
    ["bot_component", "trigger_component"]
        .map(|name| (name, target().join(format!("wasm32-wasip2/release/{name}.wasm"))))
}

/// Builds both components in release.
pub fn components() -> anyhow::Result<()> {
    let arguments =
        ["build", "--release", "--target", "wasm32-wasip2", "-p", "bot-component", "-p", "trigger-component"];
    loud("components", cargo(&arguments))
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

/// Builds the embedded host, in its own profile: the guests' release profile would spend minutes on wasmtime.
/// Whoever names one with `LOCAL_HOST_BIN` has it already.
pub fn embedded_host() -> anyhow::Result<PathBuf> {
    if std::env::var_os("LOCAL_HOST_BIN").is_some() {
        return Ok(embedded_host_file());
    }
    loud("embedded host", cargo(&["build", "--profile", "host", "-p", "local-host"]))?;
    Ok(embedded_host_file())
}

/// Where the embedded host is, once built.
pub fn embedded_host_file() -> PathBuf {
    match std::env::var_os("LOCAL_HOST_BIN") {
        Some(path) => path.into(),
        None => target().join("host").join(if cfg!(windows) { "local-host.exe" } else { "local-host" }),
    }
}
