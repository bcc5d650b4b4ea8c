//! Checks that Node.js is installed. Installs the npm packages and the parts of Rust that are missing.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::steps::{loud, silent};
use crate::workspace::root;

/// The major version of the oldest Node.js that runs Azurite (the storage emulator) and Microsoft's
/// Playground (the local chat page).
const NODE_MAJOR: u32 = 20;

/// A `node` command.
pub fn node() -> Command {
    Command::new("node")
}

/// Fails if Node.js is missing or too old. The error is one sentence, which also says what to install.
pub fn expect_node() -> anyhow::Result<()> {
    let remedy = format!(
        "install Node.js {NODE_MAJOR} or newer (https://nodejs.org, or your package manager), then run this again"
    );
    let Ok(output) = node().arg("--version").output() else { bail!("Node.js: not found; {remedy}") };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match major(&version) {
        Some(major) if major >= NODE_MAJOR => Ok(()),
        _ => bail!("Node.js: expected {NODE_MAJOR} or newer, found {version}; {remedy}"),
    }
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// The folder of the npm packages.
pub fn node_modules() -> PathBuf {
    root().join("dev/node_modules")
}

/// Installs the npm packages of `dev/package-lock.json`. After an installation, the function writes a copy of
/// the lock file into `dev/node_modules`. If the copy still equals the lock file, the function installs
/// nothing.
pub fn install_npm_packages() -> anyhow::Result<()> {
    expect_node()?;
    let lock_file = root().join("dev/package-lock.json");
    let wanted = std::fs::read(&lock_file).with_context(|| format!("cannot read {}", lock_file.display()))?;
    let stamp = node_modules().join(".installed-lock.json");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    // npm runs no install scripts, because no package needs such a script.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(root().join("dev"));
    silent(npm)?;
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Installs `wasm32-wasip2`, the compile target of the components, if it is missing.
pub fn install_wasm_target() -> anyhow::Result<()> {
    let output =
        Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-wasip2"]).output();
    let libraries =
        output.context("Rust: not found; install it from https://rustup.rs, then run this again")?;
    if PathBuf::from(String::from_utf8_lossy(&libraries.stdout).trim()).is_dir() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", "wasm32-wasip2"]);
    loud("Rust target wasm32-wasip2", rustup).context(
        "Rust target wasm32-wasip2: cannot be installed; without rustup, install it with the tool that installed Rust",
    )
}

/// Installs rustfmt if it is missing, and clippy if it is missing.
pub fn install_rustfmt_and_clippy() -> anyhow::Result<()> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let there = Command::new("cargo").args([subcommand, "--version"]).output();
        if !there.is_ok_and(|output| output.status.success()) {
            let mut rustup = Command::new("rustup");
            rustup.args(["component", "add", component]);
            loud(component, rustup)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_version_gives_its_major_number() {
        for (text, expected) in
            [("v20.20.2", Some(20)), ("v8.0.0", Some(8)), ("20", None), ("", None), ("vX", None)]
        {
            assert_eq!(major(text), expected, "{text}");
        }
    }

    #[test]
    fn lock_file_pins_the_packages() {
        let lock = std::fs::read_to_string(root().join("dev/package-lock.json")).unwrap();
        for (package, version) in [
            ("@grafana/schema", "13.2.3"),
            ("azurite", "3.35.0"),
            ("@microsoft/app-manifest", "1.1.2"),
            ("axe-core", "4.14.1"),
            ("@microsoft/m365agentsplayground", "0.2.28"),
            ("playwright-core", "1.65.1"),
            ("typescript", "5.9.3"),
        ] {
            let entry = format!("\"node_modules/{package}\": {{\n      \"version\": \"{version}\"");
            assert!(lock.contains(&entry), "{package} {version}");
        }
        assert!(!lock.contains("\"resolved\""), "expected a lock file without the addresses of a registry");
    }
}
