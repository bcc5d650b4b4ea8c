//! Turns one alert from the payload of another program into an [`AlertCall`]. The bot then handles the alert
//! as if the program had called `POST /api/alerts`.

use alert_shapes::{ShapedAlert, State};
use envelope::{Again, KeyState};
use platform::name_of;
use serde_json::{Map, Value};

use super::super::activity::attachments_of;
use super::super::body::{AlertCall, Identity};
use super::super::keyed::KeyedCall;
use super::super::to::To;

/// The fingerprint in the [`Identity`] of an alert, if the posting program gave the alert an id.
/// For calls of `POST /api/alerts`, the fingerprint is a hash of the body: the bot refuses a second call with
/// the same idempotency key but another body. But two posts with the same id report the same alert, even if
/// their bodies differ. So here the fingerprint is a constant.
const SAME_BY_ID: &str = "by id";

/// Makes the [`AlertCall`] that sends an alert to the targets `to`.
pub(super) fn call_of(alert: &ShapedAlert, to: Vec<To>) -> AlertCall {
    let mut activity = Map::new();
    if let Value::Object(card) = &alert.card {
        activity.insert("attachments".into(), attachments_of(card.clone()));
    }
    activity.insert("summary".into(), alert.summary.as_str().into());
    if alert.importance_high {
        activity.insert("importance".into(), "high".into());
    }
    let keyed = alert.key.clone().map(|key| KeyedCall {
        key,
        state: match alert.state {
            State::Resolved => KeyState::Resolved,
            State::Firing | State::None => KeyState::Firing,
        },
        again: Again::default(),
        notify: false,
    });
    AlertCall { activity, keyed, ..AlertCall::new(to, "") }
}

/// Returns the identity of an alert, or `None` if the posting program gave the alert no id. If the program
/// repeats a post, the bot recognises the alert by its identity, and does not send the alert again. `sender`
/// is the name of the caller, for example the name of the API key. `targets` is a text that names the targets
/// of the post.
pub(super) fn identity_of(alert: &ShapedAlert, sender: &str, targets: &str) -> Option<Identity> {
    let id = alert.idempotency_key.as_deref()?;
    Some(Identity {
        key_name: sender.to_owned(),
        idempotency_key: name_of(&["shape", targets, id]),
        fingerprint: SAME_BY_ID.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alert(state: State) -> ShapedAlert {
        ShapedAlert {
            summary: "disk is full".into(),
            card: json!({"type": "AdaptiveCard"}),
            key: Some("disk".into()),
            state,
            idempotency_key: Some("1".into()),
            importance_high: true,
            left_out: Vec::new(),
        }
    }

    #[test]
    fn call_has_the_card_the_summary_and_the_key_of_the_alert() {
        let call = call_of(&alert(State::Resolved), Vec::new());
        let expected = json!({
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive", "content": {"type": "AdaptiveCard"},
            }],
            "summary": "disk is full", "importance": "high",
        });
        assert_eq!((Value::Object(call.activity), call.text.as_str()), (expected, ""));
        let keyed = call.keyed.unwrap();
        assert_eq!((keyed.key.as_str(), keyed.state), ("disk", KeyState::Resolved));
        assert_eq!(call_of(&alert(State::None), Vec::new()).keyed.unwrap().state, KeyState::Firing);
        let plain = ShapedAlert { key: None, importance_high: false, ..alert(State::Firing) };
        let call = call_of(&plain, Vec::new());
        assert!(call.keyed.is_none() && !call.activity.contains_key("importance"));
    }

    #[test]
    fn identity_depends_on_the_id_in_the_post_and_on_the_targets() {
        let of = |sender: &str, targets: &str| identity_of(&alert(State::None), sender, targets).unwrap();
        let key = |sender, targets| of(sender, targets).idempotency_key;
        assert_eq!(key("ci", "tag=a"), key("ci", "tag=a"));
        assert_ne!(key("ci", "tag=a"), key("ci", "tag=b"));
        assert_eq!(of("ci", "x").key_name, "ci");
        let without = ShapedAlert { idempotency_key: None, ..alert(State::None) };
        assert!(identity_of(&without, "ci", "x").is_none());
    }
}
