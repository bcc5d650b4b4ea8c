//! Runs the program `cargo deny`, which checks the workspace's crates and dependencies: their licences and
//! sources, banned crates, and known vulnerabilities. `deny.toml` has the rules.

use std::path::Path;
use std::process::Command;

use crate::steps::{loud, shown};
use crate::workspace::root;

/// Checks licences, banned crates and sources. The check needs no network, because it reads only the lock
/// file and the crates' manifests.
pub fn check(program: &Path) -> anyhow::Result<()> {
    loud("licences, bans, sources", in_workspace(program, &["check", "licenses", "bans", "sources"]))
}

/// Looks for the crates in RustSec's list of known vulnerabilities, a database on GitHub. If this function
/// cannot fetch the database, it checks nothing, and returns a message. The message names the command that
/// shows the reason. The function does not use an old copy of the database, because the newest
/// vulnerabilities are perhaps missing in the copy.
pub fn check_advisories(program: &Path) -> anyhow::Result<Option<String>> {
    let mut fetch = in_workspace(program, &["fetch", "db"]);
    // git must not ask for a password, because no person can type a password here. If git receives less than
    // 1 000 bytes/s for 20 s, git stops, so a bad network does not block the other steps.
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
