//! The key of an entity with unexpected content, for a line in the log.

use std::cell::RefCell;

use storage_table::{Entity, Key};

/// The key of the first entity with unexpected content that this crate has read. If a property has an
/// unexpected type, this crate treats the property as missing, and continues. The caller of this crate logs
/// the key.
#[derive(Debug, Default)]
pub(crate) struct Skipped(RefCell<Option<Key>>);

impl Skipped {
    /// Remembers the key of an entity. After the first call, the method does nothing.
    pub(crate) fn add(&self, key: &Key) {
        self.0.borrow_mut().get_or_insert_with(|| key.clone());
    }

    /// Calls [`Self::add`] if a property has the wrong type. `texts` and `numbers` are the names of the
    /// properties that must be texts and numbers. A missing property is allowed.
    pub(crate) fn check_types(&self, entity: &Entity, texts: &[&str], numbers: &[&str]) {
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
