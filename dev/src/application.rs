//! Runs the whole application on loopback: Azurite (the emulator of Azure Storage's queues and tables), the
//! components in a Spin host, and a chat page.

use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::alert_key::{self, AlertKey};
use crate::azurite::{Azurite, AzuritePorts, StorageKey};
use crate::chosen;
use crate::host::{Host, HostKind, HostOptions};
use crate::playground::{Playground, PlaygroundOptions};
use crate::run_note::{NoteFile, RunNote};
use crate::workspace::root;

/// The environment variable from which the Spin host reads the secret for callbacks. A callback is an HTTP
/// call from the poller to a program that has asked a person a question. The callback reports the person's
/// answer. The poller signs callbacks with the secret.
const CALLBACK_SECRET: &str = "SPIN_VARIABLE_CALLBACKSECRET";

/// The environment variable from which the Spin host reads the connection string of the storage account.
const STORAGE: &str = "SPIN_VARIABLE_STORAGECONNECTION";

/// The options for the start of the application.
#[derive(Debug, Clone)]
pub struct ApplicationOptions {
    /// The Spin host that runs the components: the project's own host, or Spin itself.
    pub host: HostKind,
    /// The port of the bot.
    pub bot_port: u16,
    /// The ports of Azurite.
    pub azurite_ports: AzuritePorts,
    /// The port of the chat page.
    pub playground_port: u16,
    /// The channel that the chat page simulates: `msteams`, `webchat`, `directline` or `emulator`.
    pub channel_id: String,
    /// Values that the caller chooses for the Spin variables of the components. [`Application::start`] itself
    /// chooses values for some other variables, e.g. the connection string of Azurite.
    pub variables: Vec<(String, String)>,
    /// The API key that the alert routes accept. The application writes this key into the run note (a file
    /// under `target/`), and `cargo dev send` reads the key there. With `None`, the application sets no API
    /// key, and writes no run note. The alert routes are then closed (the bot returns 404), unless
    /// `variables`, the environment or `.env` sets an API key.
    pub alert_key: Option<AlertKey>,
    /// The folder of the Spin host's key-value store and of the chat page's log.
    pub state_dir: PathBuf,
    /// The file in which the chat page records all activities, in both directions.
    pub recording: Option<PathBuf>,
}

/// A running application. When this value is dropped, all programs of the application end.
#[derive(Debug)]
pub struct Application {
    // Rust drops the fields from the top. So the chat page ends before the host that it calls, and the host
    // ends before the emulator that it calls.
    playground: Playground,
    host: Host,
    azurite: Azurite,
    _note: Option<NoteFile>,
}

impl Application {
    /// Starts all parts at the same time, and waits until each part is ready.
    pub fn start(options: &ApplicationOptions) -> anyhow::Result<Self> {
        options.refuse_storage_of_a_deployed_bot(chosen::from_environment("BOT_NAME").as_deref())?;
        create_private(&options.state_dir)?;
        let storage_key = StorageKey::random()?;
        let storage = options.storage(&storage_key);
        let callback_secret = options.callback_secret()?;
        std::thread::scope(|scope| {
            let azurite = scope.spawn(|| Azurite::start(options.azurite_ports, storage_key));
            let playground = scope.spawn(|| Playground::start(&options.playground()));
            let key = options.alert_key.as_ref();
            let alert_key = key.map(|key| (alert_key::VARIABLE, key.as_variable()));
            let connection = storage.as_deref().map(|connection| (STORAGE, connection));
            let secret = callback_secret.as_deref().map(|secret| (CALLBACK_SECRET, secret));
            let environment: Vec<_> = alert_key.into_iter().chain(connection).chain(secret).collect();
            let host = Host::start_with(&options.host(), &environment);
            let (azurite, playground) = (join(azurite), join(playground));
            let (host, azurite, playground) = (host?, azurite?, playground?);
            let bot = host.url().to_owned();
            let note = |key: &AlertKey| RunNote { bot, key: key.clone(), storage, callback_secret };
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

    /// If a part has ended by itself, returns a message with the part's name and the last lines of its
    /// output.
    pub fn end_message(&mut self) -> Option<String> {
        let host = self.host.end_message();
        host.or_else(|| self.azurite.end_message()).or_else(|| self.playground.end_message())
    }
}

/// Creates the folder in which the host and the chat page keep their state. On Unix, only this user can read
/// a new folder. If the folder exists, the function changes nothing.
fn create_private(folder: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn join<T>(part: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    part.join().unwrap_or_else(|_| bail!("the thread that started a part of the application panicked"))
}

impl ApplicationOptions {
    /// The connection string of Azurite; `None` if a person has set another connection string.
    fn storage(&self, key: &StorageKey) -> Option<String> {
        let is_chosen = self.variables.iter().any(|(name, _)| name == "storageconnection")
            || chosen::from_environment(STORAGE).is_some();
        (!is_chosen).then(|| self.azurite_ports.connection_string(key))
    }

    /// A new random secret for callbacks; `None` if a person has set a secret.
    fn callback_secret(&self) -> anyhow::Result<Option<String>> {
        let is_chosen = self.variables.iter().any(|(name, _)| name == "callbacksecret")
            || chosen::from_environment(CALLBACK_SECRET).is_some();
        // The components expect base64 after `whsec_`. `random_hex` returns hexadecimal digits. Hexadecimal
        // digits are valid base64, too.
        (!is_chosen).then(|| Ok(format!("whsec_{}", chosen::random_hex()?))).transpose()
    }

    /// Fails if `.env` belongs to a bot in Azure, and `variables` does not choose another storage account.
    /// With this `.env`, the local bot would take messages off the queue of the bot in Azure. `name` is the
    /// value of `BOT_NAME`, the name of the bot in Azure. `deploy/azure/deploy.sh` writes `BOT_NAME` into
    /// `.env`.
    fn refuse_storage_of_a_deployed_bot(&self, name: Option<&str>) -> anyhow::Result<()> {
        let names_storage = self.variables.iter().any(|(name, _)| name == "storageconnection");
        if let Some(name) = name.filter(|_| !names_storage) {
            bail!(
                ".env: belongs to {name} in Azure, and this local bot would take the messages of that bot's queue; move \
                 the file out of this folder, or choose another storage account with --variable storageconnection=..."
            );
        }
        Ok(())
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
            variable_delay: Duration::ZERO,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> ApplicationOptions {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        ApplicationOptions {
            host: HostKind::Embedded,
            bot_port: 0,
            azurite_ports: AzuritePorts::DEFAULT,
            playground_port: 0,
            channel_id: "msteams".to_owned(),
            variables: variables.iter().map(owned).collect(),
            alert_key: None,
            state_dir: PathBuf::new(),
            recording: None,
        }
    }

    #[test]
    fn storage_of_a_deployed_bot_is_refused_unless_variables_choose_another_account() {
        let refusal = |variables, name| options(variables).refuse_storage_of_a_deployed_bot(name).err();
        assert!(refusal(&[], None).is_none());
        assert!(refusal(&[("storageconnection", "x")], Some("contoso-alerts")).is_none());
        let error = refusal(&[("pace", "5")], Some("contoso-alerts")).unwrap().to_string();
        assert!(error.starts_with(".env: belongs to contoso-alerts in Azure"), "{error}");
    }
}
