//! The data in a button of a question. A *question* is an alert that people answer with buttons or a text.
//!
//! When a person presses the button, the person's client (such as the Teams app) sends this data to the bot.
//! The data has a MAC, because a client could change or invent the data. The data also contains the
//! conversation, because a client could copy the data into another conversation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::Mac;
use serde_json::{Map, Value, json};

use super::{Answers, QuestionKeys};

/// The member of a button's data that holds the fields of [`Press`].
pub(super) const MEMBER: &str = "proactivebot";

/// The length of a button's MAC, in bytes.
const MAC_BYTES: usize = 16;

/// The data in one button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Press {
    /// The id of the alert that a press answers.
    pub alert: String,
    /// The conversation to which the alert was sent, as a hash of the channel's id and the conversation's id.
    pub conversation: String,
    /// The id of the action.
    pub action: String,
    /// How many answers the question takes.
    pub answers: Answers,
    /// When the question ends.
    pub until: DateTime<Utc>,
    /// The alert id in the key of the answer's row in the ledger (the table of alerts and answers). `None` if
    /// this id is the same as `alert`. The two ids can differ if several alerts of an API call share one
    /// answer. The ledger then has one row for the answer, and the row's key contains the id of the first of
    /// these alerts.
    pub lead: Option<String>,
}

impl Press {
    fn bytes(&self) -> Vec<u8> {
        let until = self.until.timestamp().to_string();
        let parts = [&self.alert, &self.conversation, &self.action, self.answers.as_str(), until.as_str()];
        let mut bytes = Vec::new();
        for part in parts.into_iter().chain(self.lead.as_deref()) {
            // Without the lengths, ("ab", "c") and ("a", "bc") would have the same bytes.
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }

    /// The data as JSON: `{"proactivebot": {a, c, i, m, x, l?, s}}`. The member `s` is the MAC. The other
    /// members are the fields of [`Press`], in the same order.
    pub fn data(&self, keys: &QuestionKeys) -> Map<String, Value> {
        let mac = keys.mac(&self.bytes()).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
        let mac = URL_SAFE_NO_PAD.encode(&mac[..MAC_BYTES]);
        let mut data = json!({
            "a": self.alert, "c": self.conversation, "i": self.action, "m": self.answers.as_str(),
            "x": self.until.timestamp(), "s": mac,
        });
        if let Some(lead) = &self.lead {
            data["l"] = lead.as_str().into();
        }
        Map::from_iter([(MEMBER.to_owned(), data)])
    }

    /// Whether the data has the member `proactivebot`, as in every button of this bot. The function does not
    /// check the MAC.
    pub fn is_in(data: &Value) -> bool {
        data.get(MEMBER).is_some_and(Value::is_object)
    }

    /// Reads the data of a button. `None` if the data is malformed, or if none of `keys` made the MAC.
    pub fn of(data: &Value, keys: &QuestionKeys) -> Option<Self> {
        let data = data.get(MEMBER)?;
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let press = Self {
            alert: text("a")?.to_owned(),
            conversation: text("c")?.to_owned(),
            action: text("i")?.to_owned(),
            answers: Answers::from_word(text("m")?)?,
            until: DateTime::from_timestamp(data.get("x")?.as_i64()?, 0)?,
            lead: text("l").map(str::to_owned),
        };
        let mac = URL_SAFE_NO_PAD.decode(text("s")?).ok().filter(|mac| mac.len() == MAC_BYTES)?;
        keys.is_made(&press.bytes(), &mac).then_some(press)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press() -> Press {
        Press {
            alert: "0a26".into(),
            conversation: "625a".into(),
            action: "approve".into(),
            answers: Answers::One,
            until: DateTime::from_timestamp(1_795_471_200, 0).unwrap(),
            lead: None,
        }
    }

    #[test]
    fn button_that_was_changed_or_made_with_another_key_is_refused() {
        let (old, new) = ([[1; 32], [2; 32]], [[3; 32], [4; 32]]);
        let keys = QuestionKeys::new(&[old]);
        let data = Value::Object(press().data(&keys));
        assert_eq!(Press::of(&data, &keys), Some(press()));
        assert_eq!(Press::of(&data, &QuestionKeys::new(&[new, old])), Some(press()), "both keys are set");
        assert_eq!(Press::of(&data, &QuestionKeys::new(&[new])), None);
        assert_eq!(Press::of(&data, &QuestionKeys::new(&[])), None);
        assert!(Press::is_in(&data));
        let shared = Press { lead: Some("0a25".into()), ..press() };
        let mut of_shared = Value::Object(shared.data(&keys));
        assert_eq!(Press::of(&of_shared, &keys), Some(shared));
        of_shared[MEMBER].as_object_mut().unwrap().remove("l");
        assert_eq!(Press::of(&of_shared, &keys), None, "the MAC covers the member `l`");
        for (name, value) in [
            ("l", json!("0a25")),
            ("a", json!("0a27")),
            ("c", json!("625b")),
            ("i", json!("reject")),
            ("m", json!("many")),
            ("x", json!(1_795_471_201)),
            ("s", json!("")),
            ("s", json!("AAAAAAAAAAAAAAAAAAAAAA")),
            ("s", Value::Null),
            ("x", json!("soon")),
            ("m", json!("none")),
        ] {
            let mut changed = data.clone();
            changed[MEMBER][name] = value;
            assert_eq!(Press::of(&changed, &keys), None, "{name}");
        }
        for other in [json!({}), json!({MEMBER: 1}), json!([]), Value::Null] {
            assert!(!Press::is_in(&other) && Press::of(&other, &keys).is_none(), "{other}");
        }
    }
}
