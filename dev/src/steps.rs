//! Steps that a person watches: none is silent for more than a few seconds.

use std::io::IsTerminal;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal a line is printed this often.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Does something quiet, with a spinner and the seconds beside it; without a terminal, with a line every five seconds.
pub fn quiet<T: Send>(name: &str, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    let start = Instant::now();
    let result = std::thread::scope(|scope| {
        let (done, waiting) = channel::<()>();
        let watcher = scope.spawn(move || watch(name, &waiting));
        let result = work();
        drop(done);
        _ = watcher.join();
        result
    });
    if result.is_ok() && start.elapsed() > Duration::from_secs(1) {
        eprintln!("  {name}: done in {:.1} s", start.elapsed().as_secs_f64());
    }
    result.with_context(|| format!("{name} failed"))
}

fn watch(name: &str, done: &std::sync::mpsc::Receiver<()>) {
    if std::io::stderr().is_terminal() {
        let spinner = ProgressBar::new_spinner().with_message(name.to_owned());
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {elapsed}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(100));
        _ = done.recv();
        spinner.finish_and_clear();
        return;
    }
    let start = Instant::now();
    while let Err(RecvTimeoutError::Timeout) = done.recv_timeout(SAY_EVERY) {
        eprintln!("  {name}: {} s …", start.elapsed().as_secs());
    }
}

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

/// Runs a command without output, which is shown only if it fails.
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

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A `cargo` command in the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    // The cargo that runs us, so that `cargo +toolchain dev …` keeps its toolchain.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(crate::workspace::root());
    // Whoever runs us through cargo passes on variables of *this* package, which confuse build scripts' caches.
    command.env_remove("CARGO_TARGET_DIR");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}
