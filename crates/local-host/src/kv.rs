//! The key-value store, as Spin's default one is: one SQLite file in the state folder, the same statements, the same flush
//! of the disk with every change, one caller at a time (spin: crates/key-value-spin/src/store.rs).

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Spin's own name for it.
const FILE: &str = "sqlite_key_value.db";

/// All stores of the application. A call blocks its guest, and a change until the disk has it; other guests go on, on
/// another thread.
#[derive(Debug)]
pub(crate) struct KeyValue(Mutex<Connection>);

impl KeyValue {
    /// Opens the file in `folder`, creating both if need be.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        std::fs::create_dir_all(folder).with_context(|| {
            format!("cannot create {}; choose a folder with --state-dir", folder.display())
        })?;
        let connection = Self::connect(&path).with_context(|| {
            format!("the key-value file {} is unusable; remove it to start afresh", path.display())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_as_a_store() {
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
        assert_eq!(kv.keys("nobody").unwrap(), [""; 0]);
        kv.delete("default", "k").unwrap();
        kv.delete("default", "k").unwrap();
        assert_eq!(kv.get("default", "k").unwrap(), None);
        assert_eq!(kv.get("other", "k").unwrap().unwrap(), b"3");
    }

    #[test]
    fn a_store_that_was_never_closed_keeps_what_was_committed() {
        let folder = tempfile::tempdir().unwrap();
        let kv = KeyValue::open(folder.path()).unwrap();
        for n in 0..100 {
            kv.set("default", &format!("k{n}"), &vec![n; 1000]).unwrap();
        }
        // What a killed process leaves: the bytes of the file as they are now.
        let after = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join(FILE), after.path().join(FILE)).unwrap();
        let survivor = KeyValue::open(after.path()).unwrap();
        assert_eq!(survivor.keys("default").unwrap().len(), 100);
        assert_eq!(survivor.get("default", "k99").unwrap().unwrap(), vec![99; 1000]);
    }

    #[test]
    fn two_hosts_share_a_folder_as_spins_triggers_do() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [(); 2].map(|()| KeyValue::open(folder.path()).unwrap());
        first.set("default", "k", b"1").unwrap();
        assert_eq!(second.get("default", "k").unwrap().unwrap(), b"1");
    }

    #[test]
    fn a_foreign_file_is_reported() {
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
