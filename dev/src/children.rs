//! Runs child processes. A child ends at the latest when its [`Running`] is dropped. An error about a child
//! shows the last lines of the child's output.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::process_group::{ProcessGroup, Signal};

/// The number of lines in an error about a child: the child's last lines.
const TAIL: usize = 20;
/// The time within which a child must end after the request to end.
const ENDS_WITHIN: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// The destinations of a child's output. [`Running`] also keeps all lines in memory.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// If `Some`, this process prints each line of the child on stdout, after this prefix. If `None`, this
    /// process prints no lines of the child.
    pub prefix: Option<String>,
    /// The file to which each line is written.
    pub log: Option<PathBuf>,
}

/// A running child in its own process group. The group also contains the processes that the child starts.
/// When this value is dropped, the whole group ends.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    group: ProcessGroup,
    lines: Arc<Mutex<Lines>>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Lines {
    stdout: Vec<String>,
    both: Vec<String>,
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    /// Starts a child.
    pub fn start(name: &str, mut command: Command, output: &Output) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let (mut child, group) = ProcessGroup::spawn(&mut command)
            .with_context(|| format!("{name} does not start: cannot run {program}"))?;
        let lines = Arc::default();
        let log = match &output.log {
            Some(path) => Some(Arc::new(Mutex::new(
                std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?,
            ))),
            None => None,
        };
        let mut readers = Vec::new();
        let sink = |is_stdout| Sink {
            lines: Arc::clone(&lines),
            is_stdout,
            prefix: output.prefix.clone(),
            log: log.clone(),
        };
        if let Some(stdout) = child.stdout.take() {
            let sink = sink(true);
            readers.push(std::thread::spawn(move || sink.read(stdout)));
        }
        if let Some(stderr) = child.stderr.take() {
            let sink = sink(false);
            readers.push(std::thread::spawn(move || sink.read(stderr)));
        }
        Ok(Self { name: name.to_owned(), child, group, lines, readers })
    }

    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every line that the child has written to stdout so far.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.lines).stdout.clone()
    }

    /// Every line that the child has written so far, to stdout or stderr.
    pub fn output(&self) -> Vec<String> {
        lock(&self.lines).both.clone()
    }

    /// The child's last lines, of stdout and stderr.
    pub fn tail(&self) -> String {
        let lines = lock(&self.lines);
        lines.both[lines.both.len().saturating_sub(TAIL)..].join("\n")
    }

    /// If the child has ended by itself, returns a message with the child's exit status and last lines.
    pub fn end_message(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("{} has ended ({status}). Its last lines:\n{}", self.name, self.tail()))
    }

    /// Waits until `ready` returns a value, and returns this value. Fails if the child ends first, or if the
    /// time `within` has passed.
    pub fn wait_until<T>(
        &mut self,
        within: Duration,
        mut ready: impl FnMut(&Self) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(value) = ready(self) {
                return Ok(value);
            }
            if let Some(end) = self.end_message() {
                bail!("{end}");
            }
            if Instant::now() >= deadline {
                bail!(
                    "{} is not ready after {} s. Its last lines:\n{}",
                    self.name,
                    within.as_secs(),
                    self.tail()
                );
            }
            std::thread::sleep(POLL);
        }
    }

    /// Asks the process group to end, and waits some seconds for the child. Then kills all processes of the
    /// group that still run.
    pub fn stop(&mut self) {
        self.group.signal(Signal::Terminate);
        let deadline = Instant::now() + ENDS_WITHIN;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(POLL);
        }
        self.kill_now();
    }

    /// Kills the process group at once, without a request to end.
    pub fn kill_now(&mut self) {
        self.group.signal(Signal::Kill);
        _ = self.child.kill();
        _ = self.child.wait();
        for reader in self.readers.drain(..) {
            _ = reader.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Sink {
    lines: Arc<Mutex<Lines>>,
    is_stdout: bool,
    prefix: Option<String>,
    log: Option<Arc<Mutex<std::fs::File>>>,
}

impl Sink {
    fn read(&self, stream: impl Read) {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            bytes.clear();
            if let Some(log) = &self.log {
                _ = writeln!(log.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
            }
            if let Some(prefix) = &self.prefix {
                println!("{prefix}{line}");
            }
            let mut lines = lock(&self.lines);
            if self.is_stdout {
                lines.stdout.push(line.clone());
            }
            lines.both.push(line);
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::start("the child", command, &Output::default()).unwrap()
    }

    #[test]
    fn wait_until_fails_with_the_name_and_status_of_an_ended_child() {
        let error = shell("echo one line; echo one error >&2; exit 3")
            .wait_until(Duration::from_secs(20), |_| None::<()>);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("the child has ended") && error.contains("3"), "{error}");
    }

    #[test]
    fn wait_until_returns_as_soon_as_ready_returns_a_value() {
        let mut child = shell("echo up; sleep 60");
        let line = child.wait_until(Duration::from_secs(20), |child| child.lines().first().cloned()).unwrap();
        assert_eq!(line, "up");
    }

    #[test]
    fn kill_now_ends_the_children_of_the_child() {
        // The shell and its `sleep` ignore SIGTERM, so only SIGKILL ends these processes. If `kill_now`
        // killed only the shell, the `sleep` would run on.
        let mut child = shell("trap '' TERM; sleep 60 & echo $!; wait");
        let grandchild = first_line(&mut child);
        child.kill_now();
        expect_end(&grandchild);
    }

    /// Starts a child and waits. The test [`signal_ends_the_children_too`] runs this function as a separate
    /// process, and sends a signal to the process.
    #[test]
    #[ignore = "a part of another test"]
    fn a_program_with_a_child() {
        crate::process_group::end_with_us().unwrap();
        let mut child = shell("echo $$; exec sleep 60");
        println!("child {}", first_line(&mut child));
        _ = child.wait_until(Duration::from_secs(60), |_| None::<()>);
    }

    #[test]
    fn signal_ends_the_children_too() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", "children::tests::a_program_with_a_child"]);
        let mut program = Running::start("the program", command, &Output::default()).unwrap();
        let child = program.wait_until(Duration::from_secs(20), |program| {
            program.lines().iter().find_map(|line| line.split_once("child ").map(|(_, id)| id.to_owned()))
        });
        let child = child.unwrap();
        let pid = rustix::process::Pid::from_raw(program.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let end = program.wait_until(Duration::from_secs(20), |_| None::<()>).unwrap_err().to_string();
        assert!(end.contains("130"), "expected the status of an end by a signal: {end}");
        expect_end(&child);
    }

    fn first_line(child: &mut Running) -> String {
        child.wait_until(Duration::from_secs(20), |child| child.lines().first().cloned()).unwrap()
    }

    #[track_caller]
    fn expect_end(pid: &str) {
        let alive =
            || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while alive() {
            assert!(Instant::now() < deadline, "process {pid} still runs");
            std::thread::sleep(POLL);
        }
    }
}
