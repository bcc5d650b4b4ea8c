//! Recent withdrawals. A *withdrawal* is a row in a table. The row tells the runs (executions of the poller)
//! about one of these events:
//!
//! - An alert was cancelled.
//! - A person sent `stop`, `start`, `quiet` or `quiet off`.
//! - A conversation was forgotten.
//! - The bot has perhaps put an alert on the queue twice.
//!
//! A run reads the withdrawals of the last ten minutes ([`RECENTLY`]) with one query. There are two cases:
//!
//! - The bot accepted an alert in these ten minutes. The query then finds every withdrawal that was recorded
//!   after the bot had accepted the alert. So the run usually reads neither the alert's record nor the
//!   conversation's record.
//! - The bot accepted the alert earlier. A withdrawal of this alert can be older than ten minutes. The query
//!   does not find such a withdrawal, so the run reads the alert's record and the conversation's record.

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::{Clock, Deadline, HttpClient, Randomness};
use storage_account::Account;
use storage_table::{Entity, Filter, Inserted, Key, Query, TableClient, TableError, escape};

use crate::Tables;
use crate::skipped::Skipped;

/// How long a withdrawal counts as recent.
pub const RECENTLY: Duration = Duration::from_secs(10 * 60);
/// A run finds every recent withdrawal, even if the bot's clock is this much behind the poller's clock.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(2 * 60);
/// A withdrawal is deleted after this time.
const KEPT: Duration = Duration::from_secs(60 * 60);
const PREFIX: &str = "since.";
/// The end of a range of row keys. Every row key that begins with [`PREFIX`] sorts before this text, because
/// `/` is the next character after `.` in ASCII.
const AFTER: &str = "since/";
/// The most pages of query results that a run reads with one query. Eight pages have up to 8000 withdrawals,
/// which is enough for a mass cancellation. If there are more pages, the run reads the alert's record and the
/// conversation's record for each queue message.
const MAX_PAGES: u32 = 8;

/// An event that a run has to know before it sends an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdrawal {
    /// The alert with this id was cancelled.
    Cancelled(String),
    /// A person sent `stop` in the conversation with this key.
    Stopped(String),
    /// A person sent `start` in the conversation with this key.
    Started(String),
    /// A person sent `quiet` or `quiet off` in the conversation with this key.
    Quieted(String),
    /// This conversation was forgotten. If the bot accepted an alert for the conversation at `at` or earlier,
    /// no run delivers the alert.
    Forgotten {
        /// The conversation's key.
        conversation: String,
        /// The time at which the conversation was forgotten.
        at: DateTime<Utc>,
    },
    /// The queue perhaps holds two messages with the alert of this id. One message has the mark `once`. For
    /// a message with this mark, a run checks whether the alert was delivered already, before the run sends
    /// the alert. The second message has no mark. Because of this event, a run makes the same check for the
    /// message without the mark. The event withdraws nothing.
    Doubled(String),
}

impl Withdrawal {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Cancelled(id) => ("cancelled", id),
            Self::Stopped(conversation) => ("stopped", conversation),
            Self::Started(conversation) => ("started", conversation),
            Self::Quieted(conversation) => ("quieted", conversation),
            Self::Forgotten { conversation, .. } => ("forgotten", conversation),
            Self::Doubled(id) => ("doubled", id),
        }
    }

    fn read(entity: &Entity) -> Option<Self> {
        let subject = entity.str("subject")?.to_owned();
        match entity.str("kind")? {
            "cancelled" => Some(Self::Cancelled(subject)),
            "stopped" => Some(Self::Stopped(subject)),
            "started" => Some(Self::Started(subject)),
            "quieted" => Some(Self::Quieted(subject)),
            "doubled" => Some(Self::Doubled(subject)),
            "forgotten" => {
                let at = DateTime::from_timestamp_millis(entity.int("at")?)?;
                Some(Self::Forgotten { conversation: subject, at })
            }
            _ => None,
        }
    }
}

/// A client for the recent withdrawals of one queue. Each storage call ends by a deadline.
#[derive(Debug)]
pub struct Withdrawals<'a, H> {
    host: &'a H,
    table: TableClient<'a, H>,
    queue: String,
    skipped: Skipped,
}

impl<'a, H: HttpClient + Clock + Randomness> Withdrawals<'a, H> {
    /// Makes a client for the recent withdrawals of `queue` in these tables. Each storage call ends by
    /// `deadline`.
    pub fn new(
        host: &'a H,
        account: &'a Account,
        tables: &'a Tables,
        queue: &str,
        deadline: Deadline,
    ) -> Self {
        let table = TableClient::new(host, account, &tables.runs, deadline);
        Self { host, table, queue: escape(queue), skipped: Skipped::default() }
    }

    /// The number of storage calls that the client has repeated so far.
    pub fn retries(&self) -> u32 {
        self.table.retries()
    }

    /// The key of the first entity that is not a withdrawal; `None` if there was no such entity so far.
    pub fn skipped(&self) -> Option<Key> {
        self.skipped.key()
    }

    /// Records a withdrawal.
    pub async fn record(&self, withdrawal: &Withdrawal) -> Result<(), TableError> {
        let mut random = [0; 8];
        self.host.fill(&mut random);
        let row = format!("{}.{:016x}", row_of(self.host.now()), u64::from_le_bytes(random));
        let mut entity = Entity::new(Key::new(&self.queue, &row));
        let (kind, subject) = withdrawal.parts();
        entity.properties.insert("kind".into(), kind.into());
        entity.properties.insert("subject".into(), subject.into());
        if let Withdrawal::Forgotten { at, .. } = withdrawal {
            entity.int64("at", at.timestamp_millis());
        }
        match self.table.insert(&entity).await? {
            Inserted::New(_) | Inserted::Exists => Ok(()),
        }
    }

    /// Reads the withdrawals that were recorded after the time `since`, the oldest first. The second value is
    /// true if the list is complete. The query begins two minutes before `since`. The reason is that each
    /// row key contains the time at which the withdrawal was recorded. This time usually comes from the bot's
    /// clock, which can be behind the poller's clock.
    pub async fn since(&self, since: DateTime<Utc>) -> Result<(Vec<Withdrawal>, bool), TableError> {
        let filter = Filter::partition(&self.queue).rows(&row_of(since - MAX_CLOCK_DIFFERENCE), AFTER);
        let query = Query { filter, top: 1000, select: Vec::new() };
        let (mut all, mut from) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let page = self.table.query(&query, from.as_ref()).await?;
            for entity in &page.entities {
                match Withdrawal::read(entity) {
                    Some(withdrawal) => all.push(withdrawal),
                    None => self.skipped.add(&entity.key),
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok((all, true));
            }
        }
        Ok((all, false))
    }
}

/// Makes the first part of a row key: the prefix and the time. So the rows sort by time. The second part of a
/// row key is random.
fn row_of(time: DateTime<Utc>) -> String {
    format!("{PREFIX}{:014}", time.timestamp_millis().max(0))
}

/// Selects the withdrawals that no run reads any more.
pub(super) fn expired(queue: &str, now: DateTime<Utc>) -> Filter {
    Filter::partition(queue).rows(PREFIX, &row_of(now - KEPT))
}
