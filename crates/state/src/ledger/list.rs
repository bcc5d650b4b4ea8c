//! The list of alerts by the time of their acceptance, the newest first, page by page.
//!
//! The records of a *period* (eight days) are in four partitions. Each partition also has an index
//! (`index.rs`). The rows of an index are in the order of time. Each row points to the record of one alert,
//! or to the records of up to 100 alerts of one API call.
//!
//! To make a page of the list, the ledger reads the four indexes of a period at once, and merges their rows.
//! Then the ledger reads the records to which the rows point. If a row points to several records, one query
//! reads these records, because their row keys follow each other. If a row points to one record, the ledger
//! reads the record by its key. If the page is not full, the ledger continues with the previous period.
//!
//! The ledger does not read the records of several index rows with one query. Such a query needs a filter
//! that joins several row keys by `or`. For such a filter, the service reads the whole partition.

use std::fmt;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Continuation, Filter, Key, Query, TableError};

use super::Ledger;
use super::index::{ALERTS, Countdown, END, FIRST, Row, SENDER, TAGS};
use super::key::Period;
use super::record::Record;

/// The most storage calls for one page of the list, without retries. Because of this limit, a page can have
/// fewer alerts than the caller wants.
pub const MAX_CALLS: usize = 30;

/// The most rows that the service returns for one query.
const MAX_ROWS: u16 = 1000;

/// The most index rows that one page needs. Reading the records of an index row takes at least one storage
/// call, so a page has the alerts of at most `MAX_CALLS` rows. The ledger reads one more row, because perhaps
/// all alerts of the first row are on the previous page.
const MOST_READ: u16 = MAX_CALLS as u16 + 1;

/// The most storage calls that run at once.
const AT_ONCE: usize = 8;

/// The most empty result pages that the ledger skips when it queries one index. A *result page* is a part of
/// the result of a query, not a page of the list. The service can return an empty result page although more
/// rows follow. If the result page after the skipped result pages is also empty, the ledger returns an error.
const MAX_EMPTY: usize = 3;

/// The number of digits of a row's name in a [`Position`]. The key of an index row is `at.<time>.<name>`. The
/// first digits of the name distinguish the rows of the same millisecond. A position does not contain the
/// whole name, because the name of a row can be the id of an alert that the caller must not see.
const POSITION_DIGITS: usize = 16;

/// The conditions for the alerts on a page, and the size of the page.
#[derive(Debug, Clone)]
pub struct Wanted<'q> {
    /// The name of the sender's API key; `None` for the alerts of every sender.
    pub sender: Option<&'q str>,
    /// The tag to which the sender has sent the alert; `None` for all alerts, with or without a tag.
    pub tag: Option<&'q str>,
    /// The earliest time of acceptance; `None` for no limit.
    pub since: Option<DateTime<Utc>>,
    /// The position at which the page begins; `None` for the newest alerts.
    pub after: Option<Position>,
    /// The most alerts on the page.
    pub limit: usize,
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The alerts, the newest first. The alerts of one API call are in the order of the API call.
    pub records: Vec<Record>,
    /// Where the next page begins; `None` after the last page.
    pub next: Option<Position>,
}

/// A position in the list. The position does not depend on the conditions in [`Wanted`], so the position
/// is valid with any conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    at: Countdown,
    /// The first digits of the name of an index row; empty if the position is before all rows of a period.
    name: String,
    /// How many alerts of this row are before the position.
    taken: u8,
}

impl Position {
    fn first_of(period: Period) -> Self {
        Self { at: Countdown::of(period.last()), name: String::new(), taken: 0 }
    }

    fn in_row(row: &Row, taken: u8) -> Self {
        let name = row.name.get(..POSITION_DIGITS).unwrap_or(&row.name).to_owned();
        Self { at: row.at, name, taken }
    }

    /// Parses the text of a position.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, rest) = text.split_once('.')?;
        let (name, taken) = rest.split_once('.')?;
        let is_name = [0, POSITION_DIGITS].contains(&name.len())
            && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let taken = taken.parse().ok().filter(|number: &u8| number.to_string() == taken)?;
        is_name.then_some(Self { at: Countdown::parse(at)?, name: name.to_owned(), taken })
    }

    fn period(&self) -> Period {
        Period::of(self.at.moment())
    }

    /// The row key at which the ledger begins to read the index.
    fn row(&self) -> String {
        format!("{FIRST}{}.{}", self.at.digits(), self.name)
    }

    /// How many alerts of `row` are before the position.
    fn taken_of(&self, row: &Row) -> u8 {
        let is_row = self.at == row.at && !self.name.is_empty() && row.name.starts_with(&self.name);
        if is_row { self.taken } else { 0 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at.digits(), self.name, self.taken)
    }
}

/// The index rows of a period, beginning at a position.
struct Rows {
    /// The rows of all partitions, in the order of the list, without gaps.
    rows: Vec<Row>,
    /// The row key up to which the period was read; `None` if the period has no more rows.
    read_to: Option<String>,
    calls: usize,
}

impl<H: HttpClient + Clock + Randomness> Ledger<'_, H> {
    /// Reads a page of the list. The page has the alerts that meet the conditions of `wanted`, and for whose
    /// records `is_wanted` returns true.
    pub async fn list(
        &self,
        wanted: &Wanted<'_>,
        is_wanted: impl Fn(&Record) -> bool,
    ) -> Result<Listed, TableError> {
        let now = self.host.now();
        let this = Period::of(now);
        let after = wanted.after.clone().filter(|after| after.period() <= this);
        let mut at = after.unwrap_or_else(|| Position::first_of(this));
        let since = wanted.since.map_or(Period::oldest(now), Period::of);
        let mut oldest = since.max(Period::oldest(now));
        let (mut records, mut calls, mut is_oldest_known) = (Vec::new(), 0, false);
        while at.period() >= oldest {
            let period = at.period();
            // Most records have expired, except in the current period and the period before it. The records
            // that are left in older periods belong to alerts that were due long after their acceptance. So
            // the ledger first finds the oldest period that still has a row.
            if period < this.before() && !is_oldest_known {
                calls += 1;
                is_oldest_known = true;
                match self.oldest_in_index(oldest, period).await? {
                    Some(found) => oldest = oldest.max(found),
                    None => break,
                }
                continue;
            }
            if calls + period.partitions().count() > MAX_CALLS {
                return Ok(Listed { records, next: Some(at) });
            }
            let Rows { rows, read_to, calls: made } = self.rows_from(&at, wanted).await?;
            calls += made;
            let rows: Vec<Row> = rows.into_iter().filter(|row| wanted.admits(row)).collect();
            let mut left = rows.as_slice();
            while !left.is_empty() {
                let room = wanted.limit.saturating_sub(records.len());
                let some = enough(left, &at, room, MAX_CALLS.saturating_sub(calls));
                if some == 0 {
                    return Ok(Listed { records, next: Some(at) });
                }
                let (some, rest) = left.split_at(some);
                (left, calls) = (rest, calls + some.len());
                let position = &at;
                let read = async |row| self.records_of(row, position.taken_of(row)).await;
                let found: Vec<_> = stream::iter(some).map(read).buffered(AT_ONCE).try_collect().await?;
                for (row, found) in some.iter().zip(found) {
                    for (index, record) in found {
                        if !wanted.admits_record(&record) || !is_wanted(&record) {
                            continue;
                        }
                        records.push(record);
                        if records.len() >= wanted.limit {
                            let next = Position::in_row(row, index.saturating_add(1));
                            return Ok(Listed { records, next: Some(next) });
                        }
                    }
                    at = Position::in_row(row, row.len());
                }
            }
            // `read_to` can be the key of a row that another program wrote, e.g. `at.x` (the index has keys
            // of the form `at.<time>.<name>`). `after_row` makes no position from `at.x`. The row `at.x`
            // comes after all rows of the index, because letters sort after digits. So the list continues
            // with the previous period.
            let after = read_to.as_deref().and_then(Position::after_row);
            at = after.unwrap_or_else(|| Position::first_of(period.before()));
        }
        Ok(Listed { records, next: None })
    }

    /// Finds the oldest period with an index row, among the periods from `oldest` to `newest`. Returns `None`
    /// if no period has an index row. If the service returns an empty result page and more result pages
    /// follow, returns `oldest`.
    async fn oldest_in_index(&self, oldest: Period, newest: Period) -> Result<Option<Period>, TableError> {
        let filter = Filter::partitions(&oldest.prefix(), &newest.after().prefix()).rows(FIRST, END);
        let page = self.table.query(&Query { filter, top: 1, select: vec![ALERTS] }, None).await?;
        Ok(match page.entities.first() {
            Some(row) => Period::of_partition(&row.key.partition),
            None => page.next.map(|_| oldest),
        })
    }

    /// Reads the index rows of a period, beginning at a position.
    async fn rows_from(&self, at: &Position, wanted: &Wanted<'_>) -> Result<Rows, TableError> {
        let from = at.row();
        let to =
            wanted.since.map_or(END.to_owned(), |since| format!("{FIRST}{}/", Countdown::of(since).digits()));
        // Without a sender or a tag, `MOST_READ` rows are enough, because the ledger reads the records of at
        // most `MAX_CALLS` rows for one page. With a sender or a tag, the ledger perhaps skips most rows, so
        // the query requests as many rows as the service allows.
        let has_filter = wanted.sender.is_some() || wanted.tag.is_some();
        let top = if has_filter { MAX_ROWS } else { MOST_READ };
        let (from, to) = (&from, &to);
        let read = async |partition: String| {
            let filter = Filter::partition(&partition).rows(from, to);
            let query = Query { filter, top, select: vec![ALERTS, SENDER, TAGS] };
            let (mut calls, mut next): (usize, Option<Continuation>) = (0, None);
            loop {
                let page = self.table.query(&query, next.as_ref()).await?;
                calls += 1;
                let read_to = match (&page.next, page.entities.last()) {
                    (None, _) => None,
                    (Some(_), Some(last)) => Some(last.key.row.clone()),
                    (Some(_), None) if calls > MAX_EMPTY => return Err(no_progress()),
                    (Some(_), None) => {
                        next = page.next;
                        continue;
                    }
                };
                return Ok::<_, TableError>((page.entities, read_to, calls));
            }
        };
        let partitions = stream::iter(at.period().partitions());
        let pages: Vec<_> = partitions.map(read).buffered(AT_ONCE).try_collect().await?;
        let calls = pages.iter().map(|(_, _, calls)| calls).sum();
        let read_to = pages.iter().filter_map(|(_, read_to, _)| read_to.clone()).min();
        let rows = pages.iter().flat_map(|(rows, _, _)| rows);
        let rows = rows.filter(|row| read_to.as_ref().is_none_or(|read_to| row.key.row <= *read_to));
        let mut rows: Vec<Row> = rows.filter_map(Row::read).collect();
        rows.sort_by(|a, b| a.place().cmp(&b.place()));
        Ok(Rows { rows, read_to, calls })
    }

    /// Reads the records of a row's alerts, but skips the first `taken` alerts. Returns each record with the
    /// index of its alert in the row. Leaves out a record to which another index row belongs
    /// ([`Row::is_of`]).
    async fn records_of(&self, row: &Row, taken: u8) -> Result<Vec<(u8, Record)>, TableError> {
        let (Some(from), Some(to)) = (row.id(taken), row.id(row.len())) else { return Ok(Vec::new()) };
        if taken >= row.len() {
            return Ok(Vec::new());
        }
        if from == to {
            let found = self.table.get(&Key::new(&row.partition, from.as_str())).await?;
            let record = found.map(|found| Record::read(&found.entity)).filter(|record| row.is_of(record));
            return Ok(record.map(|record| (0, record)).into_iter().collect());
        }
        let filter = Filter::partition(&row.partition).rows(from.as_str(), to.as_str());
        let query = Query { filter, top: MAX_ROWS, select: Vec::new() };
        let (mut records, mut next) = (Vec::new(), None);
        loop {
            let page = self.table.query(&query, next.as_ref()).await?;
            let records_here = page.entities.iter().map(Record::read).filter(|record| row.is_of(record));
            records.extend(records_here.filter_map(|record| Some((row.index_of(&record.id)?, record))));
            match page.next {
                Some(from) => next = Some(from),
                None => return Ok(records),
            }
        }
    }
}

impl Position {
    /// Makes the position after a row from the row's key.
    fn after_row(key: &str) -> Option<Self> {
        let (at, name) = key.strip_prefix(FIRST)?.split_once('.')?;
        let name = name.get(..POSITION_DIGITS)?.to_owned();
        Some(Self { at: Countdown::parse(at)?, name, taken: u8::MAX })
    }
}

impl Wanted<'_> {
    /// Whether at least one alert of the row is perhaps wanted.
    fn admits(&self, row: &Row) -> bool {
        self.sender.is_none_or(|sender| row.sender.as_deref() == Some(sender))
            && self.tag.is_none_or(|tag| row.has_tag(tag))
    }

    /// Whether the alert of a record is wanted. A check of the row is not enough, because one row can stand
    /// for alerts with different tags.
    fn admits_record(&self, record: &Record) -> bool {
        self.sender.is_none_or(|sender| record.key.as_deref() == Some(sender))
            && self.tag.is_none_or(|tag| record.tag.as_deref() == Some(tag))
    }
}

/// The error if the service returns too many empty result pages one after the other.
fn no_progress() -> TableError {
    TableError::Busy { status: 503, code: "OperationTimedOut".into(), retry_after_seconds: None }
}

/// Returns how many of the `rows` the ledger has to read to get `room` more alerts for the page. The ledger
/// reads the rows in order, from the first row on. If all rows together stand for fewer alerts, returns the
/// number of all rows. The result is at most `calls`, because reading the records of one row takes at least
/// one storage call.
fn enough(rows: &[Row], at: &Position, room: usize, calls: usize) -> usize {
    let (mut found, mut count) = (0, 0);
    for row in rows.iter().take(calls) {
        if found >= room {
            break;
        }
        found += usize::from(row.len().saturating_sub(at.taken_of(row)));
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests;
