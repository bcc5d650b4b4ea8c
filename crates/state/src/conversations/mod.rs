//! The conversations that the bot knows: their records, their indexes, and whether the people in the
//! conversations want alerts.

mod activity;
mod asked;
mod composed;
mod feedback;
mod fingerprint;
mod forget;
mod hook;
mod index;
mod key;
mod known;
mod list;
mod lookup;
mod many;
mod message_number;
mod pause;
mod quiet;
mod record;
mod replace;
mod rosters;
mod rows;
mod stop;
mod stored_form;
mod subscribers;
mod tag_tenant;
mod tags;
#[cfg(test)]
mod testing;

use bot_framework::UnboundUsers;
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::{Deadline, Host};
use storage_account::{Account, Service};
use storage_table::{ETag, Filter as Rule, Key, Query, TableClient};
use zones::Zone;

use crate::{StateError, Tables};
use index::MAX_TOP;
use key::Row;
use record::{FOREIGN_ROW, Rows, Stored, key_of, partition_of, skipped};

pub use activity::Recorded;
pub use feedback::{Feedback, Reception, Response};
pub use fingerprint::Fingerprint;
pub use key::{ConversationKey, Tag, fingerprint_key};
pub use known::{DeliveryState, Known};
pub use list::{Filter, Page};
pub use many::{ByKey, of_key};
pub use message_number::MessageNumber;
pub use pause::PAUSED_FOR;
pub use record::Conversation;
pub use rosters::{TeamOrChat, without_thread};
pub use rows::quiet::Quiet;
pub use stored_form::Sign;
pub use subscribers::Subscribers;
pub use tag_tenant::tenant_of;
pub use tags::{MAX_TAGS, Tagged};

/// The most storage calls that one operation makes at the same time.
const AT_ONCE: usize = 8;

/// The most attempts of a conditional write. An attempt fails if another writer has changed the row in the
/// meantime. Usually, at most one attempt fails. It is rare that two attempts fail.
const ATTEMPTS: usize = 3;

/// A client for the conversations that the bot knows. The client has a deadline, at which each storage call
/// ends at the latest.
#[derive(Debug)]
pub struct Conversations<'a, H> {
    host: &'a H,
    table: TableClient<'a, H>,
    account: &'a Account,
    tables: &'a Tables,
    unbound: UnboundUsers,
    zone: Option<Zone>,
}

impl<'a, H: Host> Conversations<'a, H> {
    /// Makes a client for the conversations in these tables of a storage account. Each storage call ends at
    /// `deadline` at the latest.
    pub fn new(host: &'a H, account: &'a Account, tables: &'a Tables, deadline: Deadline) -> Self {
        let table = TableClient::new(host, account, &tables.conversations, deadline);
        Self { host, table, account, tables, unbound: UnboundUsers::default(), zone: None }
    }

    /// The number of storage calls that the client has repeated so far.
    pub fn retries(&self) -> u32 {
        self.table.retries()
    }

    /// Sets the time zone of the person whose activity is recorded; `None` if the activity names no zone.
    #[must_use]
    pub fn in_zone(mut self, zone: Option<Zone>) -> Self {
        self.zone = zone;
        self
    }

    /// Sets the rule for user ids that a channel's client chose (e.g. a web page with Web Chat). By default,
    /// the bot finds no conversation by such an id.
    #[must_use]
    pub fn with_unbound_users(mut self, unbound: UnboundUsers) -> Self {
        self.unbound = unbound;
        self
    }

    /// The account's endpoint and the table's name. Both identify the table in a [`Fingerprint`] (hashes of a
    /// conversation's record, from which the bot knows whether an activity would change the table).
    fn place(&self) -> [&str; 2] {
        [self.account.endpoint(Service::Table).unwrap_or_default(), self.tables.conversations.as_str()]
    }

    /// Reads a conversation with one query. Returns `None` if the record is missing, or if this version
    /// cannot read the record.
    pub async fn get(&self, key: &ConversationKey) -> Result<Option<Conversation>, StateError> {
        Ok(self.rows_of(key).await?.conversation(self.host.now()))
    }

    /// Reads with one query whether the bot is allowed to send alerts to a conversation. The method finds a
    /// person's `stop` (the command that refuses alerts) even if the record is missing, or if this version
    /// cannot read the record.
    pub async fn delivery_state(&self, key: &ConversationKey) -> Result<DeliveryState, StateError> {
        Ok(Known::of(self.rows_of(key).await?, self.host.now()).standing)
    }

    /// Reads with one query the stored facts about a conversation.
    pub async fn known(&self, key: &ConversationKey) -> Result<Known, StateError> {
        Ok(Known::of(self.rows_of(key).await?, self.host.now()))
    }

    /// Reads every row of a conversation.
    async fn rows_of(&self, key: &ConversationKey) -> Result<Rows, StateError> {
        // The row key of the record is the conversation's key. The other row keys begin with this key and
        // `.`. The range ends before `/`, because `/` is the next character after `.`.
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

    /// Reads the row of a conversation's record, with its ETag.
    async fn record_of(&self, key: &ConversationKey) -> Result<(Stored, Option<ETag>), StateError> {
        let found = self.table.get(&key_of(key, &Row::Record)).await?;
        let stored = found.as_ref().map(|found| Stored::read(&found.entity, self.host)).unwrap_or_default();
        Ok((stored, found.map(|found| found.etag)))
    }

    /// Deletes rows, several at the same time. A missing row is not an error.
    async fn delete_all(&self, keys: impl IntoIterator<Item = Key>) -> Result<(), StateError> {
        let delete = async |key: Key| self.table.delete(&key, None).await.map(|_| ());
        let delete = &delete;
        stream::iter(keys).map(Ok).try_for_each_concurrent(AT_ONCE, delete).await?;
        Ok(())
    }

    /// Deletes a conversation's [`Fingerprint`] in the key-value store, so that the bot reads the table at
    /// the next activity of the conversation. If the delete fails, the bot can use the old fingerprint until
    /// the next day, and does not see that the record has changed. So a failure is logged.
    pub async fn delete_fingerprint(&self, key: &ConversationKey) {
        if let Err(error) = self.host.delete(&fingerprint_key(key)).await {
            let fields = serde_json::json!({"conversation": key.as_str(), "reason": error.to_string()});
            self.host.event(platform::Level::Warn, "conversation.fingerprint-not-deleted", fields);
        }
    }
}
