//! Shows the progress of tasks to a person who waits. In a terminal, each running task has a line of its own.
//! Outside of a terminal, this process prints a new line about all running tasks every few seconds.

use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::steps::shown;

/// The time between two printed lines, if stderr is no terminal.
const PRINT_EVERY: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

type Work<'a> = Box<dyn FnOnce(&RunningTask<'_>) -> anyhow::Result<()> + Send + 'a>;

/// A task that has not started: its name and its work.
pub struct Task<'a> {
    name: &'a str,
    work: Work<'a>,
}

impl<'a> Task<'a> {
    /// Makes a task.
    pub fn new(name: &'a str, work: impl FnOnce(&RunningTask<'_>) -> anyhow::Result<()> + Send + 'a) -> Self {
        Self { name, work: Box::new(work) }
    }
}

impl std::fmt::Debug for Task<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Task").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A running task.
#[derive(Debug)]
pub struct RunningTask<'a> {
    name: &'a str,
    bar: ProgressBar,
    start: Instant,
    is_done: AtomicBool,
    /// Whether a task has failed. After a failure, the other tasks end their commands.
    failed: &'a AtomicBool,
    detail: Mutex<String>,
}

/// Runs tasks side by side. If a task fails, the other tasks end their commands. The result is then the error
/// of a task that failed by itself.
pub fn together(tasks: Vec<Task<'_>>) -> anyhow::Result<()> {
    let bars = MultiProgress::new();
    let failed = AtomicBool::new(false);
    let (doing, works): (Vec<_>, Vec<_>) =
        tasks.into_iter().map(|task| (RunningTask::new(task.name, &bars, &failed), task.work)).unzip();
    std::thread::scope(|scope| {
        let (all_done, waiting) = channel::<()>();
        if !std::io::stderr().is_terminal() {
            let doing = &doing;
            scope.spawn(move || print_every_few_seconds(doing, &waiting));
        }
        let threads: Vec<_> = doing
            .iter()
            .zip(works)
            .map(|(doing, work)| scope.spawn(move || doing.finish(work(doing))))
            .collect();
        let results: Vec<_> = threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        drop(all_done);
        // The error `Ended` means that another task had failed before. So `min_by_key` below prefers every
        // other error.
        let errors = results.into_iter().filter_map(|result| match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(anyhow::anyhow!("the thread of a task panicked")),
        });
        match errors.min_by_key(|error| error.is::<Ended>()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    })
}

/// Runs one task whose work prints nothing, and returns the value of the work.
pub fn quiet<T: Send>(name: &str, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    let mut result = None;
    together(vec![Task::new(name, |_| {
        result = Some(work()?);
        Ok(())
    })])?;
    result.with_context(|| format!("{name} returned no value"))
}

/// The error of a task whose command was ended because another task had failed.
#[derive(Debug, thiserror::Error)]
#[error("ended, because another task had failed")]
struct Ended;

fn print_every_few_seconds(doing: &[RunningTask<'_>], all_done: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = all_done.recv_timeout(PRINT_EVERY) {
        let running = doing.iter().filter(|doing| !doing.is_done.load(Ordering::Relaxed));
        let lines: Vec<_> = running.map(|doing| format!("{} {}", doing.name, doing.state())).collect();
        eprintln!("  {}", lines.join("; "));
    }
}

impl<'a> RunningTask<'a> {
    fn new(name: &'a str, bars: &MultiProgress, failed: &'a AtomicBool) -> Self {
        let bar = bars.add(ProgressBar::new_spinner().with_prefix(name.to_owned()));
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {elapsed}  {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            name,
            bar,
            start: Instant::now(),
            is_done: AtomicBool::new(false),
            failed,
            detail: Mutex::default(),
        }
    }

    fn detail(&self) -> MutexGuard<'_, String> {
        self.detail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> String {
        let seconds = self.start.elapsed().as_secs();
        match self.detail().as_str() {
            "" => format!("{seconds} s …"),
            detail => format!("{seconds} s ({detail})"),
        }
    }

    fn finish(&self, result: anyhow::Result<()>) -> anyhow::Result<()> {
        self.is_done.store(true, Ordering::Relaxed);
        self.bar.finish_and_clear();
        let took = self.start.elapsed();
        match &result {
            Err(_) => self.failed.store(true, Ordering::Relaxed),
            Ok(()) if took > Duration::from_secs(1) => {
                self.print(&format!("  {}: done in {:.1} s", self.name, took.as_secs_f64()));
            }
            Ok(()) => {}
        }
        result.with_context(|| format!("{} failed", self.name))
    }

    /// Prints a text above the progress lines. The terminal then shows the progress lines below the text.
    fn print(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Runs a cargo command. cargo prints progress lines, and other lines, e.g. warnings. This function shows
    /// the newest progress line. If the command succeeds, this function then prints the other lines. If the
    /// command fails, the error has the other lines.
    pub fn cargo(&self, mut command: Command) -> anyhow::Result<()> {
        let shown = shown(&command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {shown}"))?;
        let stderr = child.stderr.take();
        let (status, messages) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| stderr.map(|stderr| self.read_cargo(stderr)).unwrap_or_default());
            let status = self.wait(&mut child);
            (status, reader.join().unwrap_or_default())
        });
        if !status?.success() {
            bail!("{messages}\nTo run it alone: {shown}");
        }
        if !messages.is_empty() {
            self.print(&messages);
        }
        Ok(())
    }

    fn wait(&self, child: &mut std::process::Child) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.failed.load(Ordering::Relaxed) {
                _ = child.kill();
                _ = child.wait();
                bail!(Ended);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Reads cargo's stderr. Shows the progress lines, and returns the other lines.
    fn read_cargo(&self, stderr: impl std::io::Read) -> String {
        let mut messages = Vec::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if is_progress(&line) {
                let line = line.trim().to_owned();
                self.bar.set_message(line.clone());
                *self.detail() = line;
            } else {
                messages.push(line);
            }
        }
        messages.join("\n")
    }
}

/// Whether a line of cargo's output is a progress line. The other lines are e.g. warnings and errors.
fn is_progress(line: &str) -> bool {
    const VERBS: [&str; 9] = [
        "Adding",
        "Blocking",
        "Checking",
        "Compiling",
        "Downloaded",
        "Downloading",
        "Finished",
        "Locking",
        "Updating",
    ];
    let first = line.split_whitespace().next().unwrap_or_default();
    line.starts_with(' ') && VERBS.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn cargo_line_is_progress_or_message() {
        for (line, expected) in [
            ("   Compiling serde v1.0.229", true),
            ("    Finished `release` profile [optimized] target(s) in 0.15s", true),
            ("    Blocking waiting for file lock on build directory", true),
            ("warning: unused variable: `x`", false),
            ("   --> src/lib.rs:1:1", false),
            ("Compiling is hard", false),
            ("", false),
        ] {
            assert_eq!(is_progress(line), expected, "{line}");
        }
    }

    #[test]
    fn quiet_task_returns_its_value() {
        assert_eq!(quiet("sums", || Ok(1 + 1)).unwrap(), 2);
        let error = quiet("sums", || -> anyhow::Result<()> { bail!("no numbers") }).unwrap_err();
        assert_eq!(format!("{error:#}"), "sums failed: no numbers");
    }

    #[cfg(unix)]
    #[test]
    fn first_failure_ends_the_other_tasks_and_is_the_error() {
        let start = Instant::now();
        let error = together(vec![
            Task::new("slow task", |doing| doing.cargo(shell("exec sleep 600"))),
            Task::new("failing task", |doing| {
                doing.cargo(shell("echo '   Compiling x' >&2; echo error: y >&2; exit 1"))
            }),
        ]);
        let error = format!("{:#}", error.unwrap_err());
        assert_eq!(error.lines().next(), Some("failing task failed: error: y"), "{error}");
        assert_eq!(error.lines().count(), 2, "{error}");
        assert!(start.elapsed() < Duration::from_secs(300), "the sleeping command was not ended");
    }
}
