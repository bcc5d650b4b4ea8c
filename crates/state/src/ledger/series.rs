//! Records the progress of a *series*. A series is a recurring alert: one alert after the other, at regular
//! times. Before the poller sends an alert of a series, the poller puts the next alert of the series on the
//! queue. The record of the series' first alert says which alert is the next alert, and whether the sender
//! has ended the series. This record is kept until the series has ended.

use chrono::{DateTime, Utc};
use platform::{Clock, HttpClient, Randomness, name_of};
use storage_table::{Entity, TableError};

use super::key::{AlertId, Period};
use super::record::ends_at;
use super::{Ledger, Record};

/// The value of `seriesNext` if no further alert follows. A run writes this value before the run sends the
/// last alert of a series.
const NONE_FOLLOWS: &str = "none";

/// The next alert of a series, according to the record of the series' first alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Following {
    /// The first alert is next, because the poller has not recorded another alert yet.
    First,
    /// This alert is next, and is on the queue.
    Alert(AlertId),
    /// No alert is next, because a run has dequeued the last alert of the series.
    Nothing,
}

impl AlertId {
    /// Makes the id of the alert with this index in a series. `first` is the id of the series' first alert.
    /// `period` is the [`Period`] (eight days) in which the alert is accepted. For the same alert, every
    /// caller must pass the same period, because the id contains the period.
    pub fn of_series(first: &Self, index: u32, period: Period) -> Self {
        let name = name_of(&["series", first.as_str(), &index.to_string()]);
        Self::of_period(period, &name[..28])
    }
}

impl Record {
    /// The next alert of the series. The result is only correct for the record of the series' first alert,
    /// because no other record stores the next alert.
    pub fn following(&self) -> Following {
        match self.series_next.as_deref() {
            None => Following::First,
            Some(NONE_FOLLOWS) => Following::Nothing,
            // Perhaps a newer version of the poller wrote a text that is no id. Then the series counts as
            // ended.
            Some(id) => AlertId::parse(id).map_or(Following::Nothing, Following::Alert),
        }
    }
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Records the next alert of a series in the record of the series' first alert. `next` is the id and the
    /// due time of the next alert; `None` if no alert follows. This write also postpones the expiry of the
    /// record, because the ledger needs the record until the series has ended.
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

    /// Records that the sender ends a series. Returns the record of the first alert, as the ledger had it
    /// before this write; `None` if there is no record.
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
