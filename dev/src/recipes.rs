//! Checks the deploy scripts, the systemd service and the project's GitHub workflows. The checks do not run
//! the scripts, the service or the workflows, and use no network.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::steps::{shown, silent};
use crate::workspace::root;

const SERVICE: &str = "proactive-bot.service";
/// The names of the systemd targets that the service needs. A target is a named group of services, e.g.
/// `network-online`. The check verifies the service in a separate folder, and writes a stand-in file for each
/// target into this folder.
const UNITS: [&str; 5] = ["basic", "multi-user", "network-online", "shutdown", "sysinit"];
/// The first version of systemd in which `systemd-analyze security` has the option `--offline`.
const SYSTEMD: u32 = 250;
/// The highest exposure that the check accepts. `systemd-analyze security` rates how much a service is
/// exposed to attacks, from 0.0 (best) to 10.0 (worst). The program's option `--threshold` takes ten times
/// the rating, so `20` means the rating 2.0.
const EXPOSURE: &str = "20";

/// The reason why ShellCheck cannot be installed on this machine; `None` if ShellCheck can be installed. For
/// Linux, PyPI has ShellCheck only for x86-64.
pub fn shellcheck_is_missing() -> Option<String> {
    let is_missing = cfg!(all(target_os = "linux", not(target_arch = "x86_64")));
    is_missing.then(|| "PyPI has no ShellCheck for this machine; CI checks the scripts".to_owned())
}

/// Checks all shell scripts below `deploy` with ShellCheck.
pub fn check_scripts(shellcheck: &Path) -> anyhow::Result<()> {
    let mut scripts = Vec::new();
    find(&root().join("deploy"), "sh", &mut scripts)?;
    ensure!(!scripts.is_empty(), "deploy: expected scripts, found none");
    let mut command = Command::new(shellcheck);
    command.args(["--external-sources", "--source-path", "."]).args(&scripts).current_dir(root());
    silent(command)
}

/// Checks the workflows. actionlint checks the syntax of the workflows, and the scripts in the workflows.
/// zizmor looks for security problems.
pub fn check_workflows(actionlint: &Path, shellcheck: Option<&Path>, zizmor: &Path) -> anyhow::Result<()> {
    let mut workflows = Vec::new();
    find(&root().join(".github/workflows"), "yml", &mut workflows)?;
    ensure!(!workflows.is_empty(), ".github/workflows: expected workflows, found none");
    let mut lint = Command::new(actionlint);
    // If ShellCheck is missing, the empty path tells actionlint not to run ShellCheck.
    lint.arg("-shellcheck").arg(shellcheck.unwrap_or(Path::new(""))).args(&workflows).current_dir(root());
    silent(lint)?;
    let mut audit = Command::new(zizmor);
    audit.args(["--offline", "--no-progress", "--quiet"]).args(&workflows).current_dir(root());
    silent(audit)
}

/// Verifies the service with `systemd-analyze`, a program of systemd. First makes a folder with the service,
/// and with stand-ins for Spin and for the systemd targets. If systemd is missing or too old, checks nothing,
/// and returns the reason.
pub fn check_service() -> anyhow::Result<Option<String>> {
    let Some(version) = systemd_version() else {
        return Ok(Some(
            "systemd-analyze is not installed (Debian and Ubuntu: apt-get install systemd)".to_owned(),
        ));
    };
    if version < SYSTEMD {
        return Ok(Some(format!("systemd: expected {SYSTEMD} or newer, found {version}; update the system")));
    }
    let folder = root().join("target/systemd");
    let units = folder.join("etc/systemd/system");
    let write = |path: PathBuf, text: &[u8]| {
        std::fs::create_dir_all(path.parent().context("the file is in a folder")?)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for unit in UNITS {
        write(units.join(format!("{unit}.target")), b"[Unit]\nDescription=a stand-in\n")?;
    }
    let spin = folder.join("usr/local/bin/spin");
    write(spin.clone(), b"#!/bin/sh\n")?;
    #[cfg(unix)]
    std::fs::set_permissions(&spin, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let service = root().join("deploy/systemd").join(SERVICE);
    let text = std::fs::read(&service).with_context(|| format!("cannot read {}", service.display()))?;
    write(units.join(SERVICE), &text)?;

    let mut verify = Command::new("systemd-analyze");
    verify.arg(format!("--root={}", folder.display())).args(["verify", SERVICE]);
    let command = shown(&verify);
    let output = verify.output().with_context(|| format!("cannot run {command}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    // If a setting in the file has a wrong name or value, `systemd-analyze verify` prints a message, and
    // still exits with 0. So the check fails on any message.
    ensure!(output.status.success() && messages.trim().is_empty(), "{command} failed:\n{messages}");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--no-pager"]).arg(format!("--threshold={EXPOSURE}"));
    security.arg(&service);
    silent(security)?;
    Ok(None)
}

/// The version in the first line of `systemd-analyze --version`: `systemd 252 (252.38-1)`.
fn systemd_version() -> Option<u32> {
    let output = Command::new("systemd-analyze").arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1)?.parse().ok()
}

/// Finds all files with this extension below `folder`. Adds their paths to `files`, and sorts `files`.
fn find(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find(&path, extension, files)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(name: &str) -> String {
        std::fs::read_to_string(root().join(".github/workflows").join(name)).unwrap()
    }

    #[test]
    fn every_action_is_pinned_by_hash_and_names_its_version() {
        for name in ["ci.yml", "release.yml"] {
            for line in workflow(name).lines() {
                let Some((_, action)) = line.split_once("uses: ") else { continue };
                if action.starts_with("./") {
                    continue;
                }
                let (action, version) = action.split_once(" # v").unwrap_or_else(|| panic!("{name}: {line}"));
                let (_, hash) = action.split_once('@').unwrap_or_else(|| panic!("{name}: {line}"));
                assert!(
                    hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
                    "{name}: {line}"
                );
                assert_eq!(version.split('.').count(), 3, "{name}: {line}");
            }
        }
    }

    #[test]
    fn ci_runs_the_test_command_and_both_workflows_use_the_rust_of_the_project() {
        assert!(workflow("ci.yml").contains("run: cargo dev test\n"));
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap();
        let toolchain = format!("rustup toolchain install {}.0 ", version.trim_end_matches('"'));
        for name in ["ci.yml", "release.yml"] {
            assert!(workflow(name).contains(&toolchain), "{name}: expected {toolchain}");
        }
    }
}
