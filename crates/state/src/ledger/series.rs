//! Series of recurring alerts. Before the poller sends an alert of a series, it puts the next alert of the
//! series on the queue. The record of the first alert also says which alert follows, and whether the sender
//! has ended the series. This record is kept while the series continues.

use chrono::{DateTime, Utc};
use platform::{Clock, HttpClient, Randomness, name_of};
use storage_table::{Entity, TableError};

use super::key::{AlertId, Period};
use super::record::ends_at;
use super::{Ledger, Record};

/// The value of `seriesNext` after the last alert of a series.
const NONE_FOLLOWS: &str = "none";

/// The next alert of a series, as the poller recorded it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Following {
    /// No alert of the series has been sent yet, so the first alert follows.
    First,
    /// This alert follows, and is on the queue.
    Alert(AlertId),
    /// No alert follows, because the series has ended.
    Nothing,
}

impl AlertId {
    /// Makes the id of the alert with this index in a series. `period` is the period in which the alert is
    /// accepted. For the same alert, every caller must pass the same period.
    pub fn of_series(first: &Self, index: u32, period: Period) -> Self {
        let name = name_of(&["series", first.as_str(), &index.to_string()]);
        Self::of_period(period, &name[..28])
    }
}

impl Record {
    /// Which alert of the series follows. Only the record of the first alert stores which alert follows.
    pub fn following(&self) -> Following {
        match self.series_next.as_deref() {
            None => Following::First,
            Some(NONE_FOLLOWS) => Following::Nothing,
            // If a later version wrote a text that is no id, the series counts as ended.
            Some(id) => AlertId::parse(id).map_or(Following::Nothing, Following::Alert),
        }
    }
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Records which alert follows in a series. `next` is the alert's id and due time; `None` after the last
    /// alert. This write also postpones the expiry of the first alert's record. So this record is kept as
    /// long as the record of the next alert.
    pub async fn record_following(
        &self,
        first: &AlertId,
        next: Option<(&AlertId, DateTime<Utc>)>,
    ) -> Result<(), TableError> {
        let mut change = Entity::new(self.key_of(first)?.to_key());
        let (id, due) = next.map_or((NONE_FOLLOWS, None), |(id, due)| (id.as_str(), Some(due)));
        change.properties.insert("seriesNext".into(), id.into());
        change.int64("endsAt", ends_at(self.host.now(), due));
        self.table.put_merge(&change).await.map(drop)
    }

    /// Records that the sender ends a series. Returns the record of the first alert, as it was before this
    /// write; `None` if there is no record.
    pub async fn end_series(&self, first: &AlertId) -> Result<Option<Record>, TableError> {
        let Some(record) = self.find(first).await? else { return Ok(None) };
        if record.series_ended_at.is_none() {
            let mut change = Entity::new(self.key_of(first)?.to_key());
            change.int64("seriesEndedAt", self.host.now().timestamp_millis());
            self.table.put_merge(&change).await?;
        }
        Ok(Some(record))
    }
}
