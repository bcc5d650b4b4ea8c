//! Reads the rows of one conversation from the table's entities, and makes the entity of the record.

use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use chrono::{DateTime, Utc};
use platform::{Host, Level, excerpt};
use serde_json::json;
use storage_table::{Entity, Key};
use zones::{ClockSpan, Zone};

use super::key::{ConversationKey, Row, Tag};
use super::rows::hook::Hook;
use super::rows::open_question::OpenQuestion;
use super::rows::quiet::{Quiet, hours_of};
use super::rows::responses::{LastRead, Responses};
use crate::StateError;

const VERSION: i64 = 1;

/// The most bytes of a stored address. A usual address has a few hundred bytes. The limit leaves room for the
/// alert's text, because the address and the text share the 48 KiB of an envelope (the alert as a queue
/// message).
pub(super) const MAX_ADDRESS_BYTES: usize = 16 * 1024;

/// A conversation that the bot knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// The address of the conversation, to which alerts are sent. The address has no activity id. The address
    /// of a group has no person.
    pub address: ConversationReference,
    /// The tags that the conversation subscribes to, in the order of their row keys.
    pub tags: Vec<Tag>,
    /// The person has sent `stop`. So the poller does not deliver the alerts that programs send. The poller
    /// still delivers the reminders that the person has set. With the variable `replies=echo`, the poller
    /// also sends the person's own texts back.
    pub stopped: bool,
    /// The conversation is paused, because the channel reported that the person cannot be reached. The pause
    /// ends when the person sends a message or installs the bot, and after a day at the latest.
    pub paused: bool,
    /// When the conversation was last active. The bot usually writes this time only once a day.
    pub seen_at: DateTime<Utc>,
    /// The person's time zone, if the channel has sent the zone.
    pub zone: Option<Zone>,
    /// The person's quiet hours.
    pub quiet: Option<Quiet>,
}

/// The record of a conversation: the row with the conversation's key as its row key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) address: ConversationReference,
    pub(super) seen_at: DateTime<Utc>,
    pub(super) paused_until: Option<DateTime<Utc>>,
    pub(super) zone: Option<Zone>,
    /// The question that the person's next text answers. Only the poller stores a question.
    pub(super) asked: Option<OpenQuestion>,
}

impl Record {
    pub(super) fn is_paused(&self, now: DateTime<Utc>) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    /// Makes the entity to write. The entity has no `pausedUntil` and no open question. So a merge (the table
    /// operation that changes only the given properties) keeps the stored values of these properties.
    pub(super) fn to_entity(&self, key: &ConversationKey) -> Result<Entity, StateError> {
        let address = self.address.to_json().to_string();
        if address.len() > MAX_ADDRESS_BYTES {
            return Err(StateError::TooLarge { bytes: address.len(), most: MAX_ADDRESS_BYTES });
        }
        let entity = Entity::new(key_of(key, &Row::Record));
        let mut entity = entity.with("version", VERSION).with("address", address);
        if let Some(zone) = self.zone {
            entity = entity.with("zone", zone.to_string());
        }
        Ok(entity.with_int64("seenAt", self.seen_at.timestamp_millis()))
    }
}

/// The content of the row `<key>`.
#[derive(Debug, Default)]
pub(super) enum Stored {
    #[default]
    Nothing,
    Record(Box<Record>),
    /// A newer version of the bot wrote the record. This version does not change the record.
    Newer,
    /// The version or the address of the record is missing or invalid. The conversation's next activity
    /// overwrites the record.
    Broken,
}

impl Stored {
    pub(super) fn read(entity: &Entity, host: &impl Host) -> Self {
        match entity.int("version") {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => return Self::Newer,
            _ => {
                skipped(host, &entity.key, "version: expected 1");
                return Self::Broken;
            }
        }
        let address = entity.str("address").and_then(|text| Fields::parse(text.as_bytes()).ok());
        let Some(address) = address.and_then(|fields| ConversationReference::from_fields(fields).ok()) else {
            skipped(host, &entity.key, "address: expected the JSON of a conversation reference");
            return Self::Broken;
        };
        let time = |name: &str| {
            let time = entity.int(name).and_then(DateTime::from_timestamp_millis);
            if time.is_none() && entity.properties.contains_key(name) {
                skipped(host, &entity.key, &format!("{name}: expected milliseconds since 1970"));
            }
            time
        };
        // A time that cannot be read counts as missing. The person's next message writes a valid time.
        let seen_at = time("seenAt").unwrap_or_default();
        // An unknown zone is not logged, because perhaps a later version of the bot has written the zone.
        let zone = entity.str("zone").and_then(Zone::parse);
        let (paused_until, asked) = (time("pausedUntil"), OpenQuestion::of(entity));
        Self::Record(Box::new(Record { address, seen_at, paused_until, zone, asked }))
    }
}

/// All rows of one conversation.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) stored: Stored,
    /// Whether the row `<key>` exists. A row that cannot be read also counts.
    pub(super) has_record: bool,
    pub(super) stopped: bool,
    pub(super) forgotten_at: Option<DateTime<Utc>>,
    /// The quiet hours in the row `<key>.w`.
    pub(super) hours: Option<ClockSpan>,
    /// Whether the row `<key>.w` exists. A row that cannot be read also counts.
    pub(super) has_hours: bool,
    pub(super) tags: Vec<Tag>,
    pub(super) hook: Option<Hook>,
    /// The last chat message that the person has read. The row `<key>` holds the value.
    pub(super) last_read: Option<LastRead>,
    pub(super) responses: Vec<Responses>,
}

impl Rows {
    pub(super) fn add(&mut self, row: Row, entity: &Entity, host: &impl Host) {
        match row {
            Row::Record => {
                self.has_record = true;
                self.stored = Stored::read(entity, host);
                self.last_read = LastRead::of(entity);
            }
            Row::Stop => self.stopped = true,
            Row::Forgotten => {
                self.forgotten_at = entity.int("at").and_then(DateTime::from_timestamp_millis);
                if self.forgotten_at.is_none() {
                    skipped(host, &entity.key, "at: expected milliseconds since 1970");
                }
            }
            Row::Quiet => (self.hours, self.has_hours) = (hours_of(entity), true),
            Row::Hook => self.hook = Some(Hook::read(entity)),
            Row::Responses(message) => self.responses.push(Responses::of(message, entity)),
            Row::Tag(tag) => self.tags.push(tag),
        }
    }

    /// The person's quiet hours, in the zone of the record. If the record has no zone, the zone is UTC.
    pub(super) fn quiet(&self) -> Option<Quiet> {
        let zone = match &self.stored {
            Stored::Record(record) => record.zone,
            Stored::Nothing | Stored::Newer | Stored::Broken => None,
        };
        Some(Quiet { hours: self.hours?, zone: zone.unwrap_or(Zone::UTC) })
    }

    /// The conversation; `None` if its record is missing, or if this version cannot read the record.
    pub(super) fn conversation(self, now: DateTime<Utc>) -> Option<Conversation> {
        let quiet = self.quiet();
        let Stored::Record(record) = self.stored else { return None };
        Some(Conversation {
            zone: record.zone,
            quiet,
            paused: record.is_paused(now),
            address: record.address,
            tags: self.tags,
            stopped: self.stopped,
            seen_at: record.seen_at,
        })
    }
}

/// The partition of a conversation's rows.
pub(super) fn partition_of(key: &ConversationKey) -> String {
    format!("c{}", key.digit())
}

/// The partition key and the row key of a conversation's row.
pub(super) fn key_of(key: &ConversationKey, row: &Row) -> Key {
    Key::new(partition_of(key), row.of(key))
}

/// Logs that the bot ignores an entity, or a property of the entity. The bot did not write the entity, or
/// this version cannot read the entity or the property.
pub(super) fn skipped(host: &impl Host, key: &Key, reason: &str) {
    let fields = json!({"partition": excerpt(&key.partition), "row": excerpt(&key.row), "reason": reason});
    host.event(Level::Warn, "conversation.entity-skipped", fields);
}

pub(super) const FOREIGN_ROW: &str = "RowKey: expected a conversation's key; the row is ignored";
