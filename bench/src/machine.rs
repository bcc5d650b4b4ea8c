//! Describes the machine on which the benchmark runs, and reads the processor times of processes. The report
//! names the machine, because times from different machines cannot be compared.

use std::process::Command;
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

/// The machine, the date, the versions of the tools, and the commit of this project.
#[derive(Debug)]
pub struct Machine {
    processor: String,
    cores: usize,
    date: String,
    rustc: String,
    wasmtime: String,
    commit: String,
}

impl Machine {
    /// This machine, now.
    pub fn here() -> Self {
        let root = dev::workspace::root();
        let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
        let wasmtime = lock.split_once("name = \"wasmtime\"\nversion = \"").map_or("", |(_, rest)| rest);
        Self {
            processor: processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            date: Utc::now().format("%Y-%m-%d").to_string(),
            rustc: first_line(Command::new("rustc").arg("--version")),
            wasmtime: wasmtime.split('"').next().unwrap_or_default().to_owned(),
            commit: first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root)),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "processor": self.processor, "cores": self.cores, "date": self.date, "rustc": self.rustc,
            "wasmtime": self.wasmtime, "commit": self.commit,
        })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processor, cores, date, rustc, wasmtime, commit } = self;
        write!(f, "{processor}, {cores} cores; {date}; {rustc}; wasmtime {wasmtime}; commit {commit}")
    }
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()
}

/// The processor time that this process has used so far; `None` without `/proc`.
pub fn processor_time() -> Option<Duration> {
    stat_of("self").map(|stat| stat.used)
}

/// The processor time that a process and its descendants have used so far; `None` without `/proc`.
pub fn processor_time_of(pid: u32) -> Option<Duration> {
    let own = stat_of(&pid.to_string())?.used;
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let names = all.filter_map(|entry| entry.file_name().into_string().ok());
    let children = names.filter_map(|name| Some((name.parse::<u32>().ok()?, stat_of(&name)?)));
    let children = children.filter(|(_, stat)| stat.parent == pid).map(|(child, _)| child);
    Some(own + children.filter_map(processor_time_of).sum())
}

struct Stat {
    parent: u32,
    used: Duration,
}

/// Reads the parent (field 4) and the processor time (fields 14 and 15) from `/proc/<pid>/stat`. proc(5)
/// describes the fields. Fields 14 and 15 are in ticks of 10 ms. Field 2 can contain spaces, so this function
/// splits only the text after field 2. There, field 3 has the index 0.
fn stat_of(process: &str) -> Option<Stat> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let used = Duration::from_millis((number(11)? + number(12)?) * 10);
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, used })
}
