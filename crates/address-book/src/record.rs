//! What is stored of a conversation.

use bot_framework::ConversationReference;
use bot_framework::json::{FieldError, Fields, put};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::index::Index;
use crate::key::{ConversationKey, Tag};

const VERSION: u64 = 1;

/// The most tags that one conversation may have.
pub const MAX_TAGS: usize = 32;

/// The longest record that is written. An address of a channel has some hundred bytes; an alert has to carry it, and its
/// own text, within 48 KiB.
pub(crate) const MAX_RECORD_BYTES: usize = 16 * 1024;

/// How long an activity is known that was answered late: a channel sends one again within minutes.
const LATE_SECONDS: i64 = 10 * 60;

/// The most such activities that a record names: the youngest.
const MAX_LATE: usize = 8;

/// A conversation that the bot knows: `{version, address, tags, stopped, paused, seenAt, checkAfter, late}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where to say something; without the activity that it was taken from. A group's has no person in it: what is said
    /// there is said to all.
    pub address: ConversationReference,
    /// What the conversation subscribes to, each once. A list: there are few, and a set costs the guest its code.
    pub tags: Vec<Tag>,
    /// The person wants no alerts from others.
    pub stopped: bool,
    /// The channel says that nobody is there. The next message from there ends it.
    pub paused: bool,
    /// When something was last heard from there, to within a day.
    pub seen_at: DateTime<Utc>,
    /// When a message has to look whether the conversation stands in its lists, in seconds since 1970: every message reads
    /// it, and a number is read fast.
    pub(crate) check_after: Option<i64>,
    /// Activities that stand on the queue although the channel may have had no answer in time, and will send them again: the
    /// ids of their envelopes, each with the second since 1970 until which it is known.
    late: Vec<(String, i64)>,
    /// Fields of later versions: they survive.
    rest: Map<String, Value>,
}

/// What stands under a record's key.
#[derive(Debug)]
pub(crate) enum Stored {
    Record(Box<Record>),
    /// Nothing, or nothing that anybody could read.
    Nothing,
    /// What a newer version of this code wrote: not ours to change.
    Newer,
}

impl Record {
    pub(crate) fn new(address: ConversationReference, seen_at: DateTime<Utc>) -> Self {
        Self {
            address,
            tags: Vec::new(),
            stopped: false,
            paused: false,
            seen_at,
            check_after: None,
            late: Vec::new(),
            rest: Map::new(),
        }
    }

    pub(crate) fn read(bytes: Option<&[u8]>) -> Stored {
        let Some(mut fields) = bytes.and_then(|bytes| Fields::parse(bytes).ok()) else {
            return Stored::Nothing;
        };
        match fields.take("version").as_ref().and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => return Stored::Newer,
            _ => return Stored::Nothing,
        }
        match Self::from_fields(fields) {
            Ok(record) => Stored::Record(Box::new(record)),
            Err(_) => Stored::Nothing,
        }
    }

    fn from_fields(mut fields: Fields) -> Result<Self, FieldError> {
        let tags = fields.take("tags").unwrap_or_default();
        let tags = tags.as_array().into_iter().flatten().filter_map(Value::as_str).map(Tag::from_record);
        let seen_at = fields.string("seenAt")?.unwrap_or_default();
        Ok(Self {
            address: ConversationReference::from_fields(fields.required_object("address")?)?,
            tags: tags.collect(),
            stopped: fields.boolean("stopped")?,
            paused: fields.boolean("paused")?,
            seen_at: DateTime::parse_from_rfc3339(&seen_at)
                .map_err(|_| fields.error("seenAt", "a time as of RFC 3339"))?
                .with_timezone(&Utc),
            check_after: fields.take("checkAfter").as_ref().and_then(Value::as_i64),
            late: read_late(&fields.take("late").unwrap_or_default()),
            rest: fields.rest(),
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut object = self.rest.clone();
        put(&mut object, "version", Some(VERSION));
        put(&mut object, "address", Some(self.address.to_json()));
        put(&mut object, "tags", Some(self.tags.iter().map(Tag::as_str).collect::<Vec<_>>()));
        put(&mut object, "stopped", Some(self.stopped));
        put(&mut object, "paused", Some(self.paused));
        put(&mut object, "seenAt", Some(self.seen_at.to_rfc3339_opts(SecondsFormat::Secs, true)));
        put(&mut object, "checkAfter", self.check_after);
        put(&mut object, "late", Some(&self.late).filter(|late| !late.is_empty()).map(|late| json!(late)));
        // Writing JSON of text keys into memory does not fail.
        serde_json::to_vec(&object).unwrap_or_default()
    }

    /// Whether the activity of this envelope was answered late, and stands on the queue.
    pub fn was_answered_late(&self, envelope: &str, now: DateTime<Utc>) -> bool {
        self.late.iter().any(|(known, until)| known == envelope && now.timestamp() < *until)
    }

    /// Notes that the activity of this envelope was answered late.
    pub fn answered_late(&mut self, envelope: &str, now: DateTime<Utc>) {
        self.late.retain(|(known, until)| known != envelope && now.timestamp() < *until);
        self.late.push((envelope.to_owned(), now.timestamp().saturating_add(LATE_SECONDS)));
        let too_many = self.late.len().saturating_sub(MAX_LATE);
        self.late.drain(..too_many);
    }

    /// Subscribes to a tag, unless there are too many; says whether it is subscribed to now.
    pub fn subscribe(&mut self, tag: &Tag) -> bool {
        if !self.tags.contains(tag) {
            if self.tags.len() >= MAX_TAGS {
                return false;
            }
            self.tags.push(tag.clone());
        }
        true
    }

    /// Subscribes to a tag no more.
    pub fn unsubscribe(&mut self, tag: &Tag) {
        self.tags.retain(|other| other != tag);
    }

    /// The lists in which this conversation stands. By a person only a conversation is found that is theirs alone: what is
    /// meant for one must not be read by all.
    pub(crate) fn indexes(&self) -> Vec<Index> {
        let mut indexes: Vec<_> = self.tags.iter().map(Index::of_tag).collect();
        if let Some(tenant) = self.address.conversation.tenant_id() {
            indexes.push(Index::of_tenant(tenant, ConversationKey::of(&self.address).shard()));
        }
        if let Some(user) = self.address.user.as_ref().filter(|_| !self.address.conversation.is_group()) {
            indexes.push(Index::of_user(&self.address.channel_id, &user.id));
            indexes.extend(user.aad_object_id().map(Index::of_aad_object));
        }
        indexes
    }
}

/// `[[envelope, until], …]`; what makes no sense is left out.
fn read_late(value: &Value) -> Vec<(String, i64)> {
    let one = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_i64()?));
    value.as_array().into_iter().flatten().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(json: &Value) -> Stored {
        Record::read(Some(json.to_string().as_bytes()))
    }

    fn golden() -> Value {
        json!({
            "version": 1,
            "address": {
                "channelId": "msteams", "serviceUrl": "https://smba.trafficmanager.net/amer/", "locale": "de-DE",
                "user": {"id": "29:u", "name": "Ann", "aadObjectId": "E5E0"}, "bot": {"id": "28:b"},
                "conversation": {"id": "a:1", "conversationType": "personal", "tenantId": "t"}, "serviceUrlVerified": true,
            },
            "tags": ["orders-42", "news"], "stopped": true, "paused": false,
            "seenAt": "2026-11-23T22:00:00Z", "checkAfter": 1_795_557_600, "aFieldOfTheFuture": [1],
        })
    }

    #[test]
    fn version_1_is_read_and_written_for_ever() {
        let mut first_form = golden();
        first_form.as_object_mut().unwrap().remove("checkAfter");
        for golden in [golden(), first_form] {
            let Stored::Record(record) = stored(&golden) else { panic!("readable") };
            assert_eq!(serde_json::from_slice::<Value>(&record.to_bytes()).unwrap(), golden);
        }
        let Stored::Record(record) = stored(&golden()) else { panic!("readable") };
        assert_eq!(record.indexes().len(), 5, "{:?}", record.indexes());
    }

    #[test]
    fn late_answers_are_known_for_ten_minutes_and_the_youngest_eight_are_kept() {
        let Stored::Record(mut record) = stored(&golden()) else { panic!("readable") };
        let at = |seconds: i64| DateTime::from_timestamp(1_795_471_200 + seconds, 0).unwrap();
        assert!(!record.was_answered_late("e0", at(0)));
        for index in 0..=MAX_LATE {
            record.answered_late(&format!("e{index}"), at(0));
        }
        record.answered_late("e1", at(1));
        let Stored::Record(record) = Record::read(Some(&record.to_bytes())) else { panic!("readable") };
        for (envelope, seconds, expected) in
            [("e0", 0, false), ("e8", 599, true), ("e8", 600, false), ("e1", 600, true), ("e9", 0, false)]
        {
            assert_eq!(
                record.was_answered_late(envelope, at(seconds)),
                expected,
                "{envelope} after {seconds} s"
            );
        }
        let broken = json!([["a"], 7, ["b", "c"], ["d", 1]]);
        assert_eq!(read_late(&broken), [("d".to_owned(), 1)]);
    }

    #[test]
    fn a_group_is_nobody_s_own() {
        let mut json = golden();
        json["address"]["conversation"]["conversationType"] = "groupChat".into();
        let Stored::Record(record) = stored(&json) else { panic!("readable") };
        assert_eq!(record.indexes().len(), 3, "tags and tenant: {:?}", record.indexes());
    }

    #[test]
    fn what_is_newer_is_told_from_what_is_broken() {
        let with = |name: &str, value: Value| {
            let mut json = golden();
            json[name] = value;
            json
        };
        assert!(matches!(stored(&with("version", json!(2))), Stored::Newer));
        for broken in [
            with("version", json!(0)),
            with("version", json!("1")),
            with("address", json!({})),
            with("seenAt", json!("yesterday")),
            with("paused", json!(1)),
            json!([]),
        ] {
            assert!(matches!(stored(&broken), Stored::Nothing), "{broken}");
        }
        assert!(matches!(Record::read(None), Stored::Nothing));
        assert!(matches!(Record::read(Some(b"{")), Stored::Nothing));
    }
}
