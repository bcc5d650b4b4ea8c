//! Runs Microsoft's M365 Agents Playground on loopback. The Playground has a chat page. It also simulates the
//! Connector, the service to which the bot sends its messages.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::children::{Output, Running};
use crate::ports;
use crate::tools::{node, node_modules};
use crate::workspace::root;

/// The options with which the Playground is started.
#[derive(Debug, Clone)]
pub struct PlaygroundOptions {
    /// The port of both the chat page and the simulated Connector.
    pub port: u16,
    /// The address to which the Playground posts people's messages: the bot's route `/api/messages`.
    pub bot_endpoint: String,
    /// The channel that the Playground simulates: `msteams`, `webchat`, `directline` or `emulator`.
    pub channel_id: String,
    /// A file for the Playground's log.
    pub log: PathBuf,
    /// The file in which the Playground records all activities from and to the bot; `None` records nothing.
    pub recording: Option<PathBuf>,
}

/// A running Playground. When this value is dropped, the Playground's process ends.
#[derive(Debug)]
pub struct Playground {
    child: Running,
    port: u16,
}

/// The address of the Playground's Connector. Each activity from the Playground has this address as
/// `serviceUrl`, to which the bot sends its replies.
pub(crate) fn service_url(port: u16) -> String {
    format!("http://localhost:{port}/_connector")
}

impl Playground {
    /// The default port of the chat page of `cargo dev up`. The Playground's own default port is not used,
    /// because Linux can give that port to an outgoing connection.
    pub const PORT: u16 = 3979;

    /// Starts the Playground, and waits until the chat page responds.
    pub fn start(options: &PlaygroundOptions) -> anyhow::Result<Self> {
        let mut command = node();
        command
            .arg("--require")
            .arg(root().join("dev/loopback-only.cjs"))
            .arg(node_modules().join("@microsoft/m365agentsplayground/cli.js"))
            .args(["start", "--dt", "-e", &options.bot_endpoint, "-c", &options.channel_id, "-p"])
            .arg(options.port.to_string())
            .env("TEAMSAPPTESTER_BROWSER", "none")
            .env("APPLICATION_INSIGHTS_NO_STATSBEAT", "1")
            // Without `M365_AGENTS_PLAYGROUND_LOGFILE`, the Playground creates a folder in the current
            // folder.
            .env("M365_AGENTS_PLAYGROUND_LOGFILE", &options.log)
            .env("M365_AGENTS_PLAYGROUND_SERVICE_URL", service_url(options.port));
        if let Some(recording) = &options.recording {
            command.arg("--er").env("M365_AGENTS_PLAYGROUND_RECORDING_FILE", recording);
        }
        let mut child = Running::start("the Playground", command, &Output::default())?;
        let port = options.port;
        child
            .wait_until(Duration::from_secs(60), |_| ports::answers_http(port).then_some(()))
            .context("the Playground's page does not respond")?;
        Ok(Self { child, port })
    }

    /// The address of the chat page.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// If the Playground has ended by itself, returns a message with the exit status and the last lines of
    /// output.
    pub fn end_message(&mut self) -> Option<String> {
        self.child.end_message()
    }
}
