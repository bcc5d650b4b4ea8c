//! Where an alert's record stands.

use std::fmt;

use chrono::{DateTime, Utc};
use platform::name_of;
use storage_table::{Key, escape};

use crate::ConversationKey;

/// Records of one period stand together, so that what is over can be taken away without looking at the rest.
const PERIOD_SECONDS: i64 = 8 * 24 * 60 * 60;

/// A period is found in an id only if it is about now: alerts lie a year ahead at the most.
const PERIODS_AROUND: u32 = 64;

/// One batch writes into one partition: the fewer, the fewer calls. Each takes 2 000 records a second.
const SHARDS: u8 = 4;

/// Eight days, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(u32);

impl Period {
    /// The period of a moment.
    pub fn of(moment: DateTime<Utc>) -> Self {
        Self(u32::try_from(moment.timestamp() / PERIOD_SECONDS).unwrap_or_default())
    }

    /// The one before.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How its partitions begin, and those of no later one.
    pub(super) fn prefix(self) -> String {
        format!("{:05}", self.0)
    }
}

/// The id of an alert that this bot accepted: 32 hexadecimal digits, which hold the period in which it was accepted, so that
/// its record is found by the id alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertId(String);

/// What the alerts of one call share of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallId(String);

impl AlertId {
    /// The id of what a person said: the same when the channel sends the activity again. `sent_at` is the activity's own
    /// time, if it has one. The fifth digit is the conversation's, so that the records of a conversation stand together.
    pub fn of_activity(sent_at: DateTime<Utc>, conversation: &ConversationKey, activity_id: &str) -> Self {
        let name = name_of(&[conversation.as_str(), activity_id]);
        Self(format!("{:04x}{}{}", Period::of(sent_at).0 & 0xFFFF, conversation.digit(), &name[..27]))
    }

    /// An id as a caller wrote it; `None` if it is none of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let is_ours = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_ours.then(|| Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The period in which it was accepted, if that is about now.
    fn period(&self, now: DateTime<Utc>) -> Option<Period> {
        let period = Period(u32::from_str_radix(self.0.get(..4)?, 16).ok()?);
        (period.0.abs_diff(Period::of(now).0) <= PERIODS_AROUND).then_some(period)
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CallId {
    /// A call that is not repeated, from 16 random bytes.
    pub fn random(period: Period, bytes: [u8; 16]) -> Self {
        Self::new(period, &u128::from_le_bytes(bytes).to_string())
    }

    /// A call with an idempotency key: the same whenever the key is used in this period. `turn` tells apart calls that use
    /// the key after its term. `owner` names the sender to whom the key belongs, where senders are told apart.
    pub fn of_key(period: Period, owner: Option<&str>, idempotency_key: &str, turn: u32) -> Self {
        let turn = turn.to_string();
        let what = match owner {
            None => name_of(&["call", idempotency_key, &turn]),
            Some(owner) => name_of(&["call", idempotency_key, &turn, owner]),
        };
        Self::new(period, &what)
    }

    fn new(period: Period, what: &str) -> Self {
        Self(format!("{:04x}{}", period.0 & 0xFFFF, &name_of(&["alerts of a call", what])[..26]))
    }

    /// The id of one of its alerts.
    pub fn alert(&self, index: u8) -> AlertId {
        AlertId(format!("{}{index:02x}", self.0))
    }
}

/// The partition of a period that holds the records of these conversations' activities: `digit` is the first one of each
/// conversation's key, and the fifth one of each id.
pub(super) fn partition(period: Period, digit: char) -> String {
    let shard = digit.to_digit(16).unwrap_or_default() % u32::from(SHARDS);
    format!("{}.{shard}", period.prefix())
}

/// Names a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    partition: String,
    row: String,
}

impl RecordKey {
    /// The record of an alert that this bot accepted. `None` if the id cannot be one, or is too old.
    pub fn of(id: &AlertId, now: DateTime<Utc>) -> Option<Self> {
        let digit = id.0.chars().nth(4)?;
        Some(Self { partition: partition(id.period(now)?, digit), row: id.0.clone() })
    }

    /// The record of a message on the queue. Its id may be another producer's: then the time at which it was put on the queue
    /// tells the period. What is not `sealed` although it could be stands apart: it may have taken another alert's id.
    pub fn of_message(id: &str, sealed: bool, put_at: DateTime<Utc>) -> Self {
        let ours = AlertId::parse(id).filter(|_| sealed).and_then(|id| Self::of(&id, put_at));
        ours.unwrap_or_else(|| {
            let name = if sealed { "other" } else { "unsealed" };
            let shard = name_of(&[id]).bytes().next().unwrap_or_default() % SHARDS;
            Self {
                partition: format!("{}.{shard}", Period::of(put_at).prefix()),
                row: escape(&format!("{name}.{id}")),
            }
        })
    }

    /// In the table.
    pub(super) fn to_key(&self) -> Key {
        Key::new(&self.partition, &self.row)
    }

    /// What one batch can hold.
    pub(super) fn partition(&self) -> &str {
        &self.partition
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn an_id_leads_to_its_record() {
        let now = at("2026-11-28T22:00:00Z");
        let conversation = ConversationKey::parse(&name_of(&["msteams", "a:1"])).unwrap();
        let id = AlertId::of_activity(now, &conversation, "7");
        assert!(id.as_str().starts_with("0a26") || id.as_str().starts_with("0a27"), "{id}");
        let key = RecordKey::of(&id, now).unwrap();
        assert_eq!(RecordKey::of(&id, at("2027-11-28T22:00:00Z")), Some(key.clone()), "a year later");
        assert_eq!(RecordKey::of(&id, at("2029-11-28T22:00:00Z")), None);
        assert_eq!(RecordKey::of_message(id.as_str(), true, now), key);
        assert_ne!(
            RecordKey::of_message(id.as_str(), false, now),
            key,
            "an unsealed message has records apart"
        );
        assert_eq!(AlertId::parse(id.as_str()), Some(id));
    }

    #[test]
    fn activities_of_a_conversation_stand_together_and_conversations_apart() {
        let now = at("2026-11-28T22:00:00Z");
        let of = |conversation: u8, activity: u8| {
            let conversation = ConversationKey::parse(&name_of(&[&conversation.to_string()])).unwrap();
            let id = AlertId::of_activity(now, &conversation, &activity.to_string());
            let key = RecordKey::of(&id, now).unwrap();
            assert_eq!(key.partition, partition(Period::of(now), conversation.digit()));
            (key.partition, id)
        };
        let all: Vec<_> = (0..32).flat_map(|conversation| (0..8).map(move |id| (conversation, id))).collect();
        let ids: BTreeSet<_> = all.iter().map(|(conversation, id)| of(*conversation, *id).1).collect();
        assert_eq!(ids.len(), all.len());
        for conversation in 0..32 {
            let partitions: BTreeSet<_> = (0..8).map(|id| of(conversation, id).0).collect();
            assert_eq!(partitions.len(), 1, "{partitions:?}");
        }
        let partitions: BTreeSet<_> = (0..32).map(|conversation| of(conversation, 0).0).collect();
        assert_eq!(partitions.len(), usize::from(SHARDS));
    }

    #[test]
    fn alerts_of_a_call_stand_together_and_in_order() {
        let now = at("2026-11-28T22:00:00Z");
        let call = CallId::of_key(Period::of(now), None, "k", 0);
        let keys: Vec<_> = (0..100).map(|index| RecordKey::of(&call.alert(index), now).unwrap()).collect();
        assert!(keys.is_sorted() && keys.iter().all(|key| key.partition == keys[0].partition));
        for other in [
            CallId::of_key(Period::of(now), None, "k", 1),
            CallId::of_key(Period::of(now).before(), None, "k", 0),
            CallId::of_key(Period::of(now), None, "l", 0),
            CallId::of_key(Period::of(now), Some("ci"), "k", 0),
            CallId::of_key(Period::of(now), Some("shop"), "k", 0),
            CallId::random(Period::of(now), [1; 16]),
        ] {
            assert_ne!(other, call);
        }
    }

    #[test]
    fn ids_of_others_have_records_of_their_own() {
        let now = at("2026-11-28T22:00:00Z");
        let keys: BTreeSet<_> = ["a", "a/b", "a?b", "ü", "", &"x".repeat(3000)]
            .iter()
            .flat_map(|id| [true, false].map(|sealed| RecordKey::of_message(id, sealed, now)))
            .collect();
        assert_eq!(keys.len(), 12);
        for text in ["", "0a26", "0A26e4d0d1a4d1c0b7e3c6fbb2f4d0aa", "g".repeat(32).as_str()] {
            assert_eq!(AlertId::parse(text), None, "{text}");
        }
    }
}
