//! The field `keyed` of an envelope. With this field, an envelope can change or delete a chat message that
//! the conversation already shows. An *alert key* is the member `key` of an API call. Alerts with the same
//! alert key report the same problem, and usually share one chat message.

use bot_framework::json::{FieldError, Fields, put};
use serde_json::{Map, Value};

const FIELD: &str = "keyed";
const ID_FORM: &str = "32 hexadecimal digits in lower case";

/// The rules for a chat message that the conversation already shows. There are three kinds of envelopes with
/// this field:
///
/// - An alert with an alert key. If the conversation shows an alert with the same alert key in the state
///   `firing`, the poller follows the rule in `again`.
/// - A change of an earlier alert (`edits`). The poller changes the chat message of the earlier alert.
/// - An envelope that takes an earlier alert back (`takesBack`). The poller deletes the chat message of the
///   earlier alert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keyed {
    /// `key`: a hash of the sender's name and the alert key. `None` if the alert has no alert key. An
    /// envelope that changes an alert, or takes an alert back, has the `key` of that alert.
    pub key: Option<String>,
    /// `at`: a time in milliseconds since 1970. This time orders the alerts with the same alert key. Usually,
    /// `at` is the time at which the bot accepted the alert. If the alert is due later, `at` is the due time.
    /// An envelope that changes an alert, or takes an alert back, has the `at` of that alert.
    pub at: i64,
    /// `state`: whether the reported problem still lasts.
    pub state: KeyState,
    /// `again`: the rule for this alert, if the conversation already shows an alert with the same alert key
    /// in the state `firing`.
    pub again: Again,
    /// `notify`: whether the poller also sends a short reply after it has changed a chat message. The reply
    /// tells people about the change, because channels do not notify people of a changed chat message.
    pub notify: bool,
    /// `edits`: the id of the alert whose chat message this envelope changes.
    pub edits: Option<String>,
    /// `takesBack`: the id of the alert whose chat message the poller has to delete. An envelope with
    /// `takesBack` has no text.
    pub takes_back: Option<String>,
}

/// Whether the problem that an alert reports still lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyState {
    /// The default: the problem lasts. The next alert with the same alert key follows its own rule `again`.
    #[default]
    Firing,
    /// The problem has ended. The next alert with the same alert key is a new chat message.
    Resolved,
}

/// The rule for a new alert, if the conversation shows an alert with the same alert key in the state
/// `firing`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Again {
    /// The default: change the chat message.
    #[default]
    Update,
    /// Reply in the thread of the chat message.
    Reply,
    /// Send a new chat message.
    New,
    /// Send nothing. Exception: an alert with the state `resolved` changes the chat message.
    Skip,
}

impl KeyState {
    /// Reads the value of the field: `firing` or `resolved`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Firing, Self::Resolved].into_iter().find(|state| state.as_str() == word)
    }

    /// Takes the field `state`.
    pub fn take(fields: &mut Fields) -> Result<Self, FieldError> {
        let Some(word) = fields.string("state")? else { return Ok(Self::default()) };
        Self::from_word(&word).ok_or_else(|| fields.error("state", "`firing` or `resolved`"))
    }

    /// The word for this state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

impl Again {
    /// Reads the value of the field: `update`, `reply`, `new` or `skip`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Update, Self::Reply, Self::New, Self::Skip].into_iter().find(|again| again.as_str() == word)
    }

    /// Takes the field `again`.
    pub fn take(fields: &mut Fields) -> Result<Self, FieldError> {
        let Some(word) = fields.string("again")? else { return Ok(Self::default()) };
        Self::from_word(&word).ok_or_else(|| fields.error("again", "`update`, `reply`, `new` or `skip`"))
    }

    /// The word for this rule.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Reply => "reply",
            Self::New => "new",
            Self::Skip => "skip",
        }
    }

    /// Whether a new alert with this rule replaces an older alert with the same alert key, if the older alert
    /// is still on the queue. With the other rules, the poller sends both alerts.
    pub fn replaces(self) -> bool {
        matches!(self, Self::Update | Self::Skip)
    }
}

impl Keyed {
    /// Returns the id of the alert that this envelope changes or takes back. For every other envelope,
    /// returns `own`, the envelope's id. If two alerts have the same `at`, the poller orders the alerts by
    /// this id.
    pub fn subject<'a>(&'a self, own: &'a str) -> &'a str {
        self.edits.as_deref().or(self.takes_back.as_deref()).unwrap_or(own)
    }

    /// Returns the JSON of this value, without `at`, `edits` and `takesBack`. The ledger (the table of all
    /// alerts) stores this JSON in the record of the alert. If a program later changes the alert, or takes
    /// the alert back, the new envelope gets the `key`, `state` and `again` from this JSON.
    pub fn to_note(&self) -> String {
        let note = Self { at: 0, edits: None, takes_back: None, ..self.clone() };
        Value::Object(note.to_json()).to_string()
    }

    /// Reads the JSON that [`Keyed::to_note`] wrote. Returns `None` if the JSON cannot be read.
    pub fn from_note(note: &str) -> Option<Self> {
        Self::read(Fields::parse(note.as_bytes()).ok()?).ok()
    }

    pub(crate) fn take(fields: &mut Fields) -> Result<Option<Self>, FieldError> {
        fields.object(FIELD)?.map(Self::read).transpose()
    }

    fn read(mut fields: Fields) -> Result<Self, FieldError> {
        let mut name = |member: &str| match fields.string(member)? {
            Some(name) if !is_name(&name) => Err(fields.error(member, ID_FORM)),
            name => Ok(name),
        };
        let (key, edits, takes_back) = (name("key")?, name("edits")?, name("takesBack")?);
        let at = match fields.take("at") {
            None => 0,
            Some(at) => at.as_i64().ok_or_else(|| fields.error("at", "whole milliseconds since 1970"))?,
        };
        let (state, again) = (KeyState::take(&mut fields)?, Again::take(&mut fields)?);
        Ok(Self { key, at, state, again, notify: fields.boolean("notify")?, edits, takes_back })
    }

    pub(crate) fn put(keyed: Option<&Self>, object: &mut Map<String, Value>) {
        put(object, FIELD, keyed.map(Self::to_json));
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut json = Map::new();
        put(&mut json, "key", self.key.as_deref());
        put(&mut json, "at", Some(self.at).filter(|at| *at != 0));
        put(&mut json, "state", Some(self.state.as_str()).filter(|_| self.state != KeyState::default()));
        put(&mut json, "again", Some(self.again.as_str()).filter(|_| self.again != Again::default()));
        put(&mut json, "notify", self.notify.then_some(true));
        put(&mut json, "edits", self.edits.as_deref());
        put(&mut json, "takesBack", self.takes_back.as_deref());
        json
    }
}

/// Whether a text has 32 hexadecimal digits in lower case, like the ids of alerts and the hashes of alert
/// keys. Other texts are refused, because ids and hashes become parts of row keys in tables.
fn is_name(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    fn read(json: &Value) -> Result<Option<Keyed>, String> {
        let mut fields = Fields::parse(json!({"keyed": json}).to_string().as_bytes()).unwrap();
        Keyed::take(&mut fields).map_err(|error| error.to_string())
    }

    #[test]
    fn keyed_of_any_kind_is_the_same_after_encoding_and_decoding() {
        let key = || Some(KEY.to_owned());
        for keyed in [
            Keyed { key: key(), at: 1_795_471_200_123, ..Keyed::default() },
            Keyed { key: key(), at: 1, state: KeyState::Resolved, notify: true, ..Keyed::default() },
            Keyed { key: key(), again: Again::Reply, ..Keyed::default() },
            Keyed { key: key(), again: Again::New, ..Keyed::default() },
            Keyed { key: key(), again: Again::Skip, ..Keyed::default() },
            Keyed { edits: Some(OTHER.into()), at: 7, ..Keyed::default() },
            Keyed { key: key(), takes_back: Some(OTHER.into()), ..Keyed::default() },
        ] {
            let mut object = Map::new();
            Keyed::put(Some(&keyed), &mut object);
            assert_eq!(read(&object["keyed"]).unwrap(), Some(keyed.clone()), "{object:?}");
            let note = Keyed::from_note(&keyed.to_note()).unwrap();
            assert_eq!(note, Keyed { at: 0, edits: None, takes_back: None, ..keyed });
        }
        let mut object = Map::new();
        Keyed::put(None, &mut object);
        assert!(object.is_empty(), "an alert without an alert key has no field `keyed`: {object:?}");
    }

    #[test]
    fn wrong_member_of_keyed_is_refused_with_the_path_of_the_member() {
        for (json, path) in [
            (json!([]), "keyed"),
            (json!({"key": 7}), "keyed.key"),
            (json!({"key": "disk"}), "keyed.key"),
            (json!({"key": KEY.to_uppercase()}), "keyed.key"),
            (json!({"edits": "../x"}), "keyed.edits"),
            (json!({"takesBack": ""}), "keyed.takesBack"),
            (json!({"at": "now"}), "keyed.at"),
            (json!({"at": 0.5}), "keyed.at"),
            (json!({"state": "over"}), "keyed.state"),
            (json!({"again": "Update"}), "keyed.again"),
            (json!({"notify": "yes"}), "keyed.notify"),
        ] {
            let error = read(&json).expect_err(&json.to_string());
            assert!(error.starts_with(&format!("{path}: ")), "{json}: {error}");
        }
    }

    #[test]
    fn alert_whose_rule_is_update_or_skip_replaces_a_waiting_alert() {
        let replacing = |word| Again::from_word(word).unwrap().replaces();
        assert_eq!(["update", "skip", "reply", "new"].map(replacing), [true, true, false, false]);
    }
}
