//! Records the chat message that a conversation shows for all alerts with the same *key*. A sender can give
//! an alert a key, which is the name of a problem (e.g. `disk-full`). By default, the poller sends a chat
//! message for the first alert with the key. For the next alert with the key, the poller changes this chat
//! message.
//!
//! For each key in a conversation, the ledger has a record. There are two kinds of writes:
//!
//! - After the Connector has accepted a chat message, the poller describes the chat message in the record.
//!   This write succeeds only if no other writer has changed the record after the poller read the record.
//! - After the bot has put an alert on the queue, the bot notes the alert as the newest alert with the key.
//!   If older alerts with the key still wait on the queue, the poller does not send these older alerts.
//!
//! A *run* is one execution of the poller.

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Batch, Conditional, ETag, Entity, Filter, Inserted, Key, Operation, Query, TableError};

use super::record::VERSION;
use super::{Ledger, MAX_OPERATIONS, contended};
use crate::ConversationKey;

/// How long the record of a key is kept after the last write.
const KEY_RECORD_KEPT: TimeDelta = TimeDelta::days(30);

/// The partitions of the records: one for each possible first digit of a conversation key.
const PARTITIONS: &[u8; 16] = b"0123456789abcdef";

/// The place of an alert in the order of the alerts with the same key: a time, and the alert's id. The time
/// is the alert's due time, or the time of acceptance if the alert was due at once, in milliseconds since
/// 1970. If two alerts have the same time, their ids decide.
pub type KeyOrder<'a> = (i64, &'a str);

/// The chat message that a conversation shows for a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The id of the chat message. `None` if the conversation shows no chat message for the key, or if the id
    /// is unknown.
    pub activity_id: Option<String>,
    /// The time in the place ([`KeyOrder`]) of the alert that was sent last.
    pub at: i64,
    /// The id of the alert that was sent last; empty if none was sent.
    pub alert: String,
    /// True if the last alert said that the problem lasts (`firing`). False if the last alert said that the
    /// problem has ended (`resolved`). In this case, the poller sends the next alert as a new chat message.
    pub is_firing: bool,
    /// A hash of the chat message's content.
    pub digest: String,
    /// The address (JSON) of the thread that contains the chat message, if an alert to a Teams channel
    /// started the thread.
    pub thread: Option<String>,
    /// The place that [`Ledger::note_latest`] has noted: the place of the newest alert with the key.
    latest: (i64, String),
    etag: Option<ETag>,
}

/// The result of recording the chat message that a conversation shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stood {
    /// The record describes the chat message that the poller has sent.
    Recorded,
    /// Another run has recorded a newer alert after the poller read the record. The record stays as it is.
    Overtaken,
}

impl Standing {
    /// The place of the alert that was sent last.
    pub fn order(&self) -> KeyOrder<'_> {
        (self.at, &self.alert)
    }

    /// The place of the newest alert with the key. [`Ledger::note_latest`] has noted this place.
    pub fn latest(&self) -> KeyOrder<'_> {
        (self.latest.0, &self.latest.1)
    }

    fn read(entity: &Entity, etag: ETag) -> Self {
        let text = |name: &str| entity.str(name).unwrap_or_default().to_owned();
        let number = |name: &str| entity.int(name).unwrap_or_default();
        Self {
            activity_id: Some(text("activityId")).filter(|id| !id.is_empty()),
            thread: Some(text("thread")).filter(|thread| !thread.is_empty()),
            at: number("at"),
            alert: text("alert"),
            is_firing: entity.str("state") == Some(FIRING),
            digest: text("digest"),
            latest: (number("latestAt"), text("latestAlert")),
            etag: Some(etag),
        }
    }

    fn entity(&self, key: Key, now: DateTime<Utc>) -> Entity {
        let activity_id = self.activity_id.as_deref().unwrap_or_default();
        let mut entity = Entity::new(key)
            .with("activityId", activity_id)
            .with("alert", self.alert.as_str())
            .with("state", if self.is_firing { FIRING } else { "resolved" })
            .with("digest", self.digest.as_str())
            .with("thread", self.thread.as_deref().unwrap_or_default())
            .with_int64("at", self.at);
        entity.int64("endsAt", ends_at(now));
        entity
    }
}

const FIRING: &str = "firing";

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Reads the record of the chat message that a conversation shows for a key. The argument `key` is not
    /// the key itself, but a hash of the sender's name and the key.
    pub async fn standing(&self, conversation: &ConversationKey, key: &str) -> Result<Standing, TableError> {
        let found = self.table.get(&key_of(conversation, key)).await?;
        Ok(found.map_or_else(Standing::default, |found| Standing::read(&found.entity, found.etag)))
    }

    /// Records the chat message that a conversation shows now. The write succeeds only if the record still
    /// has the ETag in `standing`. If another writer has changed the record, this method reads the record
    /// again:
    ///
    /// - If another run has sent a newer alert, the record stays as it is.
    /// - If no run has sent a newer alert, this method repeats the write with the new ETag. This is the
    ///   case e.g. after a write of [`Ledger::note_latest`].
    pub async fn record_standing(
        &self,
        conversation: &ConversationKey,
        key: &str,
        standing: &Standing,
    ) -> Result<Stood, TableError> {
        let entity = standing.entity(key_of(conversation, key), self.host.now());
        let mut etag = standing.etag.clone();
        for _ in 0..4 {
            let is_written = match &etag {
                None => {
                    let new = entity.clone().with("version", VERSION);
                    matches!(self.table.insert(&new).await?, Inserted::New(_))
                }
                Some(etag) => matches!(self.table.merge(&entity, Some(etag)).await?, Conditional::Done(_)),
            };
            if is_written {
                return Ok(Stood::Recorded);
            }
            let found = self.standing(conversation, key).await?;
            if found.order() > standing.order() {
                return Ok(Stood::Overtaken);
            }
            etag = found.etag;
        }
        Err(contended())
    }

    /// Notes an alert as the newest alert with its key. The poller then does not send older alerts with the
    /// key.
    ///
    /// The bot calls this method only after it has put the alert on the queue. If the bot called this method
    /// and could not put the alert on the queue, the poller would send neither this alert nor the older
    /// alerts.
    ///
    /// The bot does not call this method for some alerts, e.g. for an alert that the sender delays. So the
    /// poller also calls this method before it changes a chat message for an alert. The poller does not call
    /// this method if the record already names this alert or a newer alert.
    ///
    /// If two writers call this method at the same time, the record perhaps names the older of their two
    /// alerts. The poller then sends both alerts.
    pub async fn note_latest(
        &self,
        conversation: &ConversationKey,
        key: &str,
        (at, alert): KeyOrder<'_>,
    ) -> Result<(), TableError> {
        let mut note = Entity::new(key_of(conversation, key)).with("latestAlert", alert);
        note.int64("latestAt", at);
        note.int64("endsAt", ends_at(self.host.now()));
        self.table.put_merge(&note).await.map(drop)
    }

    /// Chooses one of the sixteen partitions at random, and deletes the expired records of keys there. Reads
    /// at most `pages` pages of expired records. Returns the number of deleted records.
    pub async fn clean_keys(&self, pages: u32) -> Result<usize, TableError> {
        let mut random = [0];
        self.host.fill(&mut random);
        let digit = char::from(PARTITIONS[usize::from(random[0] % 16)]);
        let now = self.host.now().timestamp_millis();
        let filter = Filter::partition(&partition(digit)).and(Filter::before("endsAt", now));
        let query = Query { filter, top: 1000, select: vec!["endsAt"] };
        let (mut deleted, mut from) = (0, None);
        for _ in 0..pages {
            let page = self.table.query(&query, from.as_ref()).await?;
            let keys: Vec<Key> = page.entities.into_iter().map(|entity| entity.key).collect();
            for chunk in keys.chunks(MAX_OPERATIONS) {
                let operations: Vec<_> = chunk.iter().map(|key| Operation::Delete(key, None)).collect();
                // The service refuses the batch if another run has deleted one of the records in `chunk`. A
                // later cleaning deletes the other records.
                if self.table.batch(&operations).await? == Batch::Done {
                    deleted += chunk.len();
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        Ok(deleted)
    }
}

fn key_of(conversation: &ConversationKey, key: &str) -> Key {
    Key::new(partition(conversation.digit()), format!("{}.{key}", conversation.as_str()))
}

fn partition(digit: char) -> String {
    format!("key.{digit}")
}

fn ends_at(now: DateTime<Utc>) -> i64 {
    now.timestamp_millis().saturating_add(KEY_RECORD_KEPT.num_milliseconds())
}

#[cfg(test)]
mod tests;
