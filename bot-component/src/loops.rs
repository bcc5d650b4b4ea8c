//! Messages that are not answered, because an answer would be answered in turn, and that again; or because they are not
//! said to the bot.

use bot_framework::{Activity, ActivityKind, ConversationReference};
use envelope::words;
use platform::{Host, Level};
use serde_json::json;
use state::ConversationKey;

/// Whether a message comes from a program, is the bot's own, or is a group's talk: then nobody is answered, and the log says
/// why. The address book learns nothing: a channel has a conversation for each thread, and only those in which the bot was
/// spoken to are to be alerted.
pub(crate) fn is_ignored(host: &impl Host, activity: &Activity) -> bool {
    let Some(reason) = why(activity) else { return false };
    let conversation = ConversationReference::of(activity).map(|address| ConversationKey::of(&address));
    let conversation = conversation.as_ref().map(ConversationKey::as_str).unwrap_or_default();
    host.event(Level::Info, "message.ignored", json!({"conversation": conversation, "reason": reason}));
    true
}

fn why(activity: &Activity) -> Option<&'static str> {
    if activity.kind != ActivityKind::Message {
        return None;
    }
    if activity.from.as_ref().is_some_and(|from| from.is_program()) {
        return Some("its sender is a bot");
    }
    if !activity.is_for_the_bot() {
        return Some("it does not mention the bot");
    }
    words::are_own(&activity.text_to_the_bot()).then_some("it begins with the bot's own words")
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn bots_echoes_and_talk_of_groups_are_ignored_and_people_are_not() {
        let mention = json!({
            "text": "<at>Bot</at> > Queued: tea",
            "entities": [{"type": "mention", "mentioned": {"id": "b"}, "text": "<at>Bot</at>"}],
        });
        for (change, expected) in [
            (json!({}), false),
            (json!({"from": {"id": "u", "role": "user"}}), false),
            (json!({"from": {"id": "u", "role": "Bot"}}), true),
            (json!({"from": {"id": "u", "role": "skill"}}), true),
            (json!({"from": {"id": "u", "role": "bot"}, "text": "stop"}), true),
            (json!({"from": {"id": "u", "role": "bot"}, "type": "conversationUpdate"}), false),
            (json!({"text": "Queued: tea"}), true),
            (json!({"text": "  > alert: tea"}), true),
            (json!({"text": null}), false),
            (mention, true),
            (json!({"conversation": {"id": "c", "isGroup": true}}), true),
            (json!({"conversation": {"id": "c", "isGroup": true}, "type": "messageReaction"}), false),
            (json!({"conversation": {"id": "c", "isGroup": true}, "text": "@b tea"}), false),
        ] {
            let mut json = json!({
                "type": "message", "channelId": "x", "conversation": {"id": "c"}, "recipient": {"id": "b"},
                "from": {"id": "u"}, "text": "tea",
            });
            json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let activity = Activity::parse(Value::to_string(&json).as_bytes()).unwrap();
            let host = FakeHost::default();
            assert_eq!(is_ignored(&host, &activity), expected, "{change}");
            assert_eq!(host.events("message.ignored").len(), usize::from(expected), "{change}");
        }
    }
}
