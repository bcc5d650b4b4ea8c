//! The rule of a time zone: the offset of the zone's local time from UTC. If the zone has summer time, the
//! rule also has the two changes of the offset that happen each year.

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};

/// The rule of a zone. The offsets are in seconds east of UTC.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) standard: i32,
    pub(crate) summer: Option<Summer>,
}

/// The summer time of a zone.
#[derive(Debug)]
pub(crate) struct Summer {
    pub(crate) offset: i32,
    /// The change to summer time. Before this change, clocks show standard time, so `seconds` is in standard
    /// time.
    pub(crate) begin: Change,
    /// The change back to standard time. Before this change, clocks show summer time, so `seconds` is in
    /// summer time.
    pub(crate) end: Change,
}

/// A yearly change of the offset. `weekday` (0 is Sunday) and `week` give the day in the month. For example,
/// weekday 0 with week 1 is the first Sunday of the month, and weekday 0 with week 5 is the last Sunday.
/// `seconds` is the time of the change, counted from the beginning of this day. `seconds` can be negative, or
/// more than a day.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) month: u32,
    pub(crate) week: u32,
    pub(crate) weekday: u32,
    pub(crate) seconds: i32,
}

include!(concat!(env!("OUT_DIR"), "/table.rs"));

impl Rule {
    /// Finds the rule of a zone by the zone's name, in upper or lower case. Also returns the name in the
    /// spelling of the Time Zone Database.
    pub(crate) fn find(name: &str) -> Option<(&'static str, &'static Self)> {
        fn lower(name: &str) -> impl Iterator<Item = u8> {
            name.bytes().map(|byte| byte.to_ascii_lowercase())
        }
        let found = ZONES.binary_search_by(|(known, _)| lower(known).cmp(lower(name))).ok()?;
        let (name, rule) = ZONES.get(found)?;
        Some((name, RULES.get(usize::from(*rule))?))
    }

    /// The offset at a moment, in seconds east of UTC.
    pub(crate) fn offset_at(&self, moment: DateTime<Utc>) -> i32 {
        let Some(summer) = &self.summer else { return self.standard };
        let year = (moment + TimeDelta::seconds(self.standard.into())).year();
        let (Some(begin), Some(end)) = self.changes(summer, year) else { return self.standard };
        let is_summer = match begin < end {
            true => (begin..end).contains(&moment),
            // South of the equator, each year begins and ends in summer time. Standard time is from `end` to
            // `begin`.
            false => !(end..begin).contains(&moment),
        };
        if is_summer { summer.offset } else { self.standard }
    }

    /// The changes of the offset in the year of a moment, in the year before, and in the year after.
    pub(crate) fn changes_near(&self, moment: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let summer = self.summer.iter();
        let years = move |summer| (-1..=1).map(move |more| self.changes(summer, moment.year() + more));
        summer.flat_map(years).flat_map(|(begin, end)| [begin, end]).flatten()
    }

    /// The offset of standard time and, if the zone has summer time, the offset of summer time.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = i32> {
        [Some(self.standard), self.summer.as_ref().map(|summer| summer.offset)].into_iter().flatten()
    }

    fn changes(&self, summer: &Summer, year: i32) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        (summer.begin.moment(year, self.standard), summer.end.moment(year, summer.offset))
    }
}

impl Change {
    /// The moment of the change in the year `year`. `offset` is the offset before the change.
    fn moment(&self, year: i32, offset: i32) -> Option<DateTime<Utc>> {
        let first = NaiveDate::from_ymd_opt(year, self.month, 1)?;
        let to_weekday = (7 + self.weekday - first.weekday().num_days_from_sunday()) % 7;
        let in_week = |week: u32| first.checked_add_days(Days::new(u64::from(to_weekday + 7 * (week - 1))));
        // A month has each weekday four or five times. Week 5 means the last time, which can be the fourth.
        let day = in_week(self.week).filter(|day| day.month() == self.month).or_else(|| in_week(4))?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc() + TimeDelta::seconds((self.seconds - offset).into()))
    }
}
