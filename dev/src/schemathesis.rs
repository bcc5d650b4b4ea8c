//! schemathesis, which tests `docs/openapi.yaml` against the running components. It needs Python, which nothing else here
//! does: without it that one test is skipped, and the summary says so.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::steps::silent;
use crate::workspace::root;

/// The oldest Python that it runs on.
const PYTHON_MINOR: u32 = 10;

/// Whether it can be run.
#[derive(Debug)]
pub enum Schemathesis {
    /// The program.
    There(PathBuf),
    /// Why not, and what to do.
    Missing(String),
}

/// Installs it into a Python environment of its own below `target`, unless exactly these versions are there.
pub fn install() -> anyhow::Result<Schemathesis> {
    let remedy = format!("install Python 3.{PYTHON_MINOR} or newer with its venv module");
    let python = if cfg!(windows) { "python" } else { "python3" };
    let version = "import ensurepip, sys, venv; print('{}.{}'.format(*sys.version_info))";
    let Ok(output) = Command::new(python).args(["-c", version]).output() else {
        return Ok(Schemathesis::Missing(format!("Python is missing: {remedy}")));
    };
    if !output.status.success() {
        return Ok(Schemathesis::Missing(format!("Python has no venv module: {remedy}")));
    }
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !is_new_enough(&version) {
        return Ok(Schemathesis::Missing(format!("Python is {version}: {remedy}")));
    }
    let folder = root().join("target/schemathesis");
    let programs = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let requirements = root().join("dev/schemathesis.txt");
    let wanted =
        std::fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let stamp = folder.join("installed.txt");
    if !std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        let mut venv = Command::new(python);
        venv.args(["-m", "venv", "--clear"]).arg(&folder);
        silent(venv)?;
        let mut pip = Command::new(programs.join("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(&requirements);
        silent(pip)?;
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    }
    Ok(Schemathesis::There(programs.join("schemathesis")))
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
    fn versions_of_python() {
        for (text, expected) in [
            ("3.10", true),
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
}
