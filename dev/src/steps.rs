//! Runs commands one after the other.

use std::process::Command;

use anyhow::{Context, bail};

/// Runs a command that shows its own progress.
pub fn loud(name: &str, mut command: Command) -> anyhow::Result<()> {
    let shown = shown(&command);
    eprintln!("  {name}: {shown}");
    let status = command.status().with_context(|| format!("{name}: cannot run {shown}"))?;
    if !status.success() {
        bail!("{name} failed ({status}); to run it alone: {shown}");
    }
    Ok(())
}

/// Runs a command as the last action of this process. The command shows its own progress. On Unix, the
/// command replaces this process, so a signal to this process ends the command.
pub fn last(name: &str, command: Command) -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        let mut command = command;
        let shown = shown(&command);
        eprintln!("  {name}: {shown}");
        // `exec` returns only if it fails.
        let error = std::os::unix::process::CommandExt::exec(&mut command);
        Err(error).with_context(|| format!("{name}: cannot run {shown}"))
    }
    #[cfg(not(unix))]
    loud(name, command)
}

/// Runs a command without showing the command's output. If the command fails, the error has the output.
pub fn silent(mut command: Command) -> anyhow::Result<()> {
    let shown = shown(&command);
    let output = command.output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{shown} failed ({})\n{stdout}{stderr}", output.status);
    }
    Ok(())
}

/// The program and the arguments of a command, separated by blanks.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A `cargo` command in the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    // `CARGO` is the cargo that started this process, so all commands of `cargo +toolchain dev …` use the
    // same toolchain.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(crate::workspace::root());
    // `spin.toml` names the components under `target/`, so cargo must build in `target/`, and not in the
    // folder that `CARGO_TARGET_DIR` names.
    command.env_remove("CARGO_TARGET_DIR");
    // The cargo that started this process has set variables about the package `dev`. With these variables,
    // the new cargo process would run build scripts again without need.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}
