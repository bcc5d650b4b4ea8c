//! The whole application on loopback: the queue emulator, the components in their host, and a chat page.

use std::path::PathBuf;
use std::thread::ScopedJoinHandle;

use anyhow::bail;

use crate::azurite::{self, Azurite};
use crate::host::{Host, HostKind, HostOptions};
use crate::playground::{Playground, PlaygroundOptions};
use crate::workspace::root;

/// How the application is started.
#[derive(Debug, Clone)]
pub struct ApplicationOptions {
    /// What runs the components.
    pub host: HostKind,
    /// Where the bot listens.
    pub bot_port: u16,
    /// Where the queue emulator is.
    pub azurite_port: u16,
    /// Where the chat page is.
    pub playground_port: u16,
    /// Which channel the chat page plays: `msteams`, `webchat`, `directline` or `emulator`.
    pub channel_id: String,
    /// Values of the application's variables, beside those that follow from the rest.
    pub variables: Vec<(String, String)>,
    /// Where key-value lives, and the chat page's log.
    pub state_dir: PathBuf,
    /// A file in which the chat page records what goes both ways.
    pub recording: Option<PathBuf>,
}

/// A running application; dropping it ends all of it.
#[derive(Debug)]
pub struct Application {
    // Dropped in this order: nobody should still call who is gone.
    playground: Playground,
    host: Host,
    azurite: Azurite,
}

impl Application {
    /// Starts everything side by side, and waits until all of it answers.
    pub fn start(options: &ApplicationOptions) -> anyhow::Result<Self> {
        std::thread::scope(|scope| {
            let azurite = scope.spawn(|| Azurite::start(Some(options.azurite_port)));
            let playground = scope.spawn(|| Playground::start(&options.playground()));
            let host = Host::start(&options.host());
            let (azurite, playground) = (join(azurite), join(playground));
            Ok(Self { host: host?, azurite: azurite?, playground: playground? })
        })
    }

    /// The host and its components.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The chat page.
    pub fn playground(&self) -> &Playground {
        &self.playground
    }

    /// Whether a part of it has ended by itself, and how.
    pub fn has_ended(&mut self) -> Option<String> {
        let host = self.host.has_ended();
        host.or_else(|| self.azurite.has_ended()).or_else(|| self.playground.has_ended())
    }
}

fn join<T>(part: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    part.join().unwrap_or_else(|_| bail!("the thread that started a part of the application broke"))
}

impl ApplicationOptions {
    fn host(&self) -> HostOptions {
        let mut variables = vec![("authmode".to_owned(), "anonymous".to_owned())];
        if self.azurite_port != Azurite::PORT {
            variables.push(("storageconnection".to_owned(), azurite::connection_string(self.azurite_port)));
        }
        variables.extend(self.variables.iter().cloned());
        HostOptions {
            kind: self.host,
            manifest: root().join("spin.toml"),
            listen: format!("127.0.0.1:{}", self.bot_port),
            variables,
            state_dir: self.state_dir.clone(),
            quiet: false,
            log: None,
            print_prefix: false,
            meter: false,
        }
    }

    fn playground(&self) -> PlaygroundOptions {
        PlaygroundOptions {
            port: self.playground_port,
            bot_endpoint: format!("http://127.0.0.1:{}/api/messages", self.bot_port),
            channel_id: self.channel_id.clone(),
            log: self.state_dir.join("playground.log"),
            recording: self.recording.clone(),
        }
    }
}
