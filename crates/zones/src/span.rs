//! A daily span of local time, such as the night from 22:00 to 07:00.

use std::fmt;

use chrono::{DateTime, Days, NaiveTime, Timelike, Utc};

use crate::Zone;

const MINUTES_OF_A_DAY: u16 = 24 * 60;

/// A daily span of local time, from a beginning to an end. The span contains its beginning but not its end.
/// If the end is earlier than the beginning, the span crosses midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSpan {
    /// The beginning, in minutes after midnight.
    from: u16,
    /// The end, in minutes after midnight.
    to: u16,
}

impl ClockSpan {
    /// Makes a span. `from` and `to` are minutes after midnight. Returns `None` if both are the same minute,
    /// or if one of them is 1440 (a whole day) or more.
    pub fn new(from: u16, to: u16) -> Option<Self> {
        (from != to && from < MINUTES_OF_A_DAY && to < MINUTES_OF_A_DAY).then_some(Self { from, to })
    }

    /// Reads two times of day with a dash between them, such as `22:00-07:00` or `22 - 7`. `24:00` means the
    /// same as `00:00`. Returns `None` if the text has another form, or if both times are the same.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(['-', '\u{2013}', '\u{2014}'])?;
        Self::new(minutes(from.trim())?, minutes(to.trim())?)
    }

    /// The beginning and the end of the span, in minutes after midnight.
    pub fn minutes(&self) -> (u16, u16) {
        (self.from, self.to)
    }

    /// Returns the moment at which the span ends: the first moment after `moment` whose local time in `zone`
    /// is outside the span. Returns `None` if the local time at `moment` is already outside the span.
    pub fn end_after(&self, moment: DateTime<Utc>, zone: &Zone) -> Option<DateTime<Utc>> {
        if !self.contains(moment, zone) {
            return None;
        }
        let clock = zone.clock_at(moment);
        let to = NaiveTime::from_hms_opt(u32::from(self.to / 60), u32::from(self.to % 60), 0)?;
        // Usually, the span ends when the local time is `to`. In the night in which summer time ends, the
        // local time can be `to` twice, so both moments are possible ends. A change of the zone's offset can
        // move the local time out of the span, so each change of the offset is a possible end, too.
        let days = (0..=2).filter_map(|days| clock.date().checked_add_days(Days::new(days)));
        let ends = days.flat_map(|day| zone.moments_of(day.and_time(to)).collect::<Vec<_>>());
        ends.chain(zone.changes_near(moment)).filter(|end| *end > moment && !self.contains(*end, zone)).min()
    }

    fn contains(&self, moment: DateTime<Utc>, zone: &Zone) -> bool {
        let clock = zone.clock_at(moment);
        let minute = u16::try_from(clock.hour() * 60 + clock.minute()).unwrap_or_default();
        match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            false => !(self.to..self.from).contains(&minute),
        }
    }
}

/// Reads a time of day, such as `7`, `07:00` or `24:00`, as minutes after midnight.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':').unwrap_or((text, "00"));
    let number = |text: &str| {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number)
    };
    let minutes = number(minutes).filter(|number| *number < 60 && minutes.len() == 2)?;
    let total = number(hours)? * 60 + minutes;
    (total <= MINUTES_OF_A_DAY).then_some(total % MINUTES_OF_A_DAY)
}

impl fmt::Display for ClockSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn span_is_read_from_two_different_times_of_day() {
        for (text, expected) in [
            ("22:00-07:00", Some("22:00-07:00")),
            ("22-7", Some("22:00-07:00")),
            ("22:00 \u{2013} 7:30", Some("22:00-07:30")),
            ("0:00-24:00", None),
            ("20:00-24:00", Some("20:00-00:00")),
            ("12:00-13:00", Some("12:00-13:00")),
            ("22:00-22:00", None),
            ("25:00-07:00", None),
            ("22:60-07:00", None),
            ("22:0-07:00", None),
            ("24:01-07:00", None),
            ("22:00", None),
            ("-7", None),
            ("now-later", None),
            ("022:00-07:00", None),
            ("", None),
        ] {
            assert_eq!(ClockSpan::parse(text).map(|span| span.to_string()).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn night_with_or_without_a_change_of_the_offset_ends_at_seven_local_time() {
        // Each row has a zone, an evening at 22:30 local time, and the number of hours from 22:30 to 07:00.
        // In all zones except Tokyo, the offset changes between the two times. Tokyo has no summer time, so
        // both rows of Tokyo have the same number.
        for (zone, evening, hours) in [
            ("Europe/Berlin", "2027-03-27T22:30:00", 7.5),
            ("Europe/Berlin", "2027-10-30T22:30:00", 9.5),
            ("Europe/London", "2027-03-27T22:30:00", 7.5),
            ("Europe/London", "2027-10-30T22:30:00", 9.5),
            ("America/New_York", "2027-03-13T22:30:00", 7.5),
            ("America/New_York", "2027-11-06T22:30:00", 9.5),
            ("America/Los_Angeles", "2027-03-13T22:30:00", 7.5),
            ("America/Los_Angeles", "2027-11-06T22:30:00", 9.5),
            ("America/Santiago", "2027-09-04T22:30:00", 7.5),
            ("America/Santiago", "2027-04-03T22:30:00", 9.5),
            ("Australia/Sydney", "2027-10-02T22:30:00", 7.5),
            ("Australia/Sydney", "2027-04-03T22:30:00", 9.5),
            ("Australia/Lord_Howe", "2027-10-02T22:30:00", 8.0),
            ("Australia/Lord_Howe", "2027-04-03T22:30:00", 9.0),
            ("Asia/Jerusalem", "2027-03-25T22:30:00", 7.5),
            ("Asia/Jerusalem", "2027-10-30T22:30:00", 9.5),
            ("Africa/Cairo", "2027-04-29T22:30:00", 7.5),
            ("Africa/Cairo", "2027-10-28T22:30:00", 9.5),
            ("Asia/Tokyo", "2027-03-27T22:30:00", 8.5),
            ("Asia/Tokyo", "2027-10-30T22:30:00", 8.5),
        ] {
            let parsed = Zone::parse(zone).unwrap();
            let evening = parsed.moments_of(evening.parse().unwrap()).min().unwrap();
            let end = ClockSpan::parse("22:00-07:00").unwrap().end_after(evening, &parsed).unwrap();
            assert_eq!((end - evening).as_seconds_f64() / 3600.0, hours, "{zone} {evening}");
            assert_eq!(parsed.clock_at(end).time(), NaiveTime::from_hms_opt(7, 0, 0).unwrap(), "{zone}");
        }
    }

    #[test]
    fn only_a_moment_inside_the_span_has_an_end() {
        let night = ClockSpan::parse("22:00-07:00").unwrap();
        for (moment, expected) in [
            ("2026-11-29T21:59:59Z", None),
            ("2026-11-29T22:00:00Z", Some("2026-11-30T07:00:00Z")),
            ("2026-11-30T06:59:59.999Z", Some("2026-11-30T07:00:00Z")),
            ("2026-11-30T07:00:00Z", None),
        ] {
            let end = night.end_after(moment.parse().unwrap(), &Zone::UTC);
            assert_eq!(end, expected.map(|end| end.parse().unwrap()), "{moment}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        /// Compares `end_after` with a search minute by minute. Many of the random moments are a few days
        /// before or after a change of the zone's offset.
        #[test]
        fn end_is_the_first_minute_outside_the_span(
            zone in prop::sample::select(vec![
                "Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo",
                "America/Nuuk", "Asia/Jerusalem", "Pacific/Chatham", "Asia/Gaza", "Asia/Kolkata", "-03:30",
            ]),
            begin in prop::sample::select(vec![
                "2027-03-12T00:00:00Z", "2027-03-25T00:00:00Z", "2027-04-02T00:00:00Z", "2027-04-28T00:00:00Z",
                "2027-09-03T00:00:00Z", "2027-10-01T00:00:00Z", "2027-10-27T00:00:00Z", "2027-12-30T00:00:00Z",
            ]),
            minute in 0..5 * 24 * 60_i64,
            from in 0..MINUTES_OF_A_DAY,
            to in 0..MINUTES_OF_A_DAY,
        ) {
            prop_assume!(from != to);
            let (span, zone) = (ClockSpan { from, to }, Zone::parse(zone).unwrap());
            let moment = begin.parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minute);
            let outside = (1..=26 * 60).map(|more| moment + TimeDelta::minutes(more));
            let expected = span.contains(moment, &zone).then(|| {
                outside.into_iter().find(|later| !span.contains(*later, &zone)).unwrap()
            });
            prop_assert_eq!(span.end_after(moment, &zone), expected);
        }
    }
}
