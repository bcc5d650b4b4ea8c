//! The index of the ledger by time. The list of alerts (`list.rs`) reads this index. One row stands for one
//! message of a person (the message also has an alert id), or for the alerts of one API call. The bot accepts
//! a call with more than 100 alerts in *pages* of at most 100 alerts, and each page has its own row. The row
//! is in the partition of the alerts' records, so one transaction can insert the records and the row.
//!
//! The row key is `at.<time>.<name>`. The time is a number that counts down, so that the newest row is the
//! first row of its partition. If the row stands for one alert, the name is the alert's id. If the row stands
//! for several alerts, the name is the part that their ids share.

use chrono::{DateTime, Utc};
use storage_table::{Entity, Key};

use super::key::{AlertId, CALL_DIGITS, Period, RecordKey};
use super::record::{NewAlert, Record, ends_at};
use super::shown::SETTLED_WITHIN;

/// The prefix of the row keys.
pub(super) const FIRST: &str = "at.";

/// The first row key after all rows of the index.
pub(super) const END: &str = "at/";

/// The number from which the time is subtracted: the greatest number of 13 digits. As a time in milliseconds,
/// it is in the year 2286.
const LAST_MILLISECOND: i64 = 9_999_999_999_999;

/// The property with the tags of the alerts, separated by blanks. A tag contains no blank.
pub(super) const TAGS: &str = "tags";

/// The value of [`TAGS`] if the tags of the alerts are unknown. A row with this value matches every tag. No
/// tag contains the character `*`.
const ANY_TAG: &str = "*";

/// The most alerts of a page.
const MAX_ALERTS: u32 = 100;

/// The property with the name of the sender's API key. The variable `alertkeys` gives each API key its name.
pub(super) const SENDER: &str = "key";

/// The property with the number of alerts. If a replay inserted the row ([`row_for_remade`]), the
/// number is always [`MAX_ALERTS`], because the true number is unknown. A row without this property stands
/// for one alert, and the alert's id is the row's name.
pub(super) const ALERTS: &str = "alerts";

/// The time of an index row, as a number that counts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Countdown(i64);

impl Countdown {
    pub(super) fn of(moment: DateTime<Utc>) -> Self {
        Self((LAST_MILLISECOND - moment.timestamp_millis()).clamp(0, LAST_MILLISECOND))
    }

    /// The countdown of a moment. If the moment is outside the period, returns the countdown of the nearest
    /// moment in the period.
    ///
    /// The list reads one period after the other, so each row must have a time in the period of its
    /// partition. The partition of a person's message has the period in which the channel sent the message.
    /// If the bot accepts the message in the next period, the row gets the last time of the earlier period.
    fn within(period: Period, moment: DateTime<Utc>) -> Self {
        Self::of(moment.clamp(period.begin(), period.last()))
    }

    /// Reads the 13 digits in a row key.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_number = text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number).map(Self)
    }

    pub(super) fn moment(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(LAST_MILLISECOND - self.0).unwrap_or_default()
    }

    pub(super) fn digits(self) -> String {
        format!("{:013}", self.0)
    }
}

/// Makes the row for alerts that the bot accepts together. `key` is the key of the first alert's record.
/// Returns `None` for a page whose call description (`call`) says that the page has no alerts. For such a
/// page, `alerts` has one element that is not an alert. The record of this element only describes the page.
pub(super) fn row_for(alerts: &[NewAlert], key: &RecordKey, now: DateTime<Utc>) -> Option<Entity> {
    let first = alerts.first().filter(|first| first.call.as_ref().is_none_or(|call| call.alerts > 0))?;
    let (name, count) = match alerts.len() {
        1 => (first.id.as_str(), None),
        count => (first.id.as_str().get(..CALL_DIGITS)?, u32::try_from(count).ok()),
    };
    let at = Countdown::within(first.id.period(now)?, now);
    let mut row = Entity::new(Key::new(key.partition(), format!("{FIRST}{}.{name}", at.digits())));
    let mut tags: Vec<&str> = Vec::new();
    for tag in alerts.iter().filter_map(|alert| alert.tag.as_deref()) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if !tags.is_empty() {
        row = row.with(TAGS, tags.join(" "));
    }
    if let Some(count) = count {
        row = row.with(ALERTS, count);
    }
    if let Some(sender) = &first.key {
        row = row.with(SENDER, sender.as_str());
    }
    // The row must be kept as long as the records. Each change of a record postpones the record's `endsAt`.
    // The last change comes at most `SETTLED_WITHIN` after the alert is due. So the row's `endsAt` is
    // `SETTLED_WITHIN` after the latest `endsAt` of the new records.
    let until = alerts.iter().filter_map(|alert| alert.until).max();
    let ends_at = ends_at(now, until).saturating_add(SETTLED_WITHIN.num_milliseconds());
    Some(row.with_int64("endsAt", ends_at))
}

/// Makes the row for a *replayed* alert without a record. An operator replays an alert, i.e. sends the alert
/// again from the poison queue. If the alert's record was deleted, the replay creates the record again, with
/// this row. Replayed alerts of one call share a row. A person's message gets a separate row. An alert of an
/// unknown sender also gets a separate row.
pub(super) fn row_for_remade(
    id: &AlertId,
    key: &RecordKey,
    sender: Option<&str>,
    accepted_at: DateTime<Utc>,
    ends_at: i64,
) -> Option<Entity> {
    let at = Countdown::within(id.period(accepted_at)?, accepted_at);
    let name = match sender {
        None => id.as_str(),
        Some(_) => id.as_str().get(..CALL_DIGITS)?,
    };
    let mut row = Entity::new(Key::new(key.partition(), format!("{FIRST}{}.{name}", at.digits())))
        .with(TAGS, ANY_TAG)
        .with_int64("endsAt", ends_at.saturating_add(SETTLED_WITHIN.num_milliseconds()));
    if let Some(sender) = sender {
        row = row.with(ALERTS, MAX_ALERTS).with(SENDER, sender);
    }
    Some(row)
}

/// Whether a row was inserted together with this record.
pub(super) fn is_row_of(row: &Entity, record: &Record) -> bool {
    Row::read(row).is_some_and(|row| row.is_of(record))
}

/// A row of the index, as it was read from the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at: Countdown,
    /// The id of the alert, or the part of the ids that all alerts of the page share.
    pub(super) name: String,
    pub(super) partition: String,
    /// The value of [`ALERTS`]; `None` if the row stands for one alert.
    alerts: Option<u8>,
    pub(super) sender: Option<String>,
    tags: String,
}

impl Row {
    /// Reads a row; `None` if the row has another form, because another program wrote the row.
    pub(super) fn read(entity: &Entity) -> Option<Self> {
        let (at, name) = entity.key.row.strip_prefix(FIRST)?.split_once('.')?;
        let alerts = entity.int(ALERTS).map(u8::try_from).transpose().ok()?;
        let row = Self {
            at: Countdown::parse(at)?,
            name: name.to_owned(),
            partition: entity.key.partition.clone(),
            alerts,
            sender: entity.str(SENDER).map(str::to_owned),
            tags: entity.str(TAGS).unwrap_or_default().to_owned(),
        };
        row.id(0).map(|_| row)
    }

    /// The greatest number of alerts that the row can stand for.
    pub(super) fn len(&self) -> u8 {
        self.alerts.unwrap_or(1)
    }

    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.tags == ANY_TAG || self.tags.split(' ').any(|own| own == tag)
    }

    /// The id of one of the row's alerts. `index` is the position of the alert in the page, from 0.
    pub(super) fn id(&self, index: u8) -> Option<AlertId> {
        match self.alerts {
            None => AlertId::parse(&self.name),
            Some(_) => AlertId::parse(&format!("{}{index:02x}", self.name)),
        }
    }

    /// The position in the page, from 0, of the alert with this id.
    pub(super) fn index_of(&self, id: &str) -> Option<u8> {
        u8::from_str_radix(id.strip_prefix(&self.name)?, 16).ok()
    }

    /// Whether the row was inserted together with this record. If so, the row and the record have the same
    /// time. If not, another row stands for the record. This happens in two cases:
    ///
    /// - Two calls had the same idempotency key. The first call inserted the records and a row. The second
    ///   call inserted another row, because the bot inserts the row of a full page (100 alerts) before it
    ///   finds out that the records exist. The row of the first call stands for the records.
    /// - A replay has created the record again, and has inserted a new row for the record.
    pub(super) fn is_of(&self, record: &Record) -> bool {
        let period = Period::of_partition(&self.partition);
        let accepted_at = record.accepted_at.zip(period).map(|(at, period)| Countdown::within(period, at));
        accepted_at == Some(self.at)
    }

    /// The value by which the list of alerts sorts the rows of all partitions.
    pub(super) fn place(&self) -> (Countdown, &str) {
        (self.at, &self.name)
    }
}

impl Period {
    /// The first moment of the period.
    pub(super) fn begin(self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.begin_seconds(), 0).unwrap_or_default()
    }

    /// The last millisecond of the period.
    pub(super) fn last(self) -> DateTime<Utc> {
        let seconds = self.after().begin_seconds();
        DateTime::from_timestamp_millis(seconds * 1000 - 1).unwrap_or_default()
    }
}
