//! Reads, breaks and removes the file of a Spin host's key-value store. Real Spin and the embedded host (the
//! project's own Spin host, in `crates/local-host`) use the same file format.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

/// Spin's name for the file. Source: `crates/runtime-config/src/lib.rs` in the repository of Spin.
const FILE: &str = "sqlite_key_value.db";

/// Reads the key-value store in a host's state folder: the folder in which a Spin host keeps its data.
/// Returns `None` if the folder has no store. SQLite can change a file when a program opens the file. So this
/// function opens a copy.
pub fn read(state: &Path) -> Option<BTreeMap<String, Vec<u8>>> {
    if !state.join(FILE).exists() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in file_names() {
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
    Some(read().unwrap_or_else(|error| panic!("the key-value store cannot be read: {error}")))
}

/// Breaks the store of a running host. Every later call to the store fails.
pub fn break_store(state: &Path) {
    let connection = Connection::open(state.join(FILE)).unwrap();
    connection.execute("DROP TABLE spin_key_value", []).unwrap();
}

/// Removes the store of a host that does not run.
pub fn remove(state: &Path) {
    for name in file_names() {
        match std::fs::remove_file(state.join(&name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{name}: {error}"),
            _ => {}
        }
    }
}

/// The names of the database file, and of SQLite's journals for this file. A copy of the store needs the
/// journals, because the newest changes can be in a journal, and not yet in the database file.
fn file_names() -> [String; 4] {
    ["", "-journal", "-wal", "-shm"].map(|end| format!("{FILE}{end}"))
}
