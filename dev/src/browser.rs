//! A real browser before the chat page, driven by `dev/browser.cjs`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::tools::node;
use crate::workspace::root;

/// What Chromium is called: by Debian, by others, by Google, on macOS.
const PROGRAMS: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// A Chromium that is installed here.
#[derive(Debug)]
pub struct Browser {
    program: PathBuf,
}

/// Why there is no browser, and what would help.
pub const MISSING: &str = "Chromium is not installed (Debian and Ubuntu: apt-get install chromium)";

impl Browser {
    /// Looks for one.
    pub fn find() -> Option<Self> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = std::env::split_paths(&folders).collect();
        // An absolute path stays what it is, whatever it is joined to.
        let mut paths = PROGRAMS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        paths.find(|path| path.is_file()).map(|program| Self { program })
    }

    /// Opens the chat page, types the text if there is one, waits until each of the answers is on the page, in this
    /// order, and keeps a screenshot. Every text that the bot has on the page then, from the top.
    pub fn chat(
        &self,
        page: &str,
        text: Option<&str>,
        answers: &[&str],
        screenshot: &Path,
    ) -> anyhow::Result<Vec<String>> {
        let mut command = node();
        command.arg(root().join("dev/browser.cjs"));
        command.arg("--chromium").arg(&self.program).args(["--page", page]);
        command.arg("--screenshot").arg(screenshot);
        command.args(text.map(|text| ["--say", text]).into_iter().flatten());
        command.args(answers.iter().flat_map(|answer| ["--expect", answer]));
        let output = command.output().context("Node.js does not start")?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{}\nIf the page was open, it looked like this: {}", error.trim(), screenshot.display());
        }
        serde_json::from_slice(&output.stdout).context("dev/browser.cjs prints one JSON array of texts")
    }
}
