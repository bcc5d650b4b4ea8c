//! The row that says which webhook address of a conversation works. A webhook address is a URL to which
//! programs post alerts.

use storage_table::Entity;

pub(in crate::conversations) const GENERATION: &str = "generation";
pub(in crate::conversations) const OFF: &str = "off";

/// The content of the row `<key>.h`, where `<key>` is the conversation's key. Each new webhook address of the
/// conversation gets the next number, the *generation*. Only the newest address can work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::conversations) struct Hook {
    pub(in crate::conversations) generation: u16,
    pub(in crate::conversations) is_ended: bool,
}

impl Hook {
    /// Reads the row. If the generation cannot be read, no webhook address works, because the generation of
    /// the newest address is unknown.
    pub(in crate::conversations) fn read(entity: &Entity) -> Self {
        let generation = entity.int(GENERATION).and_then(|number| u16::try_from(number).ok());
        let is_ended = generation.is_none() || entity.bool(OFF).unwrap_or_default();
        Self { generation: generation.unwrap_or_default(), is_ended }
    }

    /// The generation whose address works; `None` if no address works.
    pub(in crate::conversations) fn working(self) -> Option<u16> {
        (!self.is_ended).then_some(self.generation)
    }

    /// The next generation. After 65 535, the numbers begin again at 1. So the number of an ended address is
    /// used again after 65 534 newer addresses.
    pub(in crate::conversations) fn next(self) -> u16 {
        self.generation.checked_add(1).unwrap_or(1)
    }
}
