//! The lines of conversations in which something has to wait: written and read by the run that is at work, so nothing is
//! merged. What stands in a line, the poller knows.

use chrono::{DateTime, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Batch, Deleted, Entity, Filter, Key, Operation, Query, TableError};

use super::Runs;

const PREFIX: &str = "line.";
/// The character after the prefix's last one.
const AFTER: &str = "line/";
/// A run reads so many pages of a thousand; the lines of other conversations are read one by one.
const MOST_PAGES: u32 = 8;
const MOST_OPERATIONS: usize = 100;

/// A line as it stands in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLine {
    /// The conversation's lane.
    pub lane: String,
    /// The line, as the poller wrote it.
    pub text: String,
    /// When nothing is waited for any more.
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
    /// Every line, and whether these are all there are.
    pub async fn lines(&self) -> Result<(Vec<StoredLine>, bool), TableError> {
        let filter = Filter::partition(&self.queue).rows(PREFIX, AFTER);
        let query = Query { filter, top: 1000, select: Vec::new() };
        let (mut lines, mut from) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let page = self.table.query(&query, from.as_ref()).await?;
            lines.extend(page.entities.iter().filter_map(StoredLine::read));
            from = page.next;
            if from.is_none() {
                return Ok((lines, true));
            }
        }
        Ok((lines, false))
    }

    /// One line, for when there are too many to read them all.
    pub async fn line(&self, lane: &str) -> Result<Option<StoredLine>, TableError> {
        let found = self.table.get(&self.line_key(lane)).await?;
        Ok(found.and_then(|found| StoredLine::read(&found.entity)))
    }

    /// Writes a line.
    pub async fn set_line(&self, line: &StoredLine) -> Result<(), TableError> {
        let mut entity = Entity::new(self.line_key(&line.lane));
        entity.properties.insert("line".into(), line.text.as_str().into());
        entity.int64("endsAt", line.ends_at.timestamp_millis());
        self.table.put(&entity).await.map(drop)
    }

    /// Takes a line away.
    pub async fn end_line(&self, lane: &str) -> Result<(), TableError> {
        match self.table.delete(&self.line_key(lane), None).await? {
            Deleted::Done | Deleted::Changed | Deleted::Gone => Ok(()),
        }
    }

    /// Takes away what is over: lines, and what was withdrawn long ago. A page at a time.
    pub async fn clean(&self) -> Result<usize, TableError> {
        let now = self.host.now();
        let lines = Filter::partition(&self.queue)
            .rows(PREFIX, AFTER)
            .and(Filter::before("endsAt", now.timestamp_millis()));
        let taken = self.clean_page(lines).await?;
        Ok(taken + self.clean_page(super::withdrawals::over(&self.queue, now)).await?)
    }

    async fn clean_page(&self, filter: Filter) -> Result<usize, TableError> {
        let query = Query { filter, top: 1000, select: vec!["endsAt"] };
        let page = self.table.query(&query, None).await?;
        let keys: Vec<Key> = page.entities.into_iter().map(|entity| entity.key).collect();
        let mut taken = 0;
        for some in keys.chunks(MOST_OPERATIONS) {
            let operations: Vec<_> = some.iter().map(|key| Operation::Delete(key, None)).collect();
            if self.table.batch(&operations).await? == Batch::Done {
                taken += some.len();
            }
        }
        Ok(taken)
    }

    fn line_key(&self, lane: &str) -> Key {
        Key::new(&self.queue, format!("{PREFIX}{lane}"))
    }
}
