//! Remembers the first unexpected entity of a table, so that the caller can log its key.

use std::cell::RefCell;

use storage_table::{Entity, Key};

/// The key of the first entity in which a reader found something unexpected. Readers treat a property of an
/// unexpected type as missing, and continue. The caller logs the key.
#[derive(Debug, Default)]
pub(crate) struct Skipped(RefCell<Option<Key>>);

impl Skipped {
    /// Remembers the key of an entity, unless the key of an earlier entity is remembered already.
    pub(crate) fn add(&self, key: &Key) {
        self.0.borrow_mut().get_or_insert_with(|| key.clone());
    }

    /// Remembers the key of an entity if a property in `texts` is not a text, or if a property in `numbers`
    /// is not a number. A missing property is allowed.
    pub(crate) fn look(&self, entity: &Entity, texts: &[&str], numbers: &[&str]) {
        let has = |name: &&&str| entity.properties.contains_key(**name);
        if texts.iter().filter(has).any(|name| entity.str(name).is_none())
            || numbers.iter().filter(has).any(|name| entity.int(name).is_none())
        {
            self.add(&entity.key);
        }
    }

    pub(crate) fn key(&self) -> Option<Key> {
        self.0.borrow().clone()
    }
}
