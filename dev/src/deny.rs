//! `cargo deny` by `deny.toml`: which licences, sources and crates the workspace takes, and known weaknesses of them.

use std::path::Path;
use std::process::Command;

use crate::steps::{loud, shown};
use crate::workspace::root;

/// What needs no network: the lock file and the crates' own manifests tell it.
pub fn check(program: &Path) -> anyhow::Result<()> {
    loud("licences, bans, sources", in_workspace(program, &["check", "licenses", "bans", "sources"]))
}

/// Checks the crates against RustSec's database, which is on GitHub. Where it cannot be fetched, returns why: an old copy
/// would look like a check and be none.
pub fn check_advisories(program: &Path) -> anyhow::Result<Option<String>> {
    let mut fetch = in_workspace(program, &["fetch", "db"]);
    // Nobody is there to type a password, and a network that swallows packets must not hold up the rest.
    fetch
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs([("GIT_HTTP_LOW_SPEED_LIMIT", "1000"), ("GIT_HTTP_LOW_SPEED_TIME", "20")]);
    let command = shown(&fetch);
    let is_fetched = fetch.output().is_ok_and(|output| output.status.success());
    if !is_fetched {
        return Ok(Some(format!(
            "known weaknesses were NOT looked for, because github.com/RustSec/advisory-db cannot be fetched; to see why: \
             {command}"
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
