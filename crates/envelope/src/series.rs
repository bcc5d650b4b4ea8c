//! A series: one alert for each time at which a recurring alert is due, for example each day. Each alert of
//! the series has its own queue message.

use bot_framework::json::{FieldError, Fields, put};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use zones::Zone;

use crate::{EnvelopeId, time};

const SECONDS_OF_A_DAY: u32 = 24 * 60 * 60;

/// The series to which an alert belongs, and the alert's place in the series. The comment on each field
/// begins with the name of the JSON member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// `first`: the id of the first alert of the series.
    pub first: EnvelopeId,
    /// `start`: when the first alert was due.
    pub start: DateTime<Utc>,
    /// `every`: the time from one alert to the next, in seconds, at least 1.
    pub every_seconds: u32,
    /// `zone`: the time zone. If `every` is a number of whole days, each alert is due at the same local time
    /// in this zone, also after a change to or from summer time.
    pub zone: Option<Zone>,
    /// `until`: the end of the series. No alert of the series is due later than this time.
    pub until: DateTime<Utc>,
    /// `index`: the number of this alert in the series. The first alert has the number 0.
    pub index: u32,
}

impl Series {
    /// When the alert with this index is due. `None` if the alert would be due after `until`.
    pub fn due(&self, index: u32) -> Option<DateTime<Utc>> {
        self.moment(index).filter(|due| *due <= self.until)
    }

    fn moment(&self, index: u32) -> Option<DateTime<Utc>> {
        let after = TimeDelta::seconds(i64::from(index) * i64::from(self.every_seconds));
        match &self.zone {
            Some(zone) if self.every_seconds.is_multiple_of(SECONDS_OF_A_DAY) => {
                Some(zone.moment_of(zone.clock_at(self.start).checked_add_signed(after)?))
            }
            _ => self.start.checked_add_signed(after),
        }
    }

    /// The index of the last alert that is due at `now` or earlier. The result is 0 if `now` is before
    /// `start`. The function ignores `until`, so [`Series::due`] can return `None` for this index.
    pub fn last_due(&self, now: DateTime<Utc>) -> u32 {
        let passed = (now - self.start).num_seconds().max(0);
        let estimate = u32::try_from(passed / i64::from(self.every_seconds.max(1))).unwrap_or(u32::MAX);
        // The zone matters only if `every` is a number of whole days. A change of the zone's offset, such as
        // summer time, moves an alert by less than a day. So the estimate is wrong by at most one.
        let near = (estimate.saturating_sub(1)..=estimate.saturating_add(1)).rev();
        near.into_iter().find(|index| self.moment(*index).is_some_and(|due| due <= now)).unwrap_or_default()
    }

    pub(crate) fn take(fields: &mut Fields) -> Result<Option<Self>, FieldError> {
        let Some(mut fields) = fields.object("series")? else { return Ok(None) };
        let number = |fields: &mut Fields, name: &str| {
            let number = fields.take(name).as_ref().and_then(Value::as_u64);
            let number = number.and_then(|number| u32::try_from(number).ok());
            number.ok_or_else(|| fields.error(name, "a whole number from 0 to 4294967295"))
        };
        let required = |fields: &mut Fields, name: &str| {
            time::take(fields, name)?.ok_or_else(|| fields.error(name, "a time in the form of RFC 3339"))
        };
        let every_seconds = match number(&mut fields, "every")? {
            0 => return Err(fields.error("every", "at least 1")),
            every => every,
        };
        let zone = match fields.string("zone")? {
            None => None,
            // Perhaps a newer bot wrote a zone that this code does not know. Without a zone, the time between
            // two alerts is exactly `every`.
            Some(zone) => Zone::parse(&zone),
        };
        Ok(Some(Self {
            first: EnvelopeId::from_text(fields.required_string("first")?),
            start: required(&mut fields, "start")?,
            every_seconds,
            zone,
            until: required(&mut fields, "until")?,
            index: number(&mut fields, "index")?,
        }))
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut series = json!({
            "first": self.first.as_str(), "start": time::to_text(self.start), "every": self.every_seconds,
            "until": time::to_text(self.until), "index": self.index,
        });
        if let Some(series) = series.as_object_mut() {
            put(series, "zone", self.zone.map(|zone| zone.to_string()));
        }
        series
    }

    pub(crate) fn put(series: Option<&Self>, object: &mut Map<String, Value>) {
        put(object, "series", series.map(Self::to_json));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn series(start: &str, every_seconds: u32, zone: Option<&str>) -> Series {
        Series {
            first: EnvelopeId::from_text("a"),
            start: at(start),
            every_seconds,
            zone: zone.map(|zone| Zone::parse(zone).unwrap()),
            until: at("2028-01-01T00:00:00Z"),
            index: 0,
        }
    }

    #[test]
    fn series_of_whole_days_keeps_the_local_time_when_the_offset_of_the_zone_changes() {
        let daily = series("2027-03-26T08:00:00Z", 86_400, Some("Europe/Berlin"));
        let due = |index| daily.due(index).unwrap();
        assert_eq!(due(1), at("2027-03-27T08:00:00Z"));
        assert_eq!(due(2), at("2027-03-28T07:00:00Z"), "09:00 in summer time");
        assert_eq!(due(219), at("2027-10-31T08:00:00Z"), "09:00 in winter time again");
        // The series is due at 02:30 local time. In the night in which summer time begins, there is no 02:30,
        // so the alert is due at 03:30.
        let nightly = series("2027-03-27T01:30:00Z", 86_400, Some("Europe/Berlin"));
        assert_eq!(nightly.due(1), Some(at("2027-03-28T01:30:00Z")));
        assert_eq!(nightly.due(2), Some(at("2027-03-29T00:30:00Z")));
        // If there is no zone, or `every` is not a number of whole days, the time between two alerts is
        // exactly `every`.
        let exact = series("2027-03-26T08:00:00Z", 86_400, None);
        assert_eq!(exact.due(2), Some(at("2027-03-28T08:00:00Z")));
        let hourly = series("2027-03-28T00:00:00Z", 3600, Some("Europe/Berlin"));
        assert_eq!(hourly.due(3), Some(at("2027-03-28T03:00:00Z")));
    }

    #[test]
    fn series_has_no_alert_after_the_end() {
        let daily =
            Series { until: at("2027-03-28T08:00:00Z"), ..series("2027-03-26T08:00:00Z", 86_400, None) };
        assert_eq!((daily.due(2), daily.due(3)), (Some(at("2027-03-28T08:00:00Z")), None));
        assert_eq!(daily.due(u32::MAX), None);
    }

    #[test]
    fn last_due_alert_is_the_newest_alert_that_is_not_in_the_future() {
        let daily = series("2027-03-26T08:00:00Z", 86_400, Some("Europe/Berlin"));
        for (now, expected) in [
            ("2027-03-01T00:00:00Z", 0),
            ("2027-03-26T08:00:00Z", 0),
            ("2027-03-27T07:59:59Z", 0),
            ("2027-03-27T08:00:00Z", 1),
            ("2027-03-28T06:59:59Z", 1),
            ("2027-03-28T07:00:00Z", 2),
            ("2027-10-31T07:59:59Z", 218),
            ("2027-10-31T08:00:00Z", 219),
        ] {
            assert_eq!(daily.last_due(at(now)), expected, "{now}");
        }
    }
}
