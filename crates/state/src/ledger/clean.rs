//! Deletes expired records.

use chrono::TimeDelta;
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Batch, Filter, Key, Operation, Query, TableError};

use super::{KEY_TERM, Ledger, MAX_OPERATIONS, Period};

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Deletes expired records of earlier periods. Reads at most `pages` pages, and returns how many records
    /// it deleted.
    pub async fn clean(&self, pages: u32) -> Result<usize, TableError> {
        let now = self.host.now();
        // The search for an idempotency key that was used again after its term begins at the record of the
        // first use. So no record of a period is deleted before all its keys are past their term.
        let filter = Filter::partitions("", &Period::of(now - KEY_TERM - TimeDelta::hours(1)).prefix())
            .and(Filter::before("endsAt", now.timestamp_millis()));
        let query = Query { filter, top: 1000, select: vec!["endsAt"] };
        let (mut deleted, mut from) = (0, None);
        for _ in 0..pages {
            let page = self.table.query(&query, from.as_ref()).await?;
            let keys: Vec<Key> = page.entities.into_iter().map(|entity| entity.key).collect();
            for partition in keys.chunk_by(|a, b| a.partition == b.partition) {
                for chunk in partition.chunks(MAX_OPERATIONS) {
                    let operations: Vec<_> = chunk.iter().map(|key| Operation::Delete(key, None)).collect();
                    // The batch is refused if another run has deleted one of its records. The next cleaning
                    // deletes the rest.
                    if self.table.batch(&operations).await? == Batch::Done {
                        deleted += chunk.len();
                    }
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        Ok(deleted + self.clean_keys(pages).await?)
    }
}
