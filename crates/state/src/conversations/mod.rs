//! The address book: the conversations that the bot knows, how they are found, and who wants no alerts.

mod composed;
mod fingerprint;
mod forget;
mod hear;
mod index;
mod key;
mod list;
mod lookup;
mod many;
mod pause;
mod record;
mod stop;
mod subscribers;
mod tags;
#[cfg(test)]
mod testing;

use bot_framework::UnboundUsers;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::{Deadline, Host};
use storage_account::{Account, Service};
use storage_table::{ETag, Filter as Rule, Key, Query, TableClient};

use crate::{StateError, Tables};
use index::MAX_TOP;
use key::Row;
use record::{FOREIGN_ROW, Rows, Stored, key_of, partition_of, skipped};

pub use fingerprint::Fingerprint;
pub use hear::{Heard, Sign};
pub use key::{ConversationKey, Tag, known_key};
pub use list::{Filter, Page};
pub use many::{ByKey, Known, of_key};
pub use pause::PAUSED_FOR;
pub use record::Conversation;
pub use subscribers::{Subscribers, tenant_of};
pub use tags::{MAX_TAGS, Tagged};

/// How many calls of one operation go on at once.
const AT_ONCE: usize = 8;

/// How often a conditional write is tried. A rival that writes at the same moment leaves one conflict, rarely two.
const ATTEMPTS: usize = 3;

/// The conversations that the bot knows.
#[derive(Debug)]
pub struct Conversations<'a, H> {
    host: &'a H,
    table: TableClient<'a, H>,
    account: &'a Account,
    tables: &'a Tables,
    unbound: UnboundUsers,
}

/// Whether somebody wants alerts, and is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The person wants no alerts from others.
    pub stopped: bool,
    /// The channel says that nobody is there.
    pub paused: bool,
    /// The person asked to be forgotten at that time. What was accepted before is not said.
    pub forgotten_at: Option<DateTime<Utc>>,
}

impl<'a, H: Host> Conversations<'a, H> {
    /// The address book in a storage account. Calls take until `deadline` at most.
    pub fn new(host: &'a H, account: &'a Account, tables: &'a Tables, deadline: Deadline) -> Self {
        let table = TableClient::new(host, account, &tables.conversations, deadline);
        Self { host, table, account, tables, unbound: UnboundUsers::default() }
    }

    /// With another rule for ids that clients choose. Without this, they find nobody.
    #[must_use]
    pub fn with_unbound_users(mut self, unbound: UnboundUsers) -> Self {
        self.unbound = unbound;
        self
    }

    /// Names the table, for fingerprints.
    fn place(&self) -> [&str; 2] {
        [self.account.endpoint(Service::Table).unwrap_or_default(), self.tables.conversations.as_str()]
    }

    /// A conversation, with one query. A record of a newer version is not seen.
    pub async fn get(&self, key: &ConversationKey) -> Result<Option<Conversation>, StateError> {
        Ok(self.rows_of(key).await?.conversation(self.host.now()))
    }

    /// Whether a conversation may be sent alerts, with one query. A `stop` is seen even where this version cannot read the
    /// record, or where there is none.
    pub async fn standing(&self, key: &ConversationKey) -> Result<Standing, StateError> {
        Ok(Known::of(self.rows_of(key).await?, self.host.now()).standing)
    }

    /// Every row of a conversation.
    async fn rows_of(&self, key: &ConversationKey) -> Result<Rows, StateError> {
        // `/` follows `.`, which follows the key in each of its other rows.
        let filter = Rule::partition(&partition_of(key)).rows(key.as_str(), &format!("{key}/"));
        let query = Query { filter, top: MAX_TOP, select: Vec::new() };
        let mut rows = Rows::default();
        let mut continuation = None;
        loop {
            let page = self.table.query(&query, continuation.as_ref()).await?;
            for entity in page.entities {
                match Row::parse(&entity.key.row) {
                    Some((_, row)) => rows.add(row, &entity, self.host),
                    None => skipped(self.host, &entity.key, FOREIGN_ROW),
                }
            }
            continuation = page.next;
            if continuation.is_none() {
                return Ok(rows);
            }
        }
    }

    /// The row of a conversation's record, and its version.
    async fn record_of(&self, key: &ConversationKey) -> Result<(Stored, Option<ETag>), StateError> {
        let found = self.table.get(&key_of(key, &Row::Record)).await?;
        let stored = found.as_ref().map(|found| Stored::read(&found.entity, self.host)).unwrap_or_default();
        Ok((stored, found.map(|found| found.etag)))
    }

    /// Deletes rows, several at once. A row that is not there is no error.
    async fn delete_all(&self, keys: impl IntoIterator<Item = Key>) -> Result<(), StateError> {
        let delete = async |key: Key| self.table.delete(&key, None).await.map(|_| ());
        let delete = &delete;
        stream::iter(keys).map(Ok).try_for_each_concurrent(AT_ONCE, delete).await?;
        Ok(())
    }

    /// Deletes the fingerprint, so that the next activity of the conversation reads the table.
    async fn forget_fingerprint(&self, key: &ConversationKey) {
        if let Err(error) = self.host.delete(&known_key(key)).await {
            // The conversation is looked at again when the day of its fingerprint is over.
            let fields = serde_json::json!({"conversation": key.as_str(), "reason": error.to_string()});
            self.host.event(platform::Level::Warn, "conversation.fingerprint-not-deleted", fields);
        }
    }
}
