//! The run note: a file under `target/` with data about the bot that `cargo dev up` runs. Other commands read
//! this file to call the bot, e.g. `cargo dev send`.
//!
//! The file holds the bot's address, the API key for the bot, the secret for signing callbacks (the poller's
//! calls to programs), and the connection string of the storage emulator. If a person has set the secret or
//! another connection string, the file does not hold this value. Each `cargo dev up` has its own file, whose
//! name is the port of the chat page. On Unix, only the user who has started `cargo dev up` can read the
//! file. At its end, `cargo dev up` deletes the file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::alert_key::AlertKey;
use crate::workspace::target;

/// The content of the run note.
#[derive(Debug)]
pub(crate) struct RunNote {
    /// The bot's address, `http://127.0.0.1:<port>`.
    pub(crate) bot: String,
    /// The API key with which programs call the bot.
    pub(crate) key: AlertKey,
    /// The connection string of the storage emulator; `None` if a person has set another connection string.
    pub(crate) storage: Option<String>,
    /// The secret with which the poller signs callbacks; `None` if a person has set a secret.
    pub(crate) callback_secret: Option<String>,
}

/// The file of a run note. When this value is dropped, the file is deleted.
#[derive(Debug)]
pub(crate) struct NoteFile(PathBuf);

fn path(playground_port: u16) -> PathBuf {
    target().join("up").join(format!("{playground_port}.json"))
}

impl RunNote {
    pub(crate) fn write(&self, playground_port: u16) -> anyhow::Result<NoteFile> {
        let path = path(playground_port);
        let write = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            // If an earlier `cargo dev up` was killed, the earlier file still exists. The mode below applies
            // only to a new file, so this code deletes the earlier file.
            _ = std::fs::remove_file(&path);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let note = json!({
                "bot": self.bot, "alertKey": self.key.as_variable(), "storageConnection": self.storage,
                "callbackSecret": self.callback_secret,
            });
            options.open(&path)?.write_all(note.to_string().as_bytes())
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(NoteFile(path))
    }

    pub(crate) fn read(playground_port: u16) -> anyhow::Result<Self> {
        let path = path(playground_port);
        let Ok(text) = std::fs::read_to_string(&path) else {
            bail!(
                "port {playground_port}: found no API key for the bot of this chat page; if `cargo dev up` was started in \
                 another folder, run this command there; if not, start `cargo dev up` with --variable alertkey=<a key>"
            );
        };
        let note: Value = serde_json::from_str(&text).unwrap_or_default();
        match (note["bot"].as_str(), note["alertKey"].as_str()) {
            (Some(bot), Some(key)) => Ok(Self {
                bot: bot.to_owned(),
                key: AlertKey::new(key),
                storage: note["storageConnection"].as_str().map(str::to_owned),
                callback_secret: note["callbackSecret"].as_str().map(str::to_owned),
            }),
            _ => bail!("{}: the run note is broken; end `cargo dev up` and start it again", path.display()),
        }
    }
}

impl Drop for NoteFile {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_note_is_private_to_the_user_and_is_deleted_when_the_value_is_dropped() {
        let port = crate::ports::free().unwrap();
        let error = RunNote::read(port).unwrap_err().to_string();
        assert!(error.contains("cargo dev up") && error.contains(&port.to_string()), "{error}");

        let note = RunNote {
            bot: "http://127.0.0.1:1".to_owned(),
            key: AlertKey::random().unwrap(),
            storage: Some("AccountName=a".to_owned()),
            callback_secret: Some("whsec_a".to_owned()),
        };
        let file = note.write(port).unwrap();
        let read = RunNote::read(port).unwrap();
        assert_eq!((read.bot, read.key, read.storage), (note.bot, note.key, note.storage));
        assert_eq!(read.callback_secret, note.callback_secret);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file.0).unwrap().permissions().mode() & 0o777, 0o600);
        }

        std::fs::write(&file.0, "{").unwrap();
        assert!(RunNote::read(port).unwrap_err().to_string().contains("is broken"));
        drop(file);
        assert!(RunNote::read(port).is_err());
    }
}
