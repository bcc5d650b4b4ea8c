//! Decides which incoming messages the bot ignores. The bot puts no alert on the queue for an ignored
//! message, and sends no reply.
//!
//! The bot ignores messages of programs, because two programs that reply to each other never stop. For the
//! same reason, the bot ignores messages that begin like one of its own texts, for example with `Queued:`. In
//! a group, the bot also ignores messages that do not mention the bot.

use bot_framework::{Activity, ActivityKind, ConversationReference};
use envelope::words;
use platform::{Host, Level};
use serde_json::json;
use state::ConversationKey;

/// Whether the bot ignores a message. Logs the reason. `text` is [`Activity::text_to_the_bot`].
///
/// The bot does not record the conversation of an ignored message. For example, each thread in a Teams
/// channel is a conversation, and the bot records a thread only if a person has mentioned the bot there.
pub(crate) fn is_ignored(host: &impl Host, activity: &Activity, text: &str) -> bool {
    let Some(reason) = reason_to_ignore(activity, text) else { return false };
    let conversation = ConversationReference::of(activity).map(|address| ConversationKey::of(&address));
    let conversation = conversation.as_ref().map(ConversationKey::as_str).unwrap_or_default();
    host.event(Level::Info, "message.ignored", json!({"conversation": conversation, "reason": reason}));
    true
}

fn reason_to_ignore(activity: &Activity, text: &str) -> Option<&'static str> {
    if activity.kind != ActivityKind::Message {
        return None;
    }
    if activity.from.as_ref().is_some_and(|from| from.is_program()) {
        return Some("the sender is a program");
    }
    if !activity.is_for_the_bot() {
        return Some("the message does not mention the bot");
    }
    words::are_own(text).then_some("the message begins with the bot's own words")
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn bot_ignores_programs_the_bots_own_texts_and_group_messages_without_a_mention() {
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
            assert_eq!(is_ignored(&host, &activity, &activity.text_to_the_bot()), expected, "{change}");
            assert_eq!(host.events("message.ignored").len(), usize::from(expected), "{change}");
        }
    }
}
