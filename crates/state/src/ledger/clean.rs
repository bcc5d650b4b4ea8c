//! Deletes expired records from the ledger. One call of [`Ledger::clean`] is a *cleaning*.
//!
//! The ledger stores the records by *period* (eight days). One query finds the expired records of all periods
//! that ended at least 25 hours ago. These periods also hold records that have not expired, e.g. of alerts
//! that are due in a year. To find the expired records, the table service reads all records of these periods
//! part by part, and returns one page for each part. So the query can have more pages than one cleaning
//! reads. Each cleaning stores where it stopped, and the next cleaning continues there.

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Batch, Continuation, Entity, Filter, Key, Operation, Query, TableError};

use super::{KEY_TERM, Ledger, MAX_OPERATIONS, Period};

/// The key of the row that stores where the last cleaning stopped. The search for expired records does not
/// find this row: `clean` sorts after the partition keys of all periods, which begin with a digit.
const PLACE: (&str, &str) = ("clean", "place");

/// A search for expired records. A search with many pages takes several cleanings. The query finds the
/// records that had expired when the search began, and contains this moment (`begun_at`). All cleanings of a
/// search must use the same moment, because a continuation is valid only for the query that returned it.
struct Search {
    begun_at: DateTime<Utc>,
    from: Option<Continuation>,
}

impl Search {
    /// Reads the search that the last cleaning stored. Returns `None` if the search has no continuation,
    /// because the last cleaning finished the search, or because the service refused the continuation. Also
    /// returns `None` if the stored time is in the future. A time in the future comes from a wrong clock, and
    /// would select records that have not expired.
    fn read(place: &Entity, now: DateTime<Utc>) -> Option<Self> {
        let begun_at = DateTime::from_timestamp_millis(place.int("at")?).filter(|at| *at <= now)?;
        let from = Continuation::from_text(place.str("next")?).ok()?;
        Some(Self { begun_at, from: Some(from) })
    }

    fn place(&self) -> Entity {
        let next = self.from.as_ref().map(Continuation::to_text).unwrap_or_default();
        Entity::new(Key::new(PLACE.0, PLACE.1))
            .with("next", next)
            .with_int64("at", self.begun_at.timestamp_millis())
    }

    fn query(&self) -> Query {
        // An idempotency key identifies an API call for 24 hours, the term of the key. After the term, the
        // sender can use the key for another API call. So in one period, the same key can identify several
        // API calls, one after the other: turn 0, turn 1 and so on (`turn` in `CallId::of_key`). To find the
        // last API call, the bot reads the records of the turns in order, until a record is missing. If a
        // cleaning deleted the record of turn 0 too early, the bot would not find turn 1. So no cleaning
        // deletes records of a period before the terms of all keys in the period have ended.
        let last = Period::of(self.begun_at - KEY_TERM - TimeDelta::hours(1));
        let filter = Filter::partitions("", &last.prefix())
            .and(Filter::before("endsAt", self.begun_at.timestamp_millis()));
        Query { filter, top: 1000, select: vec!["endsAt"] }
    }
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Deletes expired records in two steps. Each step reads at most `pages` pages. Returns the number of
    /// deleted records.
    ///
    /// 1. The first step deletes records of the periods that ended at least 25 hours ago. The
    ///    first step continues where the last cleaning stopped.
    /// 2. The second step, [`Ledger::clean_keys`], deletes records of *alert keys*. A sender can give several
    ///    alerts the same alert key (`key`). The record of the alert key describes the chat message that the
    ///    conversation shows for these alerts.
    pub async fn clean(&self, pages: u32) -> Result<usize, TableError> {
        let now = self.host.now();
        let place = self.table.get(&Key::new(PLACE.0, PLACE.1)).await?;
        let stopped = place.and_then(|found| Search::read(&found.entity, now));
        let is_continued = stopped.is_some();
        let mut search = stopped.unwrap_or(Search { begun_at: now, from: None });
        let deleted = self.clean_from(&mut search, pages).await;
        // If the service refuses the continuation, the next cleaning reads from the first page again.
        if matches!(deleted, Err(TableError::Refused { .. })) {
            search.from = None;
        }
        if is_continued || search.from.is_some() {
            self.table.put(&search.place()).await?;
        }
        Ok(deleted? + self.clean_keys(pages).await?)
    }

    /// Reads at most `pages` pages of a search, and deletes the records on these pages. After each page, sets
    /// `search.from` to the next page.
    async fn clean_from(&self, search: &mut Search, pages: u32) -> Result<usize, TableError> {
        let query = search.query();
        let mut deleted = 0;
        for _ in 0..pages {
            let page = self.table.query(&query, search.from.as_ref()).await?;
            let keys: Vec<Key> = page.entities.into_iter().map(|entity| entity.key).collect();
            for partition in keys.chunk_by(|a, b| a.partition == b.partition) {
                for chunk in partition.chunks(MAX_OPERATIONS) {
                    let operations: Vec<_> = chunk.iter().map(|key| Operation::Delete(key, None)).collect();
                    // If another cleaning has deleted one of the records, the service refuses the whole
                    // batch. A later search deletes the other records of the batch.
                    if self.table.batch(&operations).await? == Batch::Done {
                        deleted += chunk.len();
                    }
                }
            }
            search.from = page.next;
            if search.from.is_none() {
                break;
            }
        }
        Ok(deleted)
    }
}
