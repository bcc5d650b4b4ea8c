//! The key-value store. It works like Spin's default store (spin: crates/key-value-spin/src/store.rs). One
//! SQLite file in the state folder holds the data, and the SQL statements are Spin's. SQLite flushes each
//! change to the disk. In this process, one call at a time uses the file.

use std::fs::{DirBuilder, OpenOptions};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use rusqlite::{Connection, OptionalExtension as _, params};

/// The name of the file. Spin uses the same name.
const FILE: &str = "sqlite_key_value.db";

/// The open SQLite file. The file can hold several key-value stores, but this host offers only the store
/// `default`. A call blocks the *guest* (an instance of a component) that made the call. If the call changes
/// a value, the guest waits until the value is on the disk. Meanwhile, guests without a call continue on
/// other threads.
#[derive(Debug)]
pub(crate) struct KeyValue(Mutex<Connection>);

impl KeyValue {
    /// Opens the file in `folder`. Creates the folder and the file if they do not exist.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        create_for_this_user_only(folder, &path).with_context(|| {
            format!(
                "state folder {}: cannot be created; choose another one with --state-dir",
                folder.display()
            )
        })?;
        let connection = Self::connect(&path).with_context(|| {
            format!(
                "key-value file {}: unusable; delete the file to start with an empty store",
                path.display()
            )
        })?;
        Ok(Self(Mutex::new(connection)))
    }

    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.execute(
            "CREATE TABLE IF NOT EXISTS spin_key_value (
                store TEXT NOT NULL,
                key   TEXT NOT NULL,
                value BLOB NOT NULL,
                PRIMARY KEY (store, key)
            )",
            [],
        )?;
        Ok(connection)
    }

    fn with<T>(&self, call: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        tokio::task::block_in_place(|| call(&self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) fn get(&self, store: &str, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT value FROM spin_key_value WHERE store=$1 AND key=$2")?
                .query_row([store, key], |row| row.get(0))
                .optional()
        })
    }

    pub(crate) fn set(&self, store: &str, key: &str, value: &[u8]) -> rusqlite::Result<()> {
        self.with(|connection| {
            connection
                .prepare_cached(
                    "INSERT INTO spin_key_value (store, key, value) VALUES ($1, $2, $3)
                     ON CONFLICT(store, key) DO UPDATE SET value=$3",
                )?
                .execute(params![store, key, value])
                .map(drop)
        })
    }

    pub(crate) fn delete(&self, store: &str, key: &str) -> rusqlite::Result<()> {
        self.with(|connection| {
            connection
                .prepare_cached("DELETE FROM spin_key_value WHERE store=$1 AND key=$2")?
                .execute([store, key])
                .map(drop)
        })
    }

    pub(crate) fn keys(&self, store: &str) -> rusqlite::Result<Vec<String>> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT key FROM spin_key_value WHERE store=$1")?
                .query_map([store], |row| row.get(0))?
                .collect()
        })
    }
}

/// Creates the folder and the file if they do not exist. On Unix, only the user who runs the host can read
/// the file and a new folder, because the application can store secrets there, such as an encrypted token. An
/// existing folder keeps its mode, because perhaps other programs use the folder. An existing file gets mode
/// 0600.
fn create_for_this_user_only(folder: &Path, file: &Path) -> std::io::Result<()> {
    let (mut folders, mut options) = (DirBuilder::new(), OpenOptions::new());
    folders.recursive(true);
    options.append(true).create(true);
    #[cfg(unix)]
    {
        std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    folders.create(folder)?;
    let file = options.open(file)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    drop(file);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test does not check the *journal* (SQLite's temporary file for a change), because SQLite gives the
    /// journal the mode of the database file.
    #[cfg(unix)]
    #[test]
    fn store_is_readable_only_by_the_user_who_runs_the_host() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new/state");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        drop(KeyValue::open(&folder).unwrap());
        assert_eq!((mode(&folder), mode(&folder.join(FILE))), (0o700, 0o600));
        // An existing file gets mode 0600, and an existing folder keeps its mode.
        for (path, wide) in [(&folder, 0o755), (&folder.join(FILE), 0o644)] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(wide)).unwrap();
        }
        let kv = KeyValue::open(&folder).unwrap();
        kv.set("default", "k", b"1").unwrap();
        assert_eq!((mode(&folder), mode(&folder.join(FILE))), (0o755, 0o600));
    }

    #[test]
    fn store_returns_the_last_value_of_each_key() {
        let folder = tempfile::tempdir().unwrap();
        let kv = KeyValue::open(folder.path()).unwrap();
        assert_eq!(kv.get("default", "k").unwrap(), None);
        kv.set("default", "k", b"1").unwrap();
        kv.set("default", "k", b"2").unwrap();
        kv.set("default", "", b"").unwrap();
        kv.set("other", "k", b"3").unwrap();
        kv.set("a", "z", b"4").unwrap();
        assert_eq!(kv.get("default", "k").unwrap().unwrap(), b"2");
        assert_eq!(kv.get("default", "").unwrap().unwrap(), b"");
        let mut keys = kv.keys("default").unwrap();
        keys.sort();
        assert_eq!(keys, ["", "k"]);
        assert_eq!(kv.keys("unused").unwrap(), [""; 0]);
        kv.delete("default", "k").unwrap();
        kv.delete("default", "k").unwrap();
        assert_eq!(kv.get("default", "k").unwrap(), None);
        assert_eq!(kv.get("other", "k").unwrap().unwrap(), b"3");
    }

    #[test]
    fn store_of_a_killed_host_keeps_committed_values() {
        let folder = tempfile::tempdir().unwrap();
        let kv = KeyValue::open(folder.path()).unwrap();
        for n in 0..100 {
            kv.set("default", &format!("k{n}"), &vec![n; 1000]).unwrap();
        }
        // A killed host leaves the file as it is. So a copy of the open file holds the same data that the
        // next host would find.
        let after = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join(FILE), after.path().join(FILE)).unwrap();
        let survivor = KeyValue::open(after.path()).unwrap();
        assert_eq!(survivor.keys("default").unwrap().len(), 100);
        assert_eq!(survivor.get("default", "k99").unwrap().unwrap(), vec![99; 1000]);
    }

    #[test]
    fn store_in_one_folder_is_shared_by_two_hosts() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [(); 2].map(|()| KeyValue::open(folder.path()).unwrap());
        first.set("default", "k", b"1").unwrap();
        assert_eq!(second.get("default", "k").unwrap().unwrap(), b"1");
    }

    #[test]
    fn file_that_is_no_database_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(FILE),
            "not a database, and longer than a header has to be: ".repeat(9),
        )
        .unwrap();
        let error = format!("{:#}", KeyValue::open(folder.path()).unwrap_err());
        assert!(error.contains("unusable") && error.contains(FILE), "{error}");
    }
}
