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
//! | `c<shard>` | `<key>.f` | `at` | `deleteUserData`: a tombstone. What was accepted before is not said; nothing deletes it |
//! | `c<shard>` | `<key>.t.<tag>` | `at` | the words `subscribe` and `unsubscribe`, and `PUT` and `DELETE` of a tag |
//! | `u.<channel>.<user>` | `<key>` | `seenAt` | the bot, after the record: a person's own conversations, by an id that the channel has bound, or with `unboundusers=allow` |
//! | `e.<Entra object id>` | `<key>` | `seenAt` | the same, on channels that vouch for it (`msteams`) |
//! | `n.<tenant>` | `<key>` | `seenAt` | the bot, after the record: a tenant's conversations, on the same channels |
//! | `t.<tenant>.<tag>` | `<key>` | `at` | the words and routes of tags, after the conversation's own row; the bot, when the conversation's tenant changes |
//!
//! `<key>` is the [`ConversationKey`], whose first digit is the shard. One query of a shard shows a conversation with
//! everything that belongs to it. The subscribers that are in no tenant stand in `t..<tag>`. A reader that finds an index
//! leading nowhere passes over it, and deletes it. The indexes of a person have `seenAt`, because a query shows no time of writing, and a person may have many conversations.
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
//! | `<period>.<shard>` | `<alert id>` | `version`, `status`, `acceptedAt`, `endsAt`, `conversation`, `key`, first of a page of a call with an idempotency key: `fingerprint`, `alerts` (0: the page has no alert, and this record stands for it), `next` | the bot, once, when it accepts the alert |
//! | | | `status`, `changedAt`, `reason`, `activityId`, `uncertain`, `tried` | the poller, when something became of it |
//! | | | `cancelledAt`, `putAt`, `failedAt`, `unconfirmedAt` | the bot, when its sender cancels it; when a call is repeated; when a Put fails, or has no clear answer |
//! | | | `takenAt` | the bot, before it sends an alert that a trigger brought; zero after a failure that is certain |
//! | `<period>.<shard>` | `answer.<key>.<minute>.<row>` | `endsAt`, `silent` | the bot, for each answer to a conversation, with the alert's record if there is one; `silent`: for each answer that is not given |
//!
//! A period is eight days. What is over is found by its period, and taken away page by page. The shard is the fifth digit of
//! the alert's id. For what a person said that is the first digit of the conversation's key.
//!
//! ## `<prefix>runs`: what runs tell each other
//!
//! | PartitionKey | RowKey | properties | who writes it |
//! |---|---|---|---|
//! | `<queue>` | `run` | `run`, `fence`, `why`, `pausedUntil`, `hand0`… | the run that has it, by ETag |
//! | `<queue>` | `line.<lane>` | `line` (JSON), `endsAt` | the same run |
//! | `<queue>` | `since.<milliseconds>.<random>` | `kind`, `subject`, `at` | the bot: what was withdrawn a short time ago, and which alerts the queue may hold twice |
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
