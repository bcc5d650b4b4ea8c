//! The durable state: who can be alerted, what became of each alert, and which run is at work. It stands in three tables of
//! the storage account that also holds the queue, so every replica sees the same.
//!
//! # Schema
//!
//! `<prefix>` is the variable `tableprefix`. Text that comes from outside is escaped before it becomes part of a key
//! ([`storage_table::escape`]). Times are Int64, in milliseconds since 1970, in properties that end in `At` or `Until`.
//! A record of a newer version (`version` greater than ours) is left alone.
//!
//! ## `<prefix>conversations`: the address book
//!
//! | PartitionKey | RowKey | properties | who writes it |
//! |---|---|---|---|
//! | `c<shard>` | `<key>` | `version`, `address` (JSON), `seenAt`, `pausedUntil` | the bot, when it hears something new; the poller: `pausedUntil` only |
//! | `c<shard>` | `<key>.s` | `at` | the words `stop` (insert) and `start` (delete), nothing else |
//! | `c<shard>` | `<key>.t.<tag>` | `at` | the words `subscribe` and `unsubscribe`, and `PUT` and `DELETE` of a tag |
//! | `u.<channel>.<user>` | `<key>` | `seenAt` | the bot, after the record: a person's own conversations |
//! | `e.<Entra object id>` | `<key>` | `seenAt` | the same |
//! | `n.<tenant>` | `<key>` | `seenAt` | the bot, after the record: a tenant's conversations |
//! | `t.<tenant>.<tag>` | `<key>` | `at` | the same, after the conversation's own row; the bot, when the conversation's tenant changes |
//!
//! `<key>` is the [`ConversationKey`], whose first digit is the shard. One query of a shard shows a conversation with
//! everything that belongs to it. The tags of conversations that are in no tenant stand in `t..<tag>`. A reader that finds an index leading nowhere passes over it, and deletes it. The indexes of
//! a person have `seenAt`, because a query shows no time of writing, and a person may have many conversations.
//!
//! Parts of a partition key that come from outside keep no dot, and are hashed if they are longer than 200 characters. Nobody
//! but the bot writes this table, yet a foreign entity, or a property of another type, only costs a line in the log.
//!
//! Writes of a record are merges with its ETag, so properties of later versions stay. `pausedUntil` is zero after a pause.
//!
//! ## `<prefix>ledger`: one record for each alert
//!
//! | PartitionKey | RowKey | properties | who writes it |
//! |---|---|---|---|
//! | `<period>.<shard>` | `<alert id>` | `version`, `status`, `acceptedAt`, `endsAt`, `conversation`, first of a call with a key: `fingerprint`, `alerts`, `next` | the bot, once, when it accepts the alert |
//! | | | `status`, `changedAt`, `reason`, `activityId`, `uncertain`, `tried` | the poller, when something became of it |
//! | | | `cancelledAt`, `putAt`, `failedAt` | the bot, when its sender cancels it; when a call is repeated or a Put fails |
//!
//! A period is eight days. What is over is found by its period, and taken away page by page.
//!
//! ## `<prefix>runs`: what runs tell each other
//!
//! | PartitionKey | RowKey | properties | who writes it |
//! |---|---|---|---|
//! | `<queue>` | `run` | `run`, `fence`, `why`, `pausedUntil`, `hand0`… | the run that has it, by ETag |
//! | `<queue>` | `line.<lane>` | `line` (JSON), `endsAt` | the same run |
//! | `<queue>` | `since.<milliseconds>.<random>` | `kind`, `subject` | the bot: what was withdrawn a short time ago |
#![warn(missing_docs)]

mod conversations;
mod error;
pub mod ledger;
pub mod runs;
mod tables;
#[cfg(test)]
mod world;

pub use conversations::{
    ByKey, Conversation, ConversationKey, Conversations, Filter, Fingerprint, Heard, Known, MAX_TAGS,
    PAUSED_FOR, Page, Sign, Standing, Subscribers, Tag, Tagged, known_key, of_key, tenant_of,
};
pub use error::StateError;
pub use tables::Tables;
