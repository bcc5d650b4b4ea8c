//! The members `key`, `state`, `again` and `notify` of an API call. The `key` (the *alert key*) names the
//! problem that the alert reports. By default, a new alert changes the chat message of the previous alert
//! with the same alert key. After an alert with the state `resolved`, the next alert is a new chat message.

use bot_framework::json::{FieldError, Fields};
use chrono::{DateTime, Utc};
use envelope::{Again, KeyState, Keyed};
use platform::name_of;

/// The longest `key` of an alert, in characters.
const MAX_KEY_CHARACTERS: usize = 200;

const WITHOUT_A_KEY: &str = "no value, because the call has no `key`; add a `key` or leave this out";

/// The alert key of an alert, and the rules for the chat message of the previous alert with the same alert
/// key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyedCall {
    /// The alert key, such as `disk/db-7`. The calling program chooses the alert key.
    pub(super) key: String,
    /// Whether the problem lasts (firing) or has ended (resolved).
    pub(super) state: KeyState,
    /// The rule for this alert, if the conversation already shows a firing alert with the same alert key. The
    /// rules are: change the chat message, reply to the chat message, send a new chat message, or send
    /// nothing.
    pub(super) again: Again,
    /// Whether the poller also sends a reply after a change of a chat message. The reply tells people about
    /// the change, because channels (messaging services such as Teams) notify no person of a change.
    pub(super) notify: bool,
}

impl KeyedCall {
    /// Makes the members of a firing alert with this alert key, and with the default rules.
    #[cfg(test)]
    pub(super) fn firing(key: &str) -> Self {
        let (state, again, notify) = (KeyState::default(), Again::default(), false);
        Self { key: key.to_owned(), state, again, notify }
    }

    /// Takes the members out of a body. Returns `None` if the call has no `key`.
    pub(super) fn take(fields: &mut Fields) -> Result<Option<Self>, FieldError> {
        let key = fields.string("key")?;
        if key.is_none() {
            let others = ["state", "again", "notify"];
            let other = others.into_iter().find(|name| fields.take(name).is_some());
            return other.map_or(Ok(None), |other| Err(fields.error(other, WITHOUT_A_KEY)));
        }
        let key = key.filter(|key| (1..=MAX_KEY_CHARACTERS).contains(&key.chars().count()));
        let key = key.ok_or_else(|| fields.error("key", "1 to 200 characters"))?;
        let (state, again) = (KeyState::take(fields)?, Again::take(fields)?);
        Ok(Some(Self { key, state, again, notify: fields.boolean("notify")? }))
    }

    /// Makes the field `keyed` of the envelope (the JSON of an alert on the queue). `sender` is the name of
    /// the caller, for example the name of the API key. The envelope holds one hash of `sender` and the alert
    /// key. So callers with different names cannot change each other's chat messages.
    pub(super) fn keyed(
        &self,
        sender: &str,
        accepted_at: DateTime<Utc>,
        due: Option<DateTime<Utc>>,
    ) -> Keyed {
        Keyed {
            key: Some(name_of(&["key", sender, &self.key])),
            at: place(accepted_at, due),
            state: self.state,
            again: self.again,
            notify: self.notify,
            ..Keyed::default()
        }
    }
}

/// Returns the place of an alert in the order of the alerts with the same alert key. The place is a time in
/// milliseconds since 1970: the due time, or the time at which the bot accepted the alert. The function takes
/// the later of these two times.
pub(super) fn place(accepted_at: DateTime<Utc>, due: Option<DateTime<Utc>>) -> i64 {
    due.map_or(accepted_at, |due| due.max(accepted_at)).timestamp_millis()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn take(body: &Value) -> Result<Option<KeyedCall>, String> {
        let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        KeyedCall::take(&mut fields).map_err(|error| error.to_string())
    }

    #[test]
    fn members_of_a_keyed_alert_are_read_and_the_error_names_a_wrong_member() {
        assert_eq!(take(&json!({})), Ok(None));
        assert_eq!(take(&json!({"key": null, "state": null})), Ok(None));
        let firing = KeyedCall::firing("disk/db-7");
        assert_eq!(take(&json!({"key": "disk/db-7"})), Ok(Some(firing.clone())));
        let all = json!({"key": "disk/db-7", "state": "resolved", "again": "reply", "notify": true});
        let (state, again) = (KeyState::Resolved, Again::Reply);
        assert_eq!(take(&all), Ok(Some(KeyedCall { state, again, notify: true, ..firing })));
        for (body, path) in [
            (json!({"key": ""}), "key"),
            (json!({"key": "x".repeat(201)}), "key"),
            (json!({"key": 7}), "key"),
            (json!({"key": "x", "state": "over"}), "state"),
            (json!({"key": "x", "again": "never"}), "again"),
            (json!({"key": "x", "notify": "yes"}), "notify"),
            (json!({"state": "resolved"}), "state"),
            (json!({"again": "new"}), "again"),
            (json!({"notify": true}), "notify"),
        ] {
            let error = take(&body).expect_err(&body.to_string());
            assert!(error.starts_with(&format!("{path}: ")), "{body}: {error}");
        }
        assert!(take(&json!({"key": "ü".repeat(200)})).is_ok());
    }

    #[test]
    fn stored_key_differs_by_sender_and_the_place_is_the_later_of_acceptance_and_due_time() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (accepted, due) = (at("2026-11-29T10:00:00Z"), at("2026-11-29T10:00:07.5Z"));
        let call = KeyedCall::firing("disk");
        let keyed = call.keyed("ci", accepted, None);
        assert_ne!(keyed.key, call.keyed("shop", accepted, None).key);
        assert_eq!(keyed.at, accepted.timestamp_millis());
        assert_eq!(call.keyed("ci", accepted, Some(due)).at, due.timestamp_millis());
        assert_eq!(
            call.keyed("ci", due, Some(accepted)).at,
            due.timestamp_millis(),
            "accepted after the due time"
        );
    }
}
