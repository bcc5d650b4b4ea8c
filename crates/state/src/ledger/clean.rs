//! Taking away what is over.

use chrono::TimeDelta;
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Batch, Filter, Key, Operation, Query, TableError};

use super::{KEY_TERM, Ledger, MOST_OPERATIONS, Period};

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Takes away records of earlier periods that are over, in at most so many pages. Returns how many it took.
    pub async fn clean(&self, pages: u32) -> Result<usize, TableError> {
        let now = self.host.now();
        // A key that was used again after its term is found only beside its earlier record: so a period is left whole until no
        // key of it answers any more.
        let filter = Filter::partitions("", &Period::of(now - KEY_TERM - TimeDelta::hours(1)).prefix())
            .and(Filter::before("endsAt", now.timestamp_millis()));
        let query = Query { filter, top: 1000, select: vec!["endsAt"] };
        let (mut taken, mut from) = (0, None);
        for _ in 0..pages {
            let page = self.table.query(&query, from.as_ref()).await?;
            let keys: Vec<Key> = page.entities.into_iter().map(|entity| entity.key).collect();
            for partition in keys.chunk_by(|a, b| a.partition == b.partition) {
                for some in partition.chunks(MOST_OPERATIONS) {
                    let operations: Vec<_> = some.iter().map(|key| Operation::Delete(key, None)).collect();
                    // If another run has taken one of them away, the batch is refused. The next cleaning takes the rest.
                    if self.table.batch(&operations).await? == Batch::Done {
                        taken += some.len();
                    }
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        Ok(taken)
    }
}
