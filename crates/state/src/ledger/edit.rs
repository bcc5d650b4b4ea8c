//! Changes of sent chat messages. The record of an alert stores the last change of the alert's chat message.

use platform::{Clock, HttpClient, Randomness};
use storage_table::{Conditional, Entity, TableError};

use super::record::{Record, shortened};
use super::{Ledger, RecordKey, contended};

/// A change of a sent chat message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// When the bot accepted the change, in milliseconds since 1970.
    pub at: i64,
    /// The id of the change. The bot puts each change on the queue as a new alert, and the new alert has
    /// this id.
    pub by: String,
    /// The id of the chat message that shows the new content; `None` if the id is unknown. If the poller
    /// could not change the old chat message, a new chat message shows the new content.
    pub activity_id: Option<String>,
    /// If the alert has started a thread in a channel: the address (JSON) of the thread, which contains the
    /// chat message.
    pub thread: Option<String>,
}

impl Edit {
    pub(super) fn entity(&self, key: &RecordKey) -> Entity {
        let mut entity = Entity::new(key.to_key()).with("editedBy", self.by.as_str());
        entity.int64("editedAt", self.at);
        if let Some(id) = &self.activity_id {
            entity.properties.insert("activityId".into(), shortened(id).into());
        }
        if let Some(thread) = &self.thread {
            entity.properties.insert("thread".into(), thread.as_str().into());
        }
        entity
    }
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Records a change of an alert's chat message. If the alert has no record, or if the record already has
    /// a later change, writes nothing.
    pub async fn record_edit(&self, key: &RecordKey, edit: &Edit) -> Result<(), TableError> {
        // An attempt fails if another writer changes the record between the read and the write.
        for _ in 0..3 {
            let Some(found) = self.table.get(&key.to_key()).await? else { return Ok(()) };
            let record = Record::read(&found.entity);
            if record.edited.is_some_and(|(at, by)| (at, by.as_str()) > (edit.at, edit.by.as_str())) {
                return Ok(());
            }
            if let Conditional::Done(_) = self.table.merge(&edit.entity(key), Some(&found.etag)).await? {
                return Ok(());
            }
        }
        Err(contended())
    }
}
