//! Two lists in the record of the run lock: the queue messages that a run has *in hand* (see [`InHand`]), and
//! the alerts that the run has finished. A *run* is one execution of the poller. Only the run that holds the
//! *run lock* works on the queue.
//!
//! The record stores each list as JSON text in several properties, because the table service limits the
//! length of a property.

use chrono::DateTime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use storage_table::Entity;

use crate::ledger::{LastReplay, RecordKey, Status, Transition};

/// The greatest number of bytes in one property. A property can hold at most 32 768 UTF-16 units.
const MAX_PROPERTY_BYTES: usize = 30_000;
/// The greatest number of properties for the messages in hand. A run never needs all of them.
const MAX_IN_HAND: usize = 20;
/// The greatest number of properties for the finished alerts.
const MAX_ENDED: usize = 8;
/// The prefixes of the properties' names.
const IN_HAND: &str = "hand";
const ENDED: &str = "ended";

/// A queue message that a run has in hand. The run has dequeued the message. The message is in hand until the
/// run has deleted it, has hidden it until the next try, or has made it visible again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InHand {
    /// The message's id on the queue.
    #[serde(rename = "m")]
    pub message: String,
    /// The pop receipt, which allows the run to delete or update the message.
    #[serde(rename = "r")]
    pub receipt: String,
    /// The name of the message's *lane*. A lane usually holds the dequeued messages of one conversation.
    #[serde(rename = "l")]
    pub lane: String,
    /// Two numbers, by which runs order messages:
    ///
    /// - the time at which the message was put on the queue, by the queue's clock, in seconds since 1970
    /// - the time at which the bot accepted the alert, in milliseconds since 1970. If two messages have the
    ///   same first number, this number orders them. For a message without a readable alert, this number is
    ///   the time at which the message was put on the queue, in milliseconds.
    #[serde(rename = "a")]
    pub age: (i64, i64),
    /// The key of the alert's record in the ledger (the table with one record for each alert).
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordKey>,
}

/// An alert that a run has finished. Its final status is perhaps not in the ledger yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedAlert {
    /// The key of the alert's record in the ledger.
    #[serde(rename = "k")]
    pub record: RecordKey,
    /// The id of the queue message that the run had in hand when the alert ended. If the alert has another
    /// queue message, that message is a copy.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The word for the final status.
    #[serde(rename = "s")]
    status: String,
    /// The key of the conversation, if the poller created or found the conversation for the alert.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    conversation: Option<String>,
    /// The id that the Connector returned for the alert's chat message.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    activity_id: Option<String>,
    /// True if it is unknown whether the alert was delivered.
    #[serde(rename = "u", default, skip_serializing_if = "std::ops::Not::not")]
    uncertain: bool,
    /// The later of two times, in milliseconds since 1970: when the alert is due, and when the next alert of
    /// its series is due. The ledger keeps the alert's record beyond this time (see [`Transition::until`]).
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    /// The last *replay* that the run found in the alert's record, before the run moved the alert's message
    /// to the poison queue. In a replay, an operator puts the alert on the main queue again. If the record
    /// has a later replay than this one, the ledger does not record the final status.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    known_replay: Option<LastReplay>,
}

impl EndedAlert {
    /// Makes the entry for a transition to a final status. The entry lacks the transition's reason, because a
    /// reason can be long.
    pub fn of(transition: &Transition) -> Self {
        Self {
            record: transition.key.clone(),
            message: transition.message.clone(),
            status: transition.status.as_str().to_owned(),
            conversation: transition.conversation.clone(),
            activity_id: transition.activity_id.clone(),
            uncertain: transition.uncertain,
            until: transition.until.map(|until| until.timestamp_millis()),
            known_replay: transition.known_replay,
        }
    }

    /// The final status; `None` if this version does not know the word for the status.
    pub fn status(&self) -> Option<Status> {
        Status::from_word(&self.status)
    }

    /// The transition to the final status; `None` if this version does not know the status.
    pub fn transition(&self) -> Option<Transition> {
        Some(Transition {
            conversation: self.conversation.clone(),
            message: self.message.clone(),
            activity_id: self.activity_id.clone(),
            uncertain: self.uncertain,
            until: self.until.and_then(DateTime::from_timestamp_millis),
            known_replay: self.known_replay,
            ..Transition::to(self.record.clone(), self.status()?)
        })
    }
}

/// Writes the messages in hand into the record of the run lock.
pub(super) fn write(entity: &mut Entity, in_hand: &[InHand]) {
    write_list(entity, IN_HAND, MAX_IN_HAND, in_hand);
}

/// Writes the finished alerts into the record of the run lock.
pub(super) fn write_ended(entity: &mut Entity, ended: &[EndedAlert]) {
    write_list(entity, ENDED, MAX_ENDED, ended);
}

fn write_list(entity: &mut Entity, prefix: &str, most: usize, all: &[impl Serialize]) {
    let mut texts: Vec<String> = Vec::new();
    for one in all {
        // Writing JSON into memory does not fail.
        let text = serde_json::to_string(one).unwrap_or_default();
        match texts.last_mut().filter(|last| last.len() + text.len() < MAX_PROPERTY_BYTES) {
            Some(last) => {
                last.push(',');
                last.push_str(&text);
            }
            None => texts.push(text),
        }
    }
    for (index, text) in texts.into_iter().take(most).enumerate() {
        entity.properties.insert(format!("{prefix}{index}"), format!("[{text}]").into());
    }
}

/// Reads the messages that a run had in hand. Skips a property that cannot be read. The messages in this
/// property become visible when their *leases* end. A lease is the time for which the queue hides a dequeued
/// message.
pub(super) fn read(entity: &Entity) -> Vec<InHand> {
    read_list(entity, IN_HAND, MAX_IN_HAND)
}

/// Reads the alerts that a run had finished. Skips a property that cannot be read.
pub(super) fn read_ended(entity: &Entity) -> Vec<EndedAlert> {
    read_list(entity, ENDED, MAX_ENDED)
}

fn read_list<T: DeserializeOwned>(entity: &Entity, prefix: &str, most: usize) -> Vec<T> {
    let texts = (0..most).map_while(|index| entity.str(&format!("{prefix}{index}")));
    texts.flat_map(|text| serde_json::from_slice::<Vec<T>>(text.as_bytes()).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use storage_table::Key;

    use super::*;

    #[test]
    fn messages_in_hand_and_finished_alerts_that_are_written_can_be_read_again() {
        for count in [0, 1, 300, 2000] {
            let in_hand: Vec<InHand> = (0..count)
                .map(|index| InHand {
                    message: format!("799a2c63-e5ea-4d21-a5b9-{index:012}"),
                    receipt: "AgAAAAMAAAAAAAAAMjM0NQ==".into(),
                    lane: format!("{index:016x}"),
                    age: (1_795_471_200, 1_795_471_200_123 + index),
                    record: Some(RecordKey::of_message(&format!("id-{index}"), true, DateTime::UNIX_EPOCH)),
                })
                .collect();
            let mut entity = Entity::new(Key::new("q", "run"));
            write(&mut entity, &in_hand);
            let longest = entity
                .properties
                .values()
                .filter_map(|value| value.as_str())
                .map(|text| text.encode_utf16().count())
                .max();
            assert!(longest.unwrap_or_default() < 32_768, "{longest:?}");
            assert_eq!(read(&entity), in_hand);
            let transitions: Vec<Transition> = in_hand
                .into_iter()
                .enumerate()
                .filter_map(|(index, one)| {
                    Some(Transition {
                        message: Some(one.message),
                        activity_id: (index % 2 == 0).then(|| "1764436801730".into()),
                        uncertain: index % 3 == 0,
                        until: (index % 5 == 0).then_some(DateTime::UNIX_EPOCH),
                        ..Transition::to(one.record?, Status::Expired)
                    })
                })
                .take(1_000)
                .collect();
            write_ended(&mut entity, &transitions.iter().map(EndedAlert::of).collect::<Vec<_>>());
            let read: Vec<Transition> =
                read_ended(&entity).iter().filter_map(EndedAlert::transition).collect();
            assert_eq!(read, transitions);
        }
    }

    #[test]
    fn in_hand_property_that_cannot_be_read_is_skipped() {
        let mut entity = Entity::new(Key::new("q", "run"));
        for (index, value) in
            [serde_json::json!("[{\"m\":1}]"), serde_json::json!("[")].into_iter().enumerate()
        {
            entity.properties.insert(format!("hand{index}"), value);
        }
        assert_eq!(read(&entity), []);
    }
}
