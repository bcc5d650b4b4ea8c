//! offline-directline: Direct Line 3.0 between a client and a bot on this machine.

use std::time::Duration;

use anyhow::Context;

use crate::children::{Output, Running};
use crate::ports;
use crate::tools::node;
use crate::workspace::root;

/// A running offline-directline; dropping it ends it.
///
/// It checks no secret, passes the bot's status on as its own, and its conversations have channelId `emulator`: enough for
/// the way of a message, too little for what Direct Line refuses. Of its packages, the lint tool that it brings along by
/// mistake is left out (`overrides` in package.json).
#[derive(Debug)]
pub struct OfflineDirectLine {
    child: Running,
}

impl OfflineDirectLine {
    /// Starts it on a port, in front of the bot at `bot_endpoint`, and waits until it answers.
    pub fn start(port: u16, bot_endpoint: &str) -> anyhow::Result<Self> {
        let mut command = node();
        command
            .arg("--require")
            .arg(root().join("dev/loopback-only.cjs"))
            .arg(root().join("dev/offline-directline.cjs"))
            .arg(port.to_string())
            .arg(bot_endpoint);
        let mut child = Running::start("offline-directline", command, &Output::default())?;
        child
            .wait_until(Duration::from_secs(60), |_| ports::answers_http(port).then_some(()))
            .context("the offline Direct Line does not answer")?;
        Ok(Self { child })
    }

    /// Whether it has ended by itself, and how.
    pub fn has_ended(&mut self) -> Option<String> {
        self.child.has_ended()
    }
}
