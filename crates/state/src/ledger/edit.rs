//! Changes of chat messages that were sent. The record of an alert stores the last change of the alert's chat
//! message.

use platform::{Clock, HttpClient, Randomness};
use storage_table::{Conditional, Entity, TableError};

use super::record::{Record, shortened};
use super::{Ledger, RecordKey, contended};

/// A change of a chat message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// When the bot accepted the change, in milliseconds since 1970.
    pub at: i64,
    /// The id of the change. The bot puts each change on the queue as a separate alert, and this is the id of
    /// that alert.
    pub by: String,
    /// The id of the chat message that shows the new content, if the id is known. If the poller could not
    /// change the old chat message, this is a new chat message.
    pub activity_id: Option<String>,
    /// The address (JSON) of the thread that contains the chat message; `None` if the alert started no thread
    /// in a channel.
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
    /// Records a change of an alert's chat message. If the record has a later change already, the record
    /// stays as it is.
    pub async fn record_edit(&self, key: &RecordKey, edit: &Edit) -> Result<(), TableError> {
        // If another writer changes the record between the read and the write, the record is read again.
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
