//! The time zone of a person.

use std::fmt;

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta, Utc};

use crate::rule::Rule;

/// The longest text that [`Zone::parse`] reads.
const MAX_NAME_BYTES: usize = 64;

/// A time zone: a zone of the Time Zone Database, or a fixed offset from UTC. The bot uses a fixed offset if
/// a person's message contains an offset, but no name of a known zone.
#[derive(Debug, Clone, Copy)]
pub struct Zone(Kind);

#[derive(Debug, Clone, Copy)]
enum Kind {
    Named(&'static str, &'static Rule),
    /// Seconds east of UTC. The number is a multiple of 60.
    Offset(i32),
}

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(Kind::Offset(0));

    /// Reads the name of a zone (such as `Europe/Berlin`) in upper or lower case, or an offset (such as
    /// `+02:00`). Returns `None` if the text is neither the name of a known zone nor a valid offset.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_NAME_BYTES {
            return None;
        }
        if let Some((name, rule)) = Rule::find(text) {
            return Some(Self(Kind::Named(name, rule)));
        }
        let sign = match text.get(..1)? {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        let (hours, minutes) = text.get(1..)?.split_once(':')?;
        let number = |text: &str| {
            let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i32>().ok().filter(|_| is_number)
        };
        let seconds = number(hours)? * 3600 + number(minutes).filter(|minutes| *minutes < 60)? * 60;
        (seconds < 24 * 3600).then_some(Self(Kind::Offset(sign * seconds)))
    }

    /// Makes a zone with a fixed offset. The function ignores the seconds of an offset such as `+05:53:28`.
    pub fn of_offset(offset: FixedOffset) -> Self {
        Self(Kind::Offset(offset.local_minus_utc() / 60 * 60))
    }

    /// Whether the zone has a name, and is not a fixed offset. A fixed offset does not show when summer time
    /// begins and ends.
    pub fn is_named(&self) -> bool {
        matches!(self.0, Kind::Named(..))
    }

    /// The local time in this zone at a moment.
    pub fn clock_at(&self, moment: DateTime<Utc>) -> NaiveDateTime {
        moment.naive_utc() + TimeDelta::seconds(self.offset_at(moment).into())
    }

    /// Returns the moment at which the local time in this zone is `clock`. When summer time ends, clocks go
    /// back, so some local times happen twice. The function then returns the first moment. When summer time
    /// begins, clocks go forward and skip some local times. For a skipped local time, the function uses the
    /// offset of standard time.
    pub fn moment_of(&self, clock: NaiveDateTime) -> DateTime<Utc> {
        let standard = match self.0 {
            Kind::Named(_, rule) => rule.standard,
            Kind::Offset(offset) => offset,
        };
        let in_standard_time = || clock.and_utc() - TimeDelta::seconds(standard.into());
        self.moments_of(clock).min().unwrap_or_else(in_standard_time)
    }

    /// Returns the moments at which the local time in this zone is `clock`. Usually there is one moment. When
    /// summer time ends, some local times happen twice, so there are two moments. When summer time begins,
    /// clocks skip some local times, so there is no moment.
    pub(crate) fn moments_of(&self, clock: NaiveDateTime) -> impl Iterator<Item = DateTime<Utc>> {
        let (fixed, rule) = match self.0 {
            Kind::Named(_, rule) => (None, Some(rule)),
            Kind::Offset(offset) => (Some(offset), None),
        };
        let offsets = fixed.into_iter().chain(rule.into_iter().flat_map(Rule::offsets));
        let moments =
            offsets.map(move |offset| (clock.and_utc() - TimeDelta::seconds(offset.into()), offset));
        moments.filter(|(moment, offset)| self.offset_at(*moment) == *offset).map(|(moment, _)| moment)
    }

    /// The changes of the offset in the year of a moment, in the year before, and in the year after.
    pub(crate) fn changes_near(&self, moment: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let rule = match self.0 {
            Kind::Named(_, rule) => Some(rule),
            Kind::Offset(_) => None,
        };
        rule.into_iter().flat_map(move |rule| rule.changes_near(moment))
    }

    fn offset_at(&self, moment: DateTime<Utc>) -> i32 {
        match self.0 {
            Kind::Named(_, rule) => rule.offset_at(moment),
            Kind::Offset(offset) => offset,
        }
    }
}

/// Two zones are equal if both have the same name, or if both are the same fixed offset. So [`Zone::UTC`],
/// which is the fixed offset `+00:00`, and the zone with the name `UTC` are not equal.
impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Kind::Named(one, _), Kind::Named(other, _)) => one == other,
            (Kind::Offset(one), Kind::Offset(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Named(name, _) => f.write_str(name),
            Kind::Offset(offset) => {
                let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn zone_is_read_from_its_name_or_offset_and_written_in_the_standard_spelling() {
        for (text, expected) in [
            ("Europe/Berlin", Some("Europe/Berlin")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("America/Argentina/Buenos_Aires", Some("America/Argentina/Buenos_Aires")),
            ("UTC", Some("UTC")),
            ("+02:00", Some("+02:00")),
            ("-03:30", Some("-03:30")),
            ("+00:00", Some("+00:00")),
            ("Mars/Olympus", None),
            ("W. Europe Standard Time", None),
            ("+2:00", None),
            ("+24:00", None),
            ("+02:60", None),
            ("02:00", None),
            ("+02", None),
            ("", None),
            ("\u{fc}", None),
            (&"x".repeat(1000), None),
        ] {
            assert_eq!(Zone::parse(text).map(|zone| zone.to_string()).as_deref(), expected, "{text:?}");
        }
        let offset = FixedOffset::west_opt(3 * 3600 + 1800).unwrap();
        assert_eq!(Some(Zone::of_offset(offset)), Zone::parse("-03:30"));
        assert_eq!(Zone::UTC, Zone::parse("+00:00").unwrap());
    }

    #[test]
    fn local_time_of_ten_zones_changes_at_the_announced_moments() {
        // Each row has a zone, the officially announced moment of a change, and two local times: one second
        // before this moment, and at this moment.
        for (zone, change, before, after) in [
            ("Europe/Berlin", "2027-03-28T01:00:00Z", "01:59:59", "03:00:00"),
            ("Europe/Berlin", "2027-10-31T01:00:00Z", "02:59:59", "02:00:00"),
            ("Europe/London", "2027-03-28T01:00:00Z", "00:59:59", "02:00:00"),
            ("Europe/London", "2027-10-31T01:00:00Z", "01:59:59", "01:00:00"),
            ("America/New_York", "2027-03-14T07:00:00Z", "01:59:59", "03:00:00"),
            ("America/New_York", "2027-11-07T06:00:00Z", "01:59:59", "01:00:00"),
            ("America/Los_Angeles", "2027-03-14T10:00:00Z", "01:59:59", "03:00:00"),
            ("America/Los_Angeles", "2027-11-07T09:00:00Z", "01:59:59", "01:00:00"),
            ("America/Santiago", "2027-04-04T03:00:00Z", "23:59:59", "23:00:00"),
            ("America/Santiago", "2027-09-05T04:00:00Z", "23:59:59", "01:00:00"),
            ("Australia/Sydney", "2027-04-03T16:00:00Z", "02:59:59", "02:00:00"),
            ("Australia/Sydney", "2027-10-02T16:00:00Z", "01:59:59", "03:00:00"),
            ("Australia/Lord_Howe", "2027-04-03T15:00:00Z", "01:59:59", "01:30:00"),
            ("Australia/Lord_Howe", "2027-10-02T15:30:00Z", "01:59:59", "02:30:00"),
            ("Asia/Jerusalem", "2027-03-26T00:00:00Z", "01:59:59", "03:00:00"),
            ("Asia/Jerusalem", "2027-10-30T23:00:00Z", "01:59:59", "01:00:00"),
            ("Africa/Cairo", "2027-04-29T22:00:00Z", "23:59:59", "01:00:00"),
            ("Africa/Cairo", "2027-10-28T21:00:00Z", "23:59:59", "23:00:00"),
            ("America/Nuuk", "2027-03-28T01:00:00Z", "22:59:59", "00:00:00"),
            ("America/Nuuk", "2027-10-31T01:00:00Z", "23:59:59", "23:00:00"),
        ] {
            let (parsed, change) = (Zone::parse(zone).unwrap(), at(change));
            let clock = |moment| parsed.clock_at(moment).format("%H:%M:%S").to_string();
            let found = (clock(change - TimeDelta::seconds(1)), clock(change));
            assert_eq!(found, (before.to_owned(), after.to_owned()), "{zone} {change}");
        }
    }

    #[test]
    fn zone_without_summer_time_keeps_its_offset() {
        for (zone, offset) in [("Asia/Tokyo", 9 * 60), ("Asia/Kolkata", 330), ("America/Phoenix", -420)] {
            let zone = Zone::parse(zone).unwrap();
            for month in 1..=12 {
                let moment = at(&format!("2027-{month:02}-15T12:00:00Z"));
                assert_eq!((zone.clock_at(moment) - moment.naive_utc()).num_minutes(), offset, "{zone}");
            }
        }
    }

    #[test]
    fn local_time_in_the_night_of_a_change_can_have_no_moment_or_two_moments() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let moments = |text: &str| berlin.moments_of(text.parse().unwrap()).count();
        assert_eq!(moments("2027-03-28T02:30:00"), 0);
        assert_eq!(moments("2027-10-31T02:30:00"), 2);
        assert_eq!(moments("2027-10-31T03:30:00"), 1);
        assert_eq!(Zone::UTC.moments_of(at("2027-03-28T02:30:00Z").naive_utc()).count(), 1);
    }
}
