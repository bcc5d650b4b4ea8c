//! The whole application on loopback: the queue and table emulator, the components in their host, and a chat page.

use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

use anyhow::{Context, bail};

use crate::alert_key::{self, AlertKey};
use crate::azurite::{Azurite, AzuritePorts, StorageKey};
use crate::chosen;
use crate::host::{Host, HostKind, HostOptions};
use crate::playground::{Playground, PlaygroundOptions};
use crate::run_note::{NoteFile, RunNote};
use crate::workspace::root;

/// How an environment names the connection string to both hosts.
const STORAGE: &str = "SPIN_VARIABLE_STORAGECONNECTION";

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
        create_private(&options.state_dir)?;
        let storage_key = StorageKey::random()?;
        let storage = options.storage(&storage_key);
        std::thread::scope(|scope| {
            let azurite = scope.spawn(|| Azurite::start(options.azurite_ports, storage_key));
            let playground = scope.spawn(|| Playground::start(&options.playground()));
            let key = options.alert_key.as_ref();
            let alert_key = key.map(|key| (alert_key::VARIABLE, key.as_variable()));
            let connection = storage.as_deref().map(|connection| (STORAGE, connection));
            let environment: Vec<_> = alert_key.into_iter().chain(connection).collect();
            let host = Host::start_with(&options.host(), &environment);
            let (azurite, playground) = (join(azurite), join(playground));
            let (host, azurite, playground) = (host?, azurite?, playground?);
            let note = |key: &AlertKey| RunNote { bot: host.url().to_owned(), key: key.clone(), storage };
            let note = key.map(note);
            let note = note.map(|note| note.write(options.playground_port)).transpose()?;
            Ok(Self { host, azurite, playground, _note: note })
        })
    }

    /// The host and its components.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The queue and table emulator.
    pub fn azurite(&self) -> &Azurite {
        &self.azurite
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

/// Creates the state folder, unless it is there, for its user's eyes only: the host and the chat page write into it.
fn create_private(folder: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn join<T>(part: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    part.join().unwrap_or_else(|_| bail!("the thread that started a part of the application broke"))
}

impl ApplicationOptions {
    /// The connection string of the emulator, unless the person has chosen another one.
    fn storage(&self, key: &StorageKey) -> Option<String> {
        let is_chosen = self.variables.iter().any(|(name, _)| name == "storageconnection")
            || chosen::outside(STORAGE).is_some();
        (!is_chosen).then(|| self.azurite_ports.connection_string(key))
    }

    fn host(&self) -> HostOptions {
        let mut variables = vec![("authmode".to_owned(), "anonymous".to_owned())];
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
