//! Azurite's queue service: in memory, on loopback.

use std::time::Duration;

use anyhow::Context;

use crate::children::{Output, Running};
use crate::ports;
use crate::tools::{node, node_modules};

/// The emulator's well-known account; its key is public.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running Azurite; dropping it ends it, and forgets its queues.
#[derive(Debug)]
pub struct Azurite {
    child: Running,
    port: u16,
}

impl Azurite {
    /// The port that `UseDevelopmentStorage=true` means.
    pub const PORT: u16 = 10001;

    /// Starts it on a port, or on a free one, and waits until it answers.
    pub fn start(port: Option<u16>) -> anyhow::Result<Self> {
        let port = match port {
            Some(port) => port,
            None => ports::free()?,
        };
        let mut command = node();
        command
            .arg(node_modules().join("azurite/dist/src/queue/main.js"))
            .args([
                "--inMemoryPersistence",
                "--disableTelemetry",
                "-s",
                "--queueHost",
                "127.0.0.1",
                "--queuePort",
            ])
            .arg(port.to_string());
        let mut child = Running::start("Azurite", command, &Output::default())?;
        child
            .wait_until(Duration::from_secs(60), |_| ports::answers_http(port).then_some(()))
            .context("the queue emulator does not answer")?;
        Ok(Self { child, port })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it has ended by itself, and how.
    pub fn has_ended(&mut self) -> Option<String> {
        self.child.has_ended()
    }

    /// How to reach it.
    pub fn connection_string(&self) -> String {
        connection_string(self.port)
    }
}

/// How to reach an Azurite on this port.
pub fn connection_string(port: u16) -> String {
    format!("AccountName={ACCOUNT};AccountKey={KEY};QueueEndpoint=http://127.0.0.1:{port}/{ACCOUNT}")
}
