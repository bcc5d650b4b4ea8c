//! The key-value store: one redb file in the state folder.

use std::io;
use std::ops::Bound;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use redb::backends::FileBackend;
use redb::{BackendError, Database, ReadableDatabase as _, StorageBackend, TableDefinition};

const FILE: &str = "local_host_key_value.redb";
/// (store, key) to value.
const TABLE: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("key_value");

/// All stores of the application. Calls block, but for microseconds: nothing waits for the disk.
#[derive(Debug)]
pub(crate) struct KeyValue(Database);

impl KeyValue {
    /// Opens the file in `folder`, creating both if need be.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let file = std::fs::create_dir_all(folder)
            .and_then(|()| {
                std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)
            })
            .with_context(|| {
                format!("cannot open the key-value file {}; choose a folder with --state-dir", path.display())
            })?;
        Self::on(file).map_err(|e| match e {
            redb::Error::DatabaseAlreadyOpen => anyhow!(
                "{} is in use: another host runs with this state folder; stop it, or give this one its own with \
                 --state-dir",
                path.display()
            ),
            e => anyhow!("the key-value file {} is unusable ({e}); remove it to start afresh", path.display()),
        })
    }

    fn on(file: std::fs::File) -> Result<Self, redb::Error> {
        let backend = NoSync(FileBackend::new(file)?);
        let database = Database::builder().set_cache_size(16 << 20).create_with_backend(backend)?;
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        Ok(Self(database))
    }

    pub(crate) fn get(&self, store: &str, key: &str) -> Result<Option<Vec<u8>>, redb::Error> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        Ok(table.get((store, key))?.map(|value| value.value().to_vec()))
    }

    pub(crate) fn set(&self, store: &str, key: &str, value: &[u8]) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        transaction.open_table(TABLE)?.insert((store, key), value)?;
        Ok(transaction.commit()?)
    }

    pub(crate) fn delete(&self, store: &str, key: &str) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        transaction.open_table(TABLE)?.remove((store, key))?;
        Ok(transaction.commit()?)
    }

    pub(crate) fn keys(&self, store: &str) -> Result<Vec<String>, redb::Error> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        let mut keys = Vec::new();
        for row in table.range((store, "")..)? {
            let (key, _) = row?;
            let (owner, key) = key.value();
            if owner != store {
                break;
            }
            keys.push(key.to_owned());
        }
        Ok(keys)
    }
}

/// A file that is never synced. What a commit wrote is then with the operating system: a killed process loses nothing,
/// a power cut may. (redb's own `Durability::None` would be as fast, but a killed process loses it.)
#[derive(Debug)]
struct NoSync(FileBackend);

type LockResult<T> = Result<T, BackendError>;

impl StorageBackend for NoSync {
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> LockResult<bool> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> LockResult<bool> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> LockResult<()> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> LockResult<()> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> LockResult<()> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> LockResult<bool> {
        self.0.query_lock_range(start, end)
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
        assert_eq!(kv.keys("default").unwrap(), ["", "k"]);
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
    fn a_second_host_is_told_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let _first = KeyValue::open(folder.path()).unwrap();
        let error = KeyValue::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("--state-dir"), "{error}");
    }

    #[test]
    fn a_foreign_file_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "not a database").unwrap();
        let error = KeyValue::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("unusable") && error.contains(FILE), "{error}");
    }
}
