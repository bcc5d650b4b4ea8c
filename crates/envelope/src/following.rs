//! Makes the envelope of a later alert of a series from the envelope of an earlier one.

use chrono::{DateTime, Utc};

use crate::{Delivery, Envelope, EnvelopeId, Keyed, Series};

impl Envelope {
    /// A later alert of the series to which this alert belongs, with the given id, index and due time. The
    /// later alert counts as accepted at `now`. `None` if the envelope is no alert of a series.
    pub fn following(
        &self,
        id: EnvelopeId,
        index: u32,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let series = Some(Series { index, ..self.series.clone()? });
        let (not_before, enqueued_at, delivery) = (Some(due), now, Delivery::default());
        // `at` orders the alerts with the same key, so the later alert has a later `at`.
        let keyed = self.keyed.clone().map(|keyed| Keyed { at: due.timestamp_millis(), ..keyed });
        // `once`: the queue may hold the later alert twice. The poller puts it there again if it does not
        // know whether an earlier run has done so.
        Some(Self { id, series, keyed, not_before, enqueued_at, delivery, once: true, ..self.clone() })
    }

    /// An alert of the series whose envelope is at least as long as that of every other alert of the series.
    /// `None` if the envelope is no alert of a series.
    pub fn longest_of_series(&self) -> Option<Self> {
        let until = self.series.as_ref()?.until;
        self.following(self.id.clone(), u32::MAX, until, until)
    }
}
