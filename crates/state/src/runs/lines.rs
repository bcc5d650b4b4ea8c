//! The waiting lines of conversations. If a message has to wait, a *run* (one execution of the poller) hides
//! the message on the queue, together with the younger messages of the same conversation. The *waiting line*
//! of the conversation lists these hidden messages, the oldest first.
//!
//! Only the run that holds the run lock reads and writes the lines. So the run writes them without an ETag.
//! This crate does not interpret the text of a line, but the poller does.

use chrono::{DateTime, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Batch, Deleted, Entity, Filter, Key, Operation, Query, TableError};

use super::Runs;

const PREFIX: &str = "line.";
/// The end of the range of row keys with [`PREFIX`], because `/` is the character after `.`.
const AFTER: &str = "line/";
/// The greatest number of pages that [`Runs::lines`] reads. A page of query results has up to a thousand
/// lines. If the table has more lines, the run reads each further line with [`Runs::line`] when the run needs
/// that line.
const MAX_PAGES: u32 = 8;
/// The greatest number of operations in one batch.
const MAX_OPERATIONS: usize = 100;

/// A waiting line, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLine {
    /// The name of the conversation's *lane*, which holds the messages that a run has dequeued.
    pub lane: String,
    /// The line, as the poller wrote it.
    pub text: String,
    /// When the line expires. Until this time, newer messages of the conversation wait for the messages in
    /// the line.
    pub ends_at: DateTime<Utc>,
}

impl StoredLine {
    fn read(entity: &Entity) -> Option<Self> {
        Some(Self {
            lane: entity.key.row.strip_prefix(PREFIX)?.to_owned(),
            text: entity.str("line")?.to_owned(),
            ends_at: DateTime::from_timestamp_millis(entity.int("endsAt")?)?,
        })
    }
}

impl<H: HttpClient + Clock + Randomness> Runs<'_, H> {
    /// Reads the lines of the queue. The second value is true if the method has read all lines.
    pub async fn lines(&self) -> Result<(Vec<StoredLine>, bool), TableError> {
        let filter = Filter::partition(&self.queue).rows(PREFIX, AFTER);
        let query = Query { filter, top: 1000, select: Vec::new() };
        let (mut lines, mut from) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let page = self.table.query(&query, from.as_ref()).await?;
            for entity in &page.entities {
                match StoredLine::read(entity) {
                    Some(line) => lines.push(line),
                    None => self.skipped.add(&entity.key),
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok((lines, true));
            }
        }
        Ok((lines, false))
    }

    /// Reads the line of one lane. A run needs this method for a line that [`Runs::lines`] has not read.
    pub async fn line(&self, lane: &str) -> Result<Option<StoredLine>, TableError> {
        let found = self.table.get(&self.line_key(lane)).await?;
        Ok(found.and_then(|found| StoredLine::read(&found.entity)))
    }

    /// Writes a line. If the lane has a stored line already, replaces that line.
    pub async fn set_line(&self, line: &StoredLine) -> Result<(), TableError> {
        let mut entity = Entity::new(self.line_key(&line.lane));
        entity.properties.insert("line".into(), line.text.as_str().into());
        entity.int64("endsAt", line.ends_at.timestamp_millis());
        self.table.put(&entity).await.map(drop)
    }

    /// Deletes the line of a lane. A missing line is not an error.
    pub async fn end_line(&self, lane: &str) -> Result<(), TableError> {
        match self.table.delete(&self.line_key(lane), None).await? {
            Deleted::Done | Deleted::Changed | Deleted::Gone => Ok(()),
        }
    }

    /// Deletes expired lines, and old *withdrawals* (rows that tell the runs about an event, e.g. a
    /// cancellation; see [`Withdrawal`](super::Withdrawal)). Of each kind, deletes at most one page of query
    /// results, i.e. a thousand rows. Returns the number of deleted rows.
    pub async fn clean(&self) -> Result<usize, TableError> {
        let now = self.host.now();
        let lines = Filter::partition(&self.queue)
            .rows(PREFIX, AFTER)
            .and(Filter::before("endsAt", now.timestamp_millis()));
        let deleted = self.clean_page(lines).await?;
        Ok(deleted + self.clean_page(super::withdrawals::expired(&self.queue, now)).await?)
    }

    async fn clean_page(&self, filter: Filter) -> Result<usize, TableError> {
        let query = Query { filter, top: 1000, select: vec!["endsAt"] };
        let page = self.table.query(&query, None).await?;
        let keys: Vec<Key> = page.entities.into_iter().map(|entity| entity.key).collect();
        let mut deleted = 0;
        for chunk in keys.chunks(MAX_OPERATIONS) {
            let operations: Vec<_> = chunk.iter().map(|key| Operation::Delete(key, None)).collect();
            if self.table.batch(&operations).await? == Batch::Done {
                deleted += chunk.len();
            }
        }
        Ok(deleted)
    }

    fn line_key(&self, lane: &str) -> Key {
        Key::new(&self.queue, format!("{PREFIX}{lane}"))
    }
}
