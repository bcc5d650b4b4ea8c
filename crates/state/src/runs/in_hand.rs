//! What a run has in hand, as it stands in its record: text of JSON, in as many properties as it takes.

use serde::{Deserialize, Serialize};
use storage_table::Entity;

/// A property holds 32 768 UTF-16 units.
const LONGEST_PROPERTY: usize = 30_000;
/// More than a run ever needs.
const MOST_PROPERTIES: usize = 24;

/// A message that a run was handed and has not dealt with, or of which the ledger does not know yet what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InHand {
    /// The queue's id of the message.
    #[serde(rename = "m")]
    pub message: String,
    /// The right to delete or update it.
    #[serde(rename = "r")]
    pub receipt: String,
    /// The lane of its conversation.
    #[serde(rename = "l")]
    pub lane: String,
    /// When it was put on the queue: as the queue says, in seconds, and as its producer says, in milliseconds.
    #[serde(rename = "a")]
    pub age: (i64, i64),
}

/// Writes what is in hand into a run's record.
pub(super) fn write(entity: &mut Entity, in_hand: &[InHand]) {
    let mut texts: Vec<String> = Vec::new();
    for one in in_hand {
        // Writing JSON into memory does not fail.
        let text = serde_json::to_string(one).unwrap_or_default();
        match texts.last_mut().filter(|last| last.len() + text.len() < LONGEST_PROPERTY) {
            Some(last) => {
                last.push(',');
                last.push_str(&text);
            }
            None => texts.push(text),
        }
    }
    for (index, text) in texts.into_iter().take(MOST_PROPERTIES).enumerate() {
        entity.properties.insert(format!("hand{index}"), format!("[{text}]").into());
    }
}

/// Reads what a run had in hand. What makes no sense is left out: those messages come back when their leases end.
pub(super) fn read(entity: &Entity) -> Vec<InHand> {
    let texts = (0..MOST_PROPERTIES).map_while(|index| entity.str(&format!("hand{index}")));
    texts.flat_map(|text| serde_json::from_str::<Vec<InHand>>(text).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use storage_table::Key;

    use super::*;

    #[test]
    fn whatever_is_in_hand_is_read_again() {
        for count in [0, 1, 300, 2000] {
            let in_hand: Vec<InHand> = (0..count)
                .map(|index| InHand {
                    message: format!("799a2c63-e5ea-4d21-a5b9-{index:012}"),
                    receipt: "AgAAAAMAAAAAAAAAMjM0NQ==".into(),
                    lane: format!("{index:016x}"),
                    age: (1_795_471_200, 1_795_471_200_123 + index),
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
    fn what_makes_no_sense_is_left_out() {
        let mut entity = Entity::new(Key::new("q", "run"));
        for (index, value) in
            [serde_json::json!("[{\"m\":1}]"), serde_json::json!("[")].into_iter().enumerate()
        {
            entity.properties.insert(format!("hand{index}"), value);
        }
        assert_eq!(read(&entity), []);
    }
}
