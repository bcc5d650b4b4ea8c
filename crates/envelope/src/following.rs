//! Makes the envelope of a later alert in a series. A recurring alert is due several times, and each time is
//! one alert of its *series*. The poller makes the envelope of each later alert from the envelope of an
//! earlier alert.

use chrono::{DateTime, Utc};

use crate::{Delivery, Envelope, EnvelopeId, Keyed, Series};

impl Envelope {
    /// Makes a later alert of this alert's series, with the given id, index and due time. `now` becomes the
    /// `enqueuedAt` of the later alert. The result is `None` if this alert belongs to no series.
    pub fn following(
        &self,
        id: EnvelopeId,
        index: u32,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let series = Some(Series { index, ..self.series.clone()? });
        let (not_before, enqueued_at, delivery) = (Some(due), now, Delivery::default());
        // `at` orders the alerts with the same alert key, so the later alert has a later `at`.
        let keyed = self.keyed.clone().map(|keyed| Keyed { at: due.timestamp_millis(), ..keyed });
        // `once`: the queue may hold the new envelope twice. For example, a run puts the envelope on the
        // queue, and is killed before it records this in the ledger. The next run then puts the envelope on
        // the queue again.
        Some(Self { id, series, keyed, not_before, enqueued_at, delivery, once: true, ..self.clone() })
    }

    /// Makes an alert of the series with the longest possible envelope. If this envelope fits into a queue
    /// message, every alert of the series fits. The result is `None` if this alert belongs to no series.
    pub fn longest_of_series(&self) -> Option<Self> {
        let until = self.series.as_ref()?.until;
        self.following(self.id.clone(), u32::MAX, until, until)
    }
}
