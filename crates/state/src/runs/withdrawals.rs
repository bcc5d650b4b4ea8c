//! What was withdrawn a short time ago: alerts that were cancelled, conversations in which somebody said `stop`, or whose
//! person asked to be forgotten.
//!
//! A run that is handed messages asks for all of that at once, instead of for each message. What was accepted longer ago than
//! [`RECENTLY`] it looks up by itself.

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::{Clock, Deadline, HttpClient, Randomness};
use storage_account::Account;
use storage_table::{Entity, Filter, Inserted, Key, Query, TableClient, TableError, escape};

use crate::Tables;

/// For how long what was withdrawn is told to runs.
pub const RECENTLY: Duration = Duration::from_secs(10 * 60);
/// The clocks of bot and poller may differ by so much.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2 * 60);
/// When it may be taken away.
const KEPT: Duration = Duration::from_secs(60 * 60);
const PREFIX: &str = "since.";
const AFTER: &str = "since/";
/// Enough for a mass cancellation; what comes after is looked up one by one.
const MOST_PAGES: u32 = 8;

/// Something was withdrawn, or is wanted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdrawal {
    /// An alert, by its id.
    Cancelled(String),
    /// Somebody said `stop` in this conversation.
    Stopped(String),
    /// Somebody said `start` in it.
    Started(String),
    /// The person of this conversation asked to be forgotten: what was accepted until then is not said.
    Forgotten {
        /// The conversation's key.
        conversation: String,
        /// The time of its tombstone.
        at: DateTime<Utc>,
    },
    /// Nothing was withdrawn: the queue may hold this alert twice, by its id, and the copies do not say so.
    Doubled(String),
}

impl Withdrawal {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Cancelled(id) => ("cancelled", id),
            Self::Stopped(conversation) => ("stopped", conversation),
            Self::Started(conversation) => ("started", conversation),
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
            "doubled" => Some(Self::Doubled(subject)),
            "forgotten" => {
                let at = DateTime::from_timestamp_millis(entity.int("at")?)?;
                Some(Self::Forgotten { conversation: subject, at })
            }
            _ => None,
        }
    }
}

/// What was withdrawn from one queue, for the time until a deadline.
#[derive(Debug)]
pub struct Withdrawals<'a, H> {
    host: &'a H,
    table: TableClient<'a, H>,
    queue: String,
}

impl<'a, H: HttpClient + Clock + Randomness> Withdrawals<'a, H> {
    /// What was withdrawn from this queue.
    pub fn new(
        host: &'a H,
        account: &'a Account,
        tables: &'a Tables,
        queue: &str,
        deadline: Deadline,
    ) -> Self {
        Self { host, table: TableClient::new(host, account, &tables.runs, deadline), queue: escape(queue) }
    }

    /// Tells the runs.
    pub async fn note(&self, withdrawal: &Withdrawal) -> Result<(), TableError> {
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

    /// What was withdrawn since a moment, the oldest first, and whether that is everything. `since` is widened by what
    /// clocks may differ.
    pub async fn since(&self, since: DateTime<Utc>) -> Result<(Vec<Withdrawal>, bool), TableError> {
        let filter = Filter::partition(&self.queue).rows(&row_of(since - CLOCKS_DIFFER), AFTER);
        let query = Query { filter, top: 1000, select: Vec::new() };
        let (mut all, mut from) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let page = self.table.query(&query, from.as_ref()).await?;
            all.extend(page.entities.iter().filter_map(Withdrawal::read));
            from = page.next;
            if from.is_none() {
                return Ok((all, true));
            }
        }
        Ok((all, false))
    }
}

/// Rows sort by their time.
fn row_of(time: DateTime<Utc>) -> String {
    format!("{PREFIX}{:014}", time.timestamp_millis().max(0))
}

/// What nobody asks for any more.
pub(super) fn over(queue: &str, now: DateTime<Utc>) -> Filter {
    Filter::partition(queue).rows(PREFIX, &row_of(now - KEPT))
}
