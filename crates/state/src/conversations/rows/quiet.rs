//! The row with a person's *quiet hours*: the hours in which the person wants no alerts.

use chrono::{DateTime, Utc};
use storage_table::Entity;
use zones::{ClockSpan, Zone};

/// The quiet hours of a person, in the person's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// The hours of the day. Alerts of programs wait until these hours end. An alert with the `importance`
    /// `high` does not wait.
    pub hours: ClockSpan,
    /// The person's time zone; UTC if the bot does not know the zone.
    pub zone: Zone,
}

impl Quiet {
    /// Returns when the quiet hours end; `None` if `moment` is not within the quiet hours.
    pub fn end_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.hours.end_after(moment, &self.zone)
    }
}

/// Reads the quiet hours from the row `<key>.w`; `None` if the hours cannot be read.
pub(in crate::conversations) fn hours_of(entity: &Entity) -> Option<ClockSpan> {
    let minutes = |name: &str| entity.int(name).and_then(|minutes| u16::try_from(minutes).ok());
    ClockSpan::new(minutes("from")?, minutes("to")?)
}
