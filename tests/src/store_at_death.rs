//! What the key-value store of a host held when the host was killed: the embedded host's or Spin's, which are alike.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

/// Spin's name for it (spin: crates/runtime-config/src/lib.rs).
const FILE: &str = "sqlite_key_value.db";

/// Keys and values in a dead host's state folder. Reads a copy: the host that comes back wants the file as it is.
pub fn read(state: &Path) -> Option<BTreeMap<String, Vec<u8>>> {
    if !state.join(FILE).exists() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    // Beside it may stand a journal, which rolls back the change that was not complete.
    for name in [FILE.to_owned(), format!("{FILE}-journal"), format!("{FILE}-wal")] {
        if state.join(&name).exists() {
            std::fs::copy(state.join(&name), folder.path().join(&name)).unwrap();
        }
    }
    let read = || -> rusqlite::Result<_> {
        let connection = Connection::open(folder.path().join(FILE))?;
        let mut select = connection.prepare("SELECT key, value FROM spin_key_value")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    Some(read().unwrap_or_else(|error| panic!("the killed host's store: {error}")))
}
