//! Recent withdrawals. A *withdrawal* is a row that tells the runs about one event: an alert was cancelled, a
//! person sent `stop`, `start` or `quiet`, a conversation was forgotten, or the queue perhaps holds an alert
//! twice.
//!
//! A run reads the withdrawals of the last ten minutes ([`RECENTLY`]) with one query:
//!
//! - If the bot accepted an alert in these ten minutes, the query finds every withdrawal since the bot
//!   accepted the alert. So the run need not read the alert's record and the conversation.
//! - If the bot accepted the alert earlier, a withdrawal can also be older than ten minutes. The query does
//!   not find such a withdrawal, so the run reads the alert's record and the conversation.

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::{Clock, Deadline, HttpClient, Randomness};
use storage_account::Account;
use storage_table::{Entity, Filter, Inserted, Key, Query, TableClient, TableError, escape};

use crate::Tables;
use crate::skipped::Skipped;

/// How long a withdrawal counts as recent.
pub const RECENTLY: Duration = Duration::from_secs(10 * 60);
/// The greatest allowed difference between the clocks of the bot and the poller.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(2 * 60);
/// A withdrawal is deleted after this time.
const KEPT: Duration = Duration::from_secs(60 * 60);
const PREFIX: &str = "since.";
/// The end of the range of row keys with [`PREFIX`], because `/` is the character after `.`.
const AFTER: &str = "since/";
/// The most pages of query results that a run reads. These pages are enough for a mass cancellation. If there
/// are more pages, the run reads the alert's record and the conversation for each queue message.
const MAX_PAGES: u32 = 8;

/// An event that a run has to know before it sends an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdrawal {
    /// The sender cancelled the alert with this id.
    Cancelled(String),
    /// A person sent `stop` in the conversation with this key.
    Stopped(String),
    /// A person sent `start` in the conversation with this key.
    Started(String),
    /// The person in the conversation with this key set or ended their quiet hours.
    Quieted(String),
    /// This conversation was forgotten. If the bot accepted an alert for the conversation at `at` or earlier,
    /// no run delivers the alert.
    Forgotten {
        /// The conversation's key.
        conversation: String,
        /// The time at which the conversation was forgotten.
        at: DateTime<Utc>,
    },
    /// Perhaps the queue holds two messages of the alert with this id, and the envelope of one of them lacks
    /// the mark `once`. Because of this row, a run treats both messages as if they had the mark: before the
    /// run sends the alert, it checks whether the alert was delivered already. The row withdraws nothing.
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

    /// Records a withdrawal, so that runs find it.
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

    /// Reads the withdrawals since a moment, the oldest first. The second value is true if these are all
    /// withdrawals. The query begins two minutes earlier, because the row keys have the time of the bot's
    /// clock, and this clock can be behind the poller's clock.
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

/// Makes a row key without its random part. Row keys sort by time.
fn row_of(time: DateTime<Utc>) -> String {
    format!("{PREFIX}{:014}", time.timestamp_millis().max(0))
}

/// Selects the withdrawals that no run reads any more.
pub(super) fn expired(queue: &str, now: DateTime<Utc>) -> Filter {
    Filter::partition(queue).rows(PREFIX, &row_of(now - KEPT))
}
