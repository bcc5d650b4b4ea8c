//! Runs Alertmanager, a program of Prometheus that posts alerts to webhooks. The tests use the real
//! Alertmanager. They report alerts to Alertmanager with its tool `amtool`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use chrono::Utc;
use dev::children::{Output, Running};
use dev::ports;
use tempfile::TempDir;

use crate::closed_port::free_port;

const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// The two possible file names of Alertmanager. Debian's package has the first name, and the release of
/// Prometheus has the second name.
const PROGRAMS: [&str; 2] = ["prometheus-alertmanager", "alertmanager"];
const TOOL: &str = "amtool";

/// The paths of Alertmanager and `amtool` on this machine.
#[derive(Debug)]
pub struct Programs {
    alertmanager: PathBuf,
    amtool: PathBuf,
}

impl Programs {
    /// Looks for Alertmanager and `amtool` on the `PATH`. Returns `None` if one of these two programs is
    /// missing.
    pub fn find() -> Option<Self> {
        let alertmanager = PROGRAMS.into_iter().find_map(on_path)?;
        Some(Self { alertmanager, amtool: on_path(TOOL)? })
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A running Alertmanager. The process ends when this value is dropped.
#[derive(Debug)]
pub struct Alertmanager {
    // Rust drops the fields from top to bottom. So the process ends before `_folder` deletes the data of the
    // process.
    _running: Running,
    url: String,
    amtool: PathBuf,
    _folder: TempDir,
}

impl Alertmanager {
    /// Starts Alertmanager with this configuration, and waits until Alertmanager responds to HTTP requests.
    #[track_caller]
    pub fn start(programs: Programs, configuration: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("e2e-alertmanager-").tempdir().unwrap();
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, configuration).unwrap();
        let port = free_port();
        let mut command = Command::new(programs.alertmanager);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            // With an empty address, Alertmanager joins no cluster.
            .arg("--cluster.listen-address=")
            .env("NO_PROXY", "127.0.0.1");
        let mut running = Running::start("Alertmanager", command, &Output::default())
            .unwrap_or_else(|error| panic!("{error:#}"));
        let started = running.wait_until(STARTS_WITHIN, |_| ports::answers_http(port).then_some(()));
        started.unwrap_or_else(|error| panic!("{error:#}"));
        let url = format!("http://127.0.0.1:{port}");
        Self { _running: running, url, amtool: programs.amtool, _folder: folder }
    }

    /// Reports an alert to Alertmanager with `amtool alert add`. If `has_ended` is true, the alert is
    /// *resolved*: its problem has ended. Otherwise, the alert is *firing*.
    #[track_caller]
    pub fn alert(&self, name: &str, summary: &str, has_ended: bool) {
        let mut command = Command::new(&self.amtool);
        command.args([
            "--alertmanager.url",
            &self.url,
            "alert",
            "add",
            name,
            "severity=critical",
            "instance=db-7",
        ]);
        command.arg(format!("--annotation=summary={summary}"));
        if has_ended {
            command.arg(format!("--end={}", Utc::now().to_rfc3339()));
        }
        let output = command.env("NO_PROXY", "127.0.0.1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
