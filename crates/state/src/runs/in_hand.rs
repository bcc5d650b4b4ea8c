//! The messages that a run has in hand, as its record stores them: JSON text, split over several properties.

use serde::{Deserialize, Serialize};
use storage_table::Entity;

use crate::ledger::RecordKey;

/// The most bytes of one property. The service stores at most 32 768 UTF-16 units in a property.
const MAX_PROPERTY_BYTES: usize = 30_000;
/// The most properties. This is more than a run needs.
const MAX_PROPERTIES: usize = 24;

/// A message that was handed out to a run, until the message is back on the queue, or the ledger has recorded
/// the final status of its alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InHand {
    /// The queue's id of the message.
    #[serde(rename = "m")]
    pub message: String,
    /// The pop receipt, which allows the run to delete or update the message.
    #[serde(rename = "r")]
    pub receipt: String,
    /// The lane of its conversation.
    #[serde(rename = "l")]
    pub lane: String,
    /// When the message was put on the queue, since 1970: by the queue's clock in seconds, and by its
    /// producer's clock in milliseconds.
    #[serde(rename = "a")]
    pub age: (i64, i64),
    /// The alert's record in the ledger.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordKey>,
    /// The word of the alert's final status, if the run has finished the message, and the ledger may not have
    /// recorded that yet.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// Writes the messages in hand into a run's record.
pub(super) fn write(entity: &mut Entity, in_hand: &[InHand]) {
    let mut texts: Vec<String> = Vec::new();
    for one in in_hand {
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
    for (index, text) in texts.into_iter().take(MAX_PROPERTIES).enumerate() {
        entity.properties.insert(format!("hand{index}"), format!("[{text}]").into());
    }
}

/// Reads the messages that a run had in hand. A property that cannot be read is skipped, because its messages
/// become visible when their leases end.
pub(super) fn read(entity: &Entity) -> Vec<InHand> {
    let texts = (0..MAX_PROPERTIES).map_while(|index| entity.str(&format!("hand{index}")));
    texts
        .flat_map(|text| serde_json::from_slice::<Vec<InHand>>(text.as_bytes()).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use storage_table::Key;

    use super::*;

    #[test]
    fn in_hand_messages_of_any_number_survive_a_round_trip() {
        for count in [0, 1, 300, 2000] {
            let in_hand: Vec<InHand> = (0..count)
                .map(|index| InHand {
                    message: format!("799a2c63-e5ea-4d21-a5b9-{index:012}"),
                    receipt: "AgAAAAMAAAAAAAAAMjM0NQ==".into(),
                    lane: format!("{index:016x}"),
                    age: (1_795_471_200, 1_795_471_200_123 + index),
                    record: Some(RecordKey::of_message(&format!("id-{index}"), true, DateTime::UNIX_EPOCH)),
                    ended: (index % 2 == 0).then(|| "delivered".into()),
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
