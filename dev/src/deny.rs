//! Runs `cargo deny` with `deny.toml`: checks licences, sources, banned crates and known vulnerabilities.

use std::path::Path;
use std::process::Command;

use crate::steps::{loud, shown};
use crate::workspace::root;

/// Checks licences, bans and sources. The check needs no network, because it reads only the lock file and the
/// crates' manifests.
pub fn check(program: &Path) -> anyhow::Result<()> {
    loud("licences, bans, sources", in_workspace(program, &["check", "licenses", "bans", "sources"]))
}

/// Checks the crates against RustSec's database on GitHub. If the database cannot be fetched, this function
/// checks nothing, and returns the reason. The function does not use an old copy of the database, because the
/// copy perhaps lacks the newest advisories.
pub fn check_advisories(program: &Path) -> anyhow::Result<Option<String>> {
    let mut fetch = in_workspace(program, &["fetch", "db"]);
    // git must not ask for a password, because no person can type one here. If the network drops packets, git
    // stops after 20 s, so that the other steps are not delayed.
    fetch
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs([("GIT_HTTP_LOW_SPEED_LIMIT", "1000"), ("GIT_HTTP_LOW_SPEED_TIME", "20")]);
    let command = shown(&fetch);
    let is_fetched = fetch.output().is_ok_and(|output| output.status.success());
    if !is_fetched {
        return Ok(Some(format!(
            "known weaknesses are NOT checked, because github.com/RustSec/advisory-db cannot be fetched; to see the \
             reason, run: {command}"
        )));
    }
    loud("advisories", in_workspace(program, &["check", "advisories"]))?;
    Ok(None)
}

fn in_workspace(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["--log-level", "error"]).args(arguments).current_dir(root());
    command
}
