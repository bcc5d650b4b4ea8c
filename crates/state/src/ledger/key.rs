//! The ids of alerts, and the partition keys and row keys of the records of alerts.

use std::fmt;

use chrono::{DateTime, Utc};
use platform::name_of;
use serde::{Deserialize, Serialize};
use storage_table::{Key, escape};

use crate::ConversationKey;

/// The length of a period. Each period has its own partitions. So the poller can delete the expired records
/// of old periods, and does not have to read the records of the current period.
const PERIOD_SECONDS: i64 = 8 * 24 * 60 * 60;

/// The ledger finds a record by an id only if the period in the id is at most this many periods away from the
/// current period. 64 periods are 512 days. This is enough, because alerts are due at most a year ahead.
const MAX_PERIODS_AWAY: u32 = 64;

/// The number of partitions of a period. A batch (one storage call that writes several records) writes into
/// one partition, so fewer partitions mean fewer storage calls. More partitions mean more writes a second:
/// the service writes up to 2 000 records a second into each partition.
const SHARDS: u8 = 4;

/// A period of eight days. Periods are numbered from 1970 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(u32);

impl Period {
    /// The period that contains a moment.
    pub fn of(moment: DateTime<Utc>) -> Self {
        Self(u32::try_from(moment.timestamp() / PERIOD_SECONDS).unwrap_or_default())
    }

    /// The previous period.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The next period.
    #[must_use]
    pub(super) fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The time at which the period begins, in seconds since 1970.
    pub(super) fn begin_seconds(self) -> i64 {
        i64::from(self.0) * PERIOD_SECONDS
    }

    /// The oldest period in which a record can be found.
    pub(super) fn oldest(now: DateTime<Utc>) -> Self {
        Self(Self::of(now).0.saturating_sub(MAX_PERIODS_AWAY))
    }

    /// Reads the period from a partition key.
    pub(super) fn of_partition(partition: &str) -> Option<Self> {
        partition.split_once('.')?.0.parse().ok().map(Self)
    }

    /// The partition keys of the period.
    pub(super) fn partitions(self) -> impl Iterator<Item = String> {
        (0..SHARDS).map(move |shard| format!("{}.{shard}", self.prefix()))
    }

    /// The prefix of the period's partition keys. The prefix sorts before the partition keys of later
    /// periods.
    pub(super) fn prefix(self) -> String {
        format!("{:05}", self.0)
    }
}

/// The id of an alert that the bot accepted: 32 hexadecimal digits. The bot accepts alerts from programs, and
/// also makes an alert from a person's message. The id contains a period: the period in which the bot
/// accepted the program's alert, or in which the person sent the message. So the ledger can find the record
/// by the id alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertId(String);

/// The number of digits of a [`CallId`]. The ids of all alerts of one call begin with these digits.
pub(super) const CALL_DIGITS: usize = 30;

/// The id of an API call. The id of each alert of the call begins with the id of the call. If a call has more
/// than 100 alerts, each page of the call (at most 100 alerts) has its own call id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallId(String);

impl AlertId {
    /// Makes the id for a person's message, which the bot gets in an activity. If the channel sends the
    /// activity again, the id is the same. `sent_at` is the time in the activity. If this time is missing or
    /// wrong, `sent_at` is the bot's own time.
    ///
    /// The fifth digit of the id is the first digit of the conversation's key. So in each period, the records
    /// of a conversation's messages are in one partition.
    pub fn of_activity(sent_at: DateTime<Utc>, conversation: &ConversationKey, activity_id: &str) -> Self {
        let name = name_of(&[conversation.as_str(), activity_id]);
        Self(format!("{:04x}{}{}", Period::of(sent_at).0 & 0xFFFF, conversation.digit(), &name[..27]))
    }

    /// Makes an id from a period and 28 further digits.
    pub(super) fn of_period(period: Period, digits: &str) -> Self {
        Self(format!("{:04x}{digits}", period.0 & 0xFFFF))
    }

    /// Parses the text of an id; `None` if the text does not have the form of an alert's id.
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_id.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the first alert of the call that made this alert.
    #[must_use]
    pub fn first_of_call(&self) -> Self {
        Self(format!("{}00", self.call()))
    }

    /// The id of the call that made this alert, as text.
    pub(super) fn call(&self) -> &str {
        &self.0[..CALL_DIGITS]
    }

    /// The period in the id; `None` if this period is too far away from the current period.
    pub(super) fn period(&self, now: DateTime<Utc>) -> Option<Period> {
        let period = Period(u32::from_str_radix(self.0.get(..4)?, 16).ok()?);
        (period.0.abs_diff(Period::of(now).0) <= MAX_PERIODS_AWAY).then_some(period)
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CallId {
    /// Makes the id of a call without an idempotency key, from 16 random bytes.
    pub fn random(period: Period, bytes: [u8; 16]) -> Self {
        Self::new(period, &u128::from_le_bytes(bytes).to_string())
    }

    /// Makes the id of a call with an idempotency key. Equal arguments give an equal id. `owner` is the name
    /// of the sender's API key; `None` if the API key has no name.
    ///
    /// An idempotency key identifies its call for 24 hours. After that, the sender can use the key for
    /// another call. So one period can have several calls with the same key. `turn` is 0 for the
    /// first of these calls, 1 for the second, and so on.
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

    /// Makes the call id for the alerts of one step of this call's *escalation*. An escalation is a list of
    /// steps in an API call. The poller sends the alerts of each step later, but only if no person has
    /// answered until then. The records of these alerts are in the same partition as the records of this
    /// call.
    #[must_use]
    pub fn step(&self, step: usize) -> Self {
        let name = name_of(&["step of an escalation", &self.0, &step.to_string()]);
        Self(format!("{}{}", &self.0[..5], &name[..25]))
    }

    /// The id of the alert with this index in the call.
    pub fn alert(&self, index: u8) -> AlertId {
        AlertId(format!("{}{index:02x}", self.0))
    }
}

/// Makes a partition key from a period and from the fifth digit of an alert's id. For a person's message,
/// this digit is the first digit of the conversation's key.
pub(super) fn partition(period: Period, digit: char) -> String {
    let shard = digit.to_digit(16).unwrap_or_default() % u32::from(SHARDS);
    format!("{}.{shard}", period.prefix())
}

/// The partition key and the row key of an alert's record. The JSON has short member names, because a run (an
/// execution of the poller) stores many of these keys in the record of the run lock, which one run holds
/// at a time: a key for each queue message that the run has dequeued and not finished, and a key for each
/// finished alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    #[serde(rename = "p")]
    partition: String,
    #[serde(rename = "w")]
    row: String,
}

impl RecordKey {
    /// The key of the record of an alert that the bot accepted; `None` if the period in the id is too far
    /// away from `now`.
    pub fn of(id: &AlertId, now: DateTime<Utc>) -> Option<Self> {
        let digit = id.0.chars().nth(4)?;
        Some(Self { partition: partition(id.period(now)?, digit), row: id.0.clone() })
    }

    /// The key of the record for a queue message. The arguments are:
    ///
    /// - `id` is the alert's id in the message.
    /// - `sealed` is true if the seal of the message (the bot's HMAC) is valid, or if the bot has no seal
    ///   key.
    /// - `put_at` is the time at which the message was put on the queue.
    ///
    /// For a sealed message with an id of the bot, the result is the key of [`Self::of`]. Any other message
    /// has a different key, in the period of `put_at`. A message without a valid seal has a different key for
    /// this reason: perhaps another program has copied the id of an alert of the bot. The message must not
    /// change the record of the bot's alert.
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

    /// The id of the alert; `None` if the row key is not an alert's id (see [`Self::of_message`]).
    pub(super) fn alert_id(&self) -> Option<AlertId> {
        AlertId::parse(&self.row)
    }

    /// The key in the table.
    pub(super) fn to_key(&self) -> Key {
        Key::new(&self.partition, &self.row)
    }

    /// The partition. All records of a batch must be in the same partition.
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
    fn record_key_of_an_alert_id_is_the_same_until_the_period_is_too_far_away() {
        let now = at("2026-11-28T22:00:00Z");
        let conversation = ConversationKey::parse(&name_of(&["msteams", "a:1"])).unwrap();
        let id = AlertId::of_activity(now, &conversation, "7");
        assert!(id.as_str().starts_with("0a26") || id.as_str().starts_with("0a27"), "{id}");
        let key = RecordKey::of(&id, now).unwrap();
        assert_eq!(RecordKey::of(&id, at("2027-11-28T22:00:00Z")), Some(key.clone()), "a year later");
        assert_eq!(RecordKey::of(&id, at("2029-11-28T22:00:00Z")), None, "three years later");
        assert_eq!(RecordKey::of_message(id.as_str(), true, now), key);
        assert_ne!(
            RecordKey::of_message(id.as_str(), false, now),
            key,
            "an unsealed message has a record of its own"
        );
        assert_eq!(AlertId::parse(id.as_str()), Some(id));
    }

    #[test]
    fn activities_of_one_conversation_share_a_partition_and_conversations_use_all_partitions() {
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
        assert_eq!(ids.len(), all.len(), "every activity has its own id");
        for conversation in 0..32 {
            let partitions: BTreeSet<_> = (0..8).map(|id| of(conversation, id).0).collect();
            assert_eq!(partitions.len(), 1, "{partitions:?}");
        }
        let partitions: BTreeSet<_> = (0..32).map(|conversation| of(conversation, 0).0).collect();
        assert_eq!(partitions.len(), usize::from(SHARDS));
    }

    #[test]
    fn record_keys_of_a_call_are_sorted_in_one_partition_and_different_calls_have_different_ids() {
        let now = at("2026-11-28T22:00:00Z");
        let call = CallId::of_key(Period::of(now), None, "k", 0);
        let keys: Vec<_> = (0..100).map(|index| RecordKey::of(&call.alert(index), now).unwrap()).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        assert!(keys.iter().all(|key| key.partition == keys[0].partition), "{keys:?}");
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
    fn record_keys_of_ids_that_the_bot_did_not_make_are_all_different() {
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
