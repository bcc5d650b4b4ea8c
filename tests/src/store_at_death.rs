//! What the embedded host's key-value store held when the host was killed.

use std::collections::BTreeMap;
use std::path::Path;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

/// As `crates/local-host` writes it: (store, key) to value.
const FILE: &str = "local_host_key_value.redb";
const TABLE: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("key_value");

/// Keys and values in a dead host's state folder. `None` if that is no embedded host's. Reads a copy: the host that comes back
/// wants the file as it is.
pub fn read(state: &Path) -> Option<BTreeMap<String, Vec<u8>>> {
    let file = state.join(FILE);
    if !file.exists() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(FILE);
    std::fs::copy(&file, &copy).unwrap();
    // It was not closed: opening it puts it in order, to the last change that was complete.
    let database = Database::open(&copy).unwrap_or_else(|error| panic!("the killed host's store: {error}"));
    let table = database.begin_read().unwrap().open_table(TABLE).unwrap();
    let rows = table.iter().unwrap().map(|row| {
        let (key, value) = row.unwrap();
        (key.value().1.to_owned(), value.value().to_vec())
    });
    Some(rows.collect())
}
