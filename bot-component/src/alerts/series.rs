//! The members `every`, `until` and `zone` of an API call. These members make an alert recur, for example
//! every day. The alert and all its repetitions are a *series*.

use std::time::Duration;

use bot_framework::json::{FieldError, Fields};
use chrono::{DateTime, Utc};
use envelope::{EnvelopeId, Series};
use zones::Zone;

use super::duration;
use super::time::take_time;
use crate::limits::MAX_AHEAD;

/// The shortest time from one alert to the next.
const SHORTEST: Duration = Duration::from_secs(60);

/// How an alert recurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recurrence {
    every_seconds: u32,
    until: DateTime<Utc>,
    /// The time zone that the call names; `None` if the call names no time zone.
    zone: Option<Zone>,
}

impl Recurrence {
    /// Makes the series that begins with an alert. The bot puts the series into the alert's envelope (the
    /// alert as JSON on the queue). `id` and `start` are the id and the due time of this alert. `zone` is the
    /// time zone of the person who gets the alert. If the call names a time zone, the series uses the time
    /// zone of the call instead.
    pub(super) fn first(&self, id: &EnvelopeId, start: DateTime<Utc>, zone: Option<Zone>) -> Series {
        let Self { every_seconds, until, zone: named } = *self;
        Series { first: id.clone(), start, every_seconds, zone: named.or(zone), until, index: 0 }
    }
}

/// Reads the members `every`, `until` and `zone`. Returns `None` if the alert does not recur. `due` is the
/// due time of the first alert. `expires` is true if the call has the member `expires`.
pub(super) fn read(
    fields: &mut Fields,
    due: DateTime<Utc>,
    expires: bool,
) -> Result<Option<Recurrence>, FieldError> {
    const EVERY: &str = "a duration of ISO 8601 from PT1M to P366D, such as P1D";
    let until = take_time(fields, "until")?;
    let zone = fields.string("zone")?;
    let Some(every) = fields.string("every")? else {
        let alone = [("until", until.is_some()), ("zone", zone.is_some())];
        return match alone.into_iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => {
                Err(fields.error(name, "`every` in the same call; set `every`, or leave this member out"))
            }
            None => Ok(None),
        };
    };
    let every = duration::parse(&every).filter(|every| (SHORTEST..=MAX_AHEAD).contains(every));
    let every_seconds = every.and_then(|every| u32::try_from(every.as_secs()).ok());
    let every_seconds = every_seconds.ok_or_else(|| fields.error("every", EVERY))?;
    if expires {
        return Err(fields.error("expires", "`until` in its place, because the alert recurs"));
    }
    let zone = match zone {
        None => None,
        Some(zone) => Some(Zone::parse(&zone).ok_or_else(|| {
            fields.error("zone", "a zone of the Time Zone Database, such as Europe/Berlin")
        })?),
    };
    let last = due + MAX_AHEAD;
    let until = until.unwrap_or(last);
    if until <= due || until > last {
        return Err(fields.error("until", "a time after the first alert, and at most 366 days after it"));
    }
    Ok(Some(Recurrence { every_seconds, until, zone }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn due() -> DateTime<Utc> {
        "2026-12-01T08:00:00Z".parse().unwrap()
    }

    fn recurrence(body: &Value, expires: bool) -> Result<Option<Recurrence>, String> {
        let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        read(&mut fields, due(), expires).map_err(|error| error.to_string())
    }

    #[test]
    fn recurrence_ends_after_366_days_unless_the_caller_sets_until() {
        assert_eq!(recurrence(&json!({}), true), Ok(None));
        let daily = recurrence(&json!({"every": "P1D"}), false).unwrap().unwrap();
        let series = daily.first(&EnvelopeId::from_text("a"), due(), Zone::parse("Europe/Berlin"));
        assert_eq!((series.every_seconds, series.index), (86_400, 0));
        assert_eq!(series.until, "2027-12-02T08:00:00Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(series.zone, Zone::parse("Europe/Berlin"), "the person's zone");
        let named = json!({"every": "PT1M", "until": "2026-12-01T08:00:01Z", "zone": "america/new_york"});
        let named = recurrence(&named, false).unwrap().unwrap();
        let series = named.first(&EnvelopeId::from_text("a"), due(), Zone::parse("Europe/Berlin"));
        assert_eq!((series.every_seconds, series.zone), (60, Zone::parse("America/New_York")));
    }

    #[test]
    fn error_about_a_recurrence_begins_with_the_name_of_the_wrong_member() {
        for (body, expires, path) in [
            (json!({"every": "PT59S"}), false, "every"),
            (json!({"every": "P367D"}), false, "every"),
            (json!({"every": "daily"}), false, "every"),
            (json!({"every": 1}), false, "every"),
            (json!({"every": "P1D"}), true, "expires"),
            (json!({"every": "P1D", "until": "2026-12-01T08:00:00Z"}), false, "until"),
            (json!({"every": "P1D", "until": "2028-12-01T08:00:00Z"}), false, "until"),
            (json!({"until": "2026-12-02T08:00:00Z"}), false, "until"),
            (json!({"zone": "Europe/Berlin"}), false, "zone"),
            (json!({"every": "P1D", "zone": "Mars/Olympus"}), false, "zone"),
        ] {
            let error = recurrence(&body, expires).expect_err("refused");
            assert!(error.starts_with(&format!("{path}: ")), "{body}: {error}");
        }
    }
}
