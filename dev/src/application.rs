//! The whole application on loopback: the queue and table emulator, the components in their host, and a chat page.

use std::path::PathBuf;
use std::thread::ScopedJoinHandle;

use anyhow::bail;

use crate::alert_key::{self, AlertKey};
use crate::azurite::{Azurite, AzuritePorts};
use crate::host::{Host, HostKind, HostOptions};
use crate::playground::{Playground, PlaygroundOptions};
use crate::run_note::{NoteFile, RunNote};
use crate::workspace::root;

/// How the application is started.
#[derive(Debug, Clone)]
pub struct ApplicationOptions {
    /// What runs the components.
    pub host: HostKind,
    /// Where the bot listens.
    pub bot_port: u16,
    /// Where the queue and table emulator listens.
    pub azurite_ports: AzuritePorts,
    /// Where the chat page is.
    pub playground_port: u16,
    /// Which channel the chat page plays: `msteams`, `webchat`, `directline` or `emulator`.
    pub channel_id: String,
    /// Values of the application's variables, beside those that follow from the rest.
    pub variables: Vec<(String, String)>,
    /// The key of the alert routes, which `cargo dev send` then finds; none closes them, or leaves it to `variables`.
    pub alert_key: Option<AlertKey>,
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
    _note: Option<NoteFile>,
}

impl Application {
    /// Starts everything side by side, and waits until all of it answers.
    pub fn start(options: &ApplicationOptions) -> anyhow::Result<Self> {
        std::thread::scope(|scope| {
            let azurite = scope.spawn(|| Azurite::start(options.azurite_ports));
            let playground = scope.spawn(|| Playground::start(&options.playground()));
            let key = options.alert_key.as_ref();
            let environment = key.map(|key| (alert_key::VARIABLE, key.as_variable()));
            let host = Host::start_with(&options.host(), environment.as_slice());
            let (azurite, playground) = (join(azurite), join(playground));
            let (host, azurite, playground) = (host?, azurite?, playground?);
            let note = key.map(|key| RunNote { bot: host.url().to_owned(), key: key.clone() });
            let note = note.map(|note| note.write(options.playground_port)).transpose()?;
            Ok(Self { host, azurite, playground, _note: note })
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
        if self.azurite_ports != AzuritePorts::DEFAULT {
            variables.push(("storageconnection".to_owned(), self.azurite_ports.connection_string()));
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
