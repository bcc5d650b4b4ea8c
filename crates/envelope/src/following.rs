//! Makes the envelope of a later alert in a series. A recurring alert is a *series* of alerts. Each alert of
//! the series has its own due time and its own envelope. The poller makes the envelope of a later alert from
//! the envelope of an earlier alert.

use chrono::{DateTime, Utc};

use crate::{Delivery, Envelope, EnvelopeId, Keyed, Series};

impl Envelope {
    /// Makes the envelope of a later alert in this alert's series. `id`, `index` and `due` (the due time)
    /// belong to the later alert. `now` becomes the `enqueuedAt` of the later alert. Returns `None` if this
    /// alert belongs to no series.
    pub fn later_in_series(
        &self,
        id: EnvelopeId,
        index: u32,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let series = Some(Series { index, ..self.series.clone()? });
        let (not_before, enqueued_at, delivery) = (Some(due), now, Delivery::default());
        // The field `at` orders the alerts with the same alert key (the sender's name for a problem). If
        // an alert has a due time, `at` is the due time.
        let keyed = self.keyed.clone().map(|keyed| Keyed { at: due.timestamp_millis(), ..keyed });
        // The mark `once` tells the poller that the queue can hold the new envelope twice. For example, a run
        // (one execution of the poller) puts the envelope on the queue. Then the run is killed before it
        // writes into the ledger (the table of all alerts) that the queue has the envelope. The next run puts
        // the envelope on the queue again.
        Some(Self { id, series, keyed, not_before, enqueued_at, delivery, once: true, ..self.clone() })
    }

    /// Makes an envelope that is at least as long as every envelope of the series. If this envelope fits into
    /// a queue message, every envelope of the series fits. Returns `None` if this alert belongs to no series.
    pub fn longest_of_series(&self) -> Option<Self> {
        let until = self.series.as_ref()?.until;
        self.later_in_series(self.id.clone(), u32::MAX, until, until)
    }
}
