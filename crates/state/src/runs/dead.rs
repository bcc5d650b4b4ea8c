//! The dead letters of a queue. If the poller cannot deliver a message of the main queue, a *run* (one
//! execution of the poller) moves the message to the *poison queue*. The moved message is a *dead letter*.
//! Each dead letter has a row in a table.
//!
//! An operator can ask the bot for a list of the dead letters. The bot makes this list from the rows, because
//! the queue service cannot list the messages of a queue.
//!
//! A run first writes the row, and then puts a copy of the message on the poison queue. The row's key
//! consists of two parts: the time at which the message was put on the main queue, and the message's id
//! there. So if the run is killed between the two steps, the next run writes the same row again.
//!
//! A row never holds the text of an alert. The row holds a *digest*: the hash of the message's text on the
//! poison queue. The bot compares digests to find the message that belongs to a row.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use platform::{Clock, Deadline, HttpClient, Randomness, name_of};
use storage_account::Account;
use storage_table::{Batch, Deleted, Entity, Filter, Key, Operation, Query, TableClient, TableError, escape};

use crate::Tables;
use crate::ledger::Origin;

const VERSION: i64 = 1;
/// A row key begins with this number minus the time at which the message was put on the main queue, in
/// milliseconds. So the newest row comes first.
const LATEST_MILLISECONDS: i64 = 99_999_999_999_999;
/// The number of digits of [`LATEST_MILLISECONDS`].
const DIGITS: usize = 14;
/// The greatest length of a message id that becomes part of a row key unchanged. If an id is empty, is
/// longer, or has characters other than letters, digits and `-`, the row key contains the hash of the id. The
/// ids of the queue service have 36 characters.
const MAX_ID_CHARACTERS: usize = 64;
/// The greatest number of characters in a stored reason.
const MAX_REASON_CHARACTERS: usize = 500;
/// The greatest number of operations in one batch.
const MAX_OPERATIONS: usize = 100;
/// The greatest number of queries for one page of dead letters. One query is not always enough, because the
/// service can return an empty page of query results although more rows follow.
const MAX_QUERIES: usize = 8;
/// The character after the digits of every row key.
const AFTER_DIGITS: char = '.';
/// A character that sorts before every character that a row key contains.
const LOWEST: char = '!';
/// A text that sorts after every row key.
const AFTER_ALL: &str = ":";

/// The id of a dead letter: the key of its row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId(String);

impl DeadLetterId {
    /// Makes the id of a dead letter. `message_id` is the id of the message on the main queue. `inserted_at`
    /// is the time at which the message was put there.
    pub fn of(message_id: &str, inserted_at: DateTime<Utc>) -> Self {
        let inverted = LATEST_MILLISECONDS - inserted_at.timestamp_millis().clamp(0, LATEST_MILLISECONDS);
        let name = if is_plain(message_id) { message_id.to_owned() } else { name_of(&[message_id]) };
        Self(format!("{inverted:0DIGITS$}{AFTER_DIGITS}{name}"))
    }

    /// Parses the id of a dead letter; `None` if the text does not have the form of such an id.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, name) = text.split_once(AFTER_DIGITS)?;
        let is_id =
            digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) && is_plain(name);
        is_id.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that the message had on the main queue. If that id is empty, is longer than 64 characters, or
    /// has characters other than letters, digits and `-`, this is a hash of that id.
    pub fn message_id(&self) -> &str {
        self.0.split_once(AFTER_DIGITS).map_or("", |(_, name)| name)
    }

    /// The time at which the message was put on the main queue.
    pub fn inserted_at(&self) -> DateTime<Utc> {
        let inverted = self.0.get(..DIGITS).and_then(|digits| digits.parse::<i64>().ok());
        inverted
            .and_then(|inverted| DateTime::from_timestamp_millis(LATEST_MILLISECONDS - inverted))
            .unwrap_or_default()
    }
}

fn is_plain(name: &str) -> bool {
    (1..=MAX_ID_CHARACTERS).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the digest of a queue message's text.
pub fn digest_of(text: &str) -> String {
    name_of(&["dead letter", text])
}

/// A queue message that a run has moved to the poison queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The id of the dead letter.
    pub id: DeadLetterId,
    /// The id of the alert; empty if the message holds no *envelope* (an alert as JSON). This text has at
    /// most the first 64 characters of the id and a `…`, because programs other than the bot can choose ids
    /// of any length.
    pub alert: String,
    /// The key of the conversation; empty if the message holds no envelope.
    pub conversation: String,
    /// The reason for the move as one word, e.g. `permanent`. The poller has a fixed list of these words.
    pub outcome: String,
    /// The reason for the move as a text for operators.
    pub reason: String,
    /// The HTTP status of the Connector's response, if there was a response.
    pub status: Option<u16>,
    /// When the run moved the message.
    pub died_at: DateTime<Utc>,
    /// The time at which the bot accepted the alert, as the envelope says. If the message holds no envelope,
    /// this is the time at which the message was put on the main queue.
    pub enqueued_at: DateTime<Utc>,
    /// When the alert expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// The number of times that runs dequeued the message.
    pub attempts: u32,
    /// True if an operator can *replay* the message (put it on the main queue again). For this, the message
    /// must hold an envelope in the current format. If the bot seals (signs) its envelopes, the envelope must
    /// also have a valid seal.
    pub is_genuine: bool,
    /// The digest of the message's text on the poison queue.
    pub digest: String,
    /// The sender and the tag of the alert. They are copied from the alert's record in the ledger, because
    /// the record can be deleted before this row.
    pub origin: Origin,
}

impl DeadLetter {
    fn entity(&self, partition: &str) -> Entity {
        let mut entity = Entity::new(Key::new(partition, self.id.as_str()))
            .with("version", VERSION)
            .with("alert", self.alert.as_str())
            .with("conversation", self.conversation.as_str())
            .with("outcome", self.outcome.as_str())
            .with("reason", self.reason.chars().take(MAX_REASON_CHARACTERS).collect::<String>())
            .with("attempts", i64::from(self.attempts))
            .with("genuine", self.is_genuine)
            .with("digest", self.digest.as_str())
            .with_int64("diedAt", self.died_at.timestamp_millis())
            .with_int64("enqueuedAt", self.enqueued_at.timestamp_millis());
        if let Some(status) = self.status {
            entity = entity.with("status", status);
        }
        for (name, value) in [("key", &self.origin.sender), ("tag", &self.origin.tag)] {
            if let Some(value) = value {
                entity = entity.with(name, value.as_str());
            }
        }
        if let Some(expires_at) = self.expires_at {
            entity.int64("expiresAt", expires_at.timestamp_millis());
        }
        entity
    }

    /// Reads a row; `None` if the row key is not the id of a dead letter. A property that cannot be read
    /// counts as missing.
    fn read(entity: &Entity) -> Option<Self> {
        let id = DeadLetterId::parse(&entity.key.row)?;
        let text = |name: &str| entity.str(name).unwrap_or_default().to_owned();
        let time = |name: &str| entity.int(name).and_then(DateTime::from_timestamp_millis);
        Some(Self {
            alert: text("alert"),
            conversation: text("conversation"),
            outcome: text("outcome"),
            reason: text("reason"),
            status: entity.int("status").and_then(|status| u16::try_from(status).ok()),
            died_at: time("diedAt").unwrap_or_else(|| id.inserted_at()),
            enqueued_at: time("enqueuedAt").unwrap_or_else(|| id.inserted_at()),
            expires_at: time("expiresAt"),
            attempts: entity.int("attempts").and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
            is_genuine: entity.bool("genuine").unwrap_or_default(),
            digest: text("digest"),
            origin: Origin {
                sender: entity.str("key").map(str::to_owned),
                tag: entity.str("tag").map(str::to_owned),
            },
            id,
        })
    }
}

/// One page of the list of dead letters, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadPage {
    /// The dead letters.
    pub letters: Vec<DeadLetter>,
    /// Whether more dead letters can follow on the next page.
    pub has_more: bool,
}

/// A client for the dead letters of one queue.
#[derive(Debug)]
pub struct DeadLetters<'a, H> {
    table: TableClient<'a, H>,
    partition: String,
}

impl<'a, H: HttpClient + Clock + Randomness> DeadLetters<'a, H> {
    /// Makes a client for the dead letters of `queue` in these tables. Each storage call ends by `deadline`.
    pub fn new(
        host: &'a H,
        account: &'a Account,
        tables: &'a Tables,
        queue: &str,
        deadline: Deadline,
    ) -> Self {
        let partition = [&escape(queue), ".dead"].concat();
        Self { table: TableClient::new(host, account, &tables.runs, deadline), partition }
    }

    /// The number of storage calls that the client has repeated so far.
    pub fn retries(&self) -> u32 {
        self.table.retries()
    }

    /// Writes the row of a dead letter. If the row exists already, replaces the row.
    pub async fn record(&self, letter: &DeadLetter) -> Result<(), TableError> {
        self.table.put(&letter.entity(&self.partition)).await.map(drop)
    }

    /// Reads the row of one dead letter.
    pub async fn read(&self, id: &DeadLetterId) -> Result<Option<DeadLetter>, TableError> {
        let found = self.table.get(&self.key(id)).await?;
        Ok(found.and_then(|found| DeadLetter::read(&found.entity)))
    }

    /// Deletes one row. A missing row is not an error.
    pub async fn remove(&self, id: &DeadLetterId) -> Result<(), TableError> {
        match self.table.delete(&self.key(id), None).await? {
            Deleted::Done | Deleted::Changed | Deleted::Gone => Ok(()),
        }
    }

    /// Deletes these rows. A missing row is not an error. One storage call deletes up to a hundred rows. If
    /// one of the rows of a call is missing, the service deletes no row of that call. Then each row of that
    /// call takes a separate storage call.
    pub async fn remove_all(&self, ids: &[DeadLetterId]) -> Result<(), TableError> {
        for chunk in ids.chunks(MAX_OPERATIONS) {
            if let [only] = chunk {
                self.remove(only).await?;
                continue;
            }
            let keys: Vec<Key> = chunk.iter().map(|id| self.key(id)).collect();
            let operations: Vec<_> = keys.iter().map(|key| Operation::Delete(key, None)).collect();
            if self.table.batch(&operations).await? == Batch::Done {
                continue;
            }
            // The service refuses the batch if one of the rows is missing.
            for id in chunk {
                self.remove(id).await?;
            }
        }
        Ok(())
    }

    /// Reads one page of the list: at most `most` rows after the row `after`. If `after` is `None`, the page
    /// begins with the newest row.
    ///
    /// The service can return an empty page of query results although more rows follow. Then the method reads
    /// the next page of query results. After eight empty pages, the method returns no rows, and reports that
    /// no more rows follow.
    pub async fn page(&self, after: Option<&DeadLetterId>, most: u16) -> Result<DeadPage, TableError> {
        let from = after.map(|after| format!("{after}{LOWEST}")).unwrap_or_default();
        let filter = Filter::partition(&self.partition).rows(&from, AFTER_ALL);
        let query = Query { filter, top: most, select: Vec::new() };
        let (mut letters, mut next) = (Vec::new(), None);
        for _ in 0..MAX_QUERIES {
            let page = self.table.query(&query, next.as_ref()).await?;
            letters.extend(page.entities.iter().filter_map(DeadLetter::read));
            next = page.next;
            if !letters.is_empty() || next.is_none() {
                break;
            }
        }
        Ok(DeadPage { has_more: next.is_some() && !letters.is_empty(), letters })
    }

    /// Finds the rows with these digests. Reads at most `pages` pages of query results. A page has up to a
    /// thousand rows. The second value is true if the method has read all rows.
    pub async fn with_digests(
        &self,
        digests: &BTreeSet<String>,
        pages: u32,
    ) -> Result<(BTreeMap<String, DeadLetterId>, bool), TableError> {
        let filter = Filter::partition(&self.partition).rows("", AFTER_ALL);
        let query = Query { filter, top: 1000, select: vec!["digest"] };
        let (mut found, mut from) = (BTreeMap::new(), None);
        for _ in 0..pages {
            let page = self.table.query(&query, from.as_ref()).await?;
            for entity in &page.entities {
                let digest = entity.str("digest").filter(|digest| digests.contains(*digest));
                if let (Some(digest), Some(id)) = (digest, DeadLetterId::parse(&entity.key.row)) {
                    found.insert(digest.to_owned(), id);
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok((found, true));
            }
        }
        Ok((found, false))
    }

    fn key(&self, id: &DeadLetterId) -> Key {
        Key::new(&self.partition, id.as_str())
    }
}

#[cfg(test)]
mod tests;
