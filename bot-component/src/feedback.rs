//! Records the feedback of people on Teams to the bot's messages: read receipts, reactions and replies.
//!
//! If the app has the permission `ChatMessageReadReceipt.Read.Chat`, Teams sends a read receipt as an event
//! in personal chats. Teams reports a reaction only to the bot that sent the message.
//!
//! A person replies by pressing a button on the bot's card, or by writing in a thread of a Teams channel.
//! This file counts a press only if the press arrives as an activity of the type `message`, not `invoke`. The
//! activity's `replyToId` names the chat message that gets the reply. For each such chat message, one row in
//! the table of conversations counts the replies and the reactions. The bot makes this row even if a person,
//! and not the bot, wrote the chat message that gets the reply. A row is valid for seven days after the last
//! reply or reaction. The bot keeps at most 20 rows for each conversation.
//!
//! Source: <https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/conversation-messages>.

use std::time::Duration;

use bot_framework::{Activity, ActivityKind, ConversationReference, vouches_for_identity};
use chrono::{DateTime, Utc};
use platform::{Deadline, Host, Level};
use serde_json::{Value, json};
use state::{ConversationKey, MessageNumber, Response};

use crate::conversation::Addressed;
use crate::settings::BotSettings;

const READ_RECEIPT: &str = "application/vnd.microsoft.readReceipt";

/// The separator in the conversation id of a thread: `<id of the Teams channel>;messageid=<id of the first
/// message>`.
const OF_THREAD: &str = ";messageid=";

/// The longest time for recording feedback.
const RECORD_WITHIN: Duration = Duration::from_secs(3);

/// The feedback in one activity.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Feedback<'a> {
    /// The person has read this chat message, and all earlier chat messages.
    Read(MessageNumber),
    /// People reacted or replied to a chat message in the conversation with this key.
    ReactionOrReply(ConversationKey, Response<'a>),
}

/// Records the feedback in an activity. If the activity replies to a question that people can still answer,
/// returns the id of the alert with this question. Otherwise, returns `None`. The bot only logs a failure,
/// because handling the person's message matters more than the feedback. For an activity without feedback,
/// the bot makes no storage call.
pub(crate) async fn note<H: Host>(
    host: &H,
    settings: &BotSettings,
    activity: &Activity,
    conversation: &Addressed,
) -> Option<String> {
    let feedback = feedback_of(activity, conversation, host.now())?;
    let conversations = settings.conversations(host, Deadline::after(host, RECORD_WITHIN));
    let result = match feedback {
        Feedback::Read(message) => conversations.record_read(&conversation.key, message).await.map(|()| None),
        Feedback::ReactionOrReply(key, response) => conversations.record_response(&key, response).await,
    };
    result.unwrap_or_else(|error| {
        let fields = json!({"conversation": conversation.key.as_str(), "reason": error.to_string()});
        host.event(Level::Warn, "feedback.not-recorded", fields);
        None
    })
}

/// Reads the feedback in an activity. Returns `None` if the activity has no feedback, or if the messaging
/// service (`channelId`, for example `webchat`) does not verify who sends an activity.
fn feedback_of<'a>(
    activity: &'a Activity,
    Addressed { address, key }: &Addressed,
    now: DateTime<Utc>,
) -> Option<Feedback<'a>> {
    if !vouches_for_identity(&address.channel_id) {
        return None;
    }
    let (reactions, replies) = match &activity.kind {
        ActivityKind::Event if activity.rest.get("name")? == READ_RECEIPT => {
            let is_personal = address.conversation.conversation_type() == Some("personal");
            let read = number(activity.rest.get("value")?.get("lastReadMessageId")?)?;
            return is_personal.then_some(Feedback::Read(read));
        }
        ActivityKind::Message => (0, 1),
        ActivityKind::MessageReaction => {
            (count(activity, "reactionsAdded") - count(activity, "reactionsRemoved"), 0)
        }
        _ => return None,
    };
    let message = number(activity.rest.get("replyToId")?)?;
    let is_by_a_program = activity.from.as_ref().is_some_and(|from| from.is_program());
    if is_by_a_program || !message.is_recent(now) || (reactions, replies) == (0, 0) {
        return None;
    }
    let response = Response { message, reactions, replies, cause: activity.id.as_deref() };
    let key = key_of_first_message(address, message).unwrap_or_else(|| key.clone());
    Some(Feedback::ReactionOrReply(key, response))
}

/// Returns the conversation key of the Teams channel if `message` is the first message of a thread.
/// Otherwise, returns `None`.
///
/// The first message can be an alert to the Teams channel. Reactions and replies to this alert arrive as
/// activities with the address of the thread. But the row that counts these reactions and replies has the
/// conversation key of the Teams channel.
fn key_of_first_message(address: &ConversationReference, message: MessageNumber) -> Option<ConversationKey> {
    let (channel, first) = address.conversation.id.split_once(OF_THREAD)?;
    if MessageNumber::parse(first) != Some(message) {
        return None;
    }
    let mut address = address.clone();
    address.conversation.id = channel.to_owned();
    Some(ConversationKey::of(&address))
}

/// Reads the id of a chat message from a JSON string or a JSON number.
fn number(id: &Value) -> Option<MessageNumber> {
    match id {
        Value::String(id) => MessageNumber::parse(id),
        Value::Number(id) => MessageNumber::parse(&id.to_string()),
        _ => None,
    }
}

fn count(activity: &Activity, name: &str) -> i32 {
    let reactions = activity.rest.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    i32::try_from(reactions).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use platform::Clock;
    use platform::testing::run;
    use state::Reception;

    use super::*;
    use crate::testing::Stage;

    const CHANNEL: &str = "19:c@thread.tacv2";
    /// The time of the fake host's clock, in milliseconds since 1970.
    const NOW: &str = "1795471200000";

    fn activity(change: &Value) -> Activity {
        let mut json = json!({
            "type": "message", "id": "1795471200001", "channelId": "msteams", "serviceUrl": "https://x/",
            "from": {"id": "29:u"}, "recipient": {"id": "28:b"},
            "conversation": {"id": "a:1", "conversationType": "personal", "tenantId": "t"},
        });
        json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Activity::parse(json.to_string().as_bytes()).unwrap()
    }

    fn receipt(id: &Value) -> Value {
        json!({"type": "event", "name": READ_RECEIPT, "value": {"lastReadMessageId": id}})
    }

    fn with(mut json: Value, name: &str, value: Value) -> Value {
        json[name] = value;
        json
    }

    fn feedback(change: &Value) -> Option<(String, i32, i32)> {
        let activity = activity(change);
        let addressed = Addressed::of(&activity, true).unwrap();
        let now = Stage::new().host.now();
        feedback_of(&activity, &addressed, now).map(|feedback| match feedback {
            Feedback::Read(message) => (format!("read {message}"), 0, 0),
            Feedback::ReactionOrReply(key, response) => {
                let owner = if key == addressed.key { "own" } else { "channel" };
                (format!("{owner} {}", response.message), response.reactions, response.replies)
            }
        })
    }

    #[test]
    fn read_receipt_counts_only_in_a_personal_chat_of_teams() {
        let read = Some(("read 1000".to_owned(), 0, 0));
        let group = json!({"id": "19:g", "conversationType": "groupChat"});
        let value = |value: Value| with(receipt(&json!("1000")), "value", value);
        for (change, expected) in [
            (receipt(&json!("1000")), read.clone()),
            (receipt(&json!(1000)), read),
            (receipt(&json!("x")), None),
            (receipt(&json!("-5")), None),
            (receipt(&json!(-5)), None),
            (receipt(&json!(1000.5)), None),
            (receipt(&json!(null)), None),
            (receipt(&json!(["1000"])), None),
            (value(json!(null)), None),
            (value(json!("1000")), None),
            (value(json!([])), None),
            (with(receipt(&json!("1000")), "name", json!("readReceipt")), None),
            (with(receipt(&json!("1000")), "name", json!(null)), None),
            (with(receipt(&json!("1000")), "type", json!("message")), None),
            (with(receipt(&json!("1000")), "type", json!("trigger")), None),
            (with(receipt(&json!("1000")), "channelId", json!("webchat")), None),
            (with(receipt(&json!("1000")), "channelId", json!("emulator")), None),
            (with(receipt(&json!("1000")), "conversation", group), None),
            (with(receipt(&json!("1000")), "conversation", json!({"id": "a:1"})), None),
        ] {
            assert_eq!(feedback(&change), expected, "{change}");
        }
    }

    #[test]
    fn id_of_the_counted_message_comes_from_the_member_replytoid() {
        let reaction =
            json!({"type": "messageReaction", "replyToId": NOW, "reactionsAdded": [{"type": "like"}]});
        let thread =
            |id: &str| json!({"id": format!("{CHANNEL};messageid={id}"), "conversationType": "channel"});
        let own = |reactions, replies| Some((format!("own {NOW}"), reactions, replies));
        for (change, expected) in [
            (reaction.clone(), own(1, 0)),
            (with(reaction.clone(), "reactionsAdded", json!([{}, {}])), own(2, 0)),
            (with(reaction.clone(), "reactionsRemoved", json!([{"type": "heart"}])), None),
            (json!({"type": "messageReaction", "replyToId": NOW, "reactionsRemoved": [{}]}), own(-1, 0)),
            (with(reaction.clone(), "reactionsAdded", json!("like")), None),
            (with(reaction.clone(), "replyToId", json!(null)), None),
            (with(reaction.clone(), "replyToId", json!("1:abc")), None),
            // This chat message is more than seven days old. The bot keeps the record of an alert for only
            // seven days, so the bot ignores the reaction.
            (with(reaction.clone(), "replyToId", json!("1794866399999")), None),
            (with(reaction.clone(), "channelId", json!("webchat")), None),
            (with(reaction.clone(), "from", json!({"id": "28:x", "role": "bot"})), None),
            (with(reaction.clone(), "conversation", thread("5")), own(1, 0)),
            (with(reaction, "conversation", thread(NOW)), Some((format!("channel {NOW}"), 1, 0))),
            (json!({"replyToId": NOW}), own(0, 1)),
            (json!({"replyToId": NOW, "value": {"a": 1}}), own(0, 1)),
            (json!({"replyToId": NOW, "channelId": "directline"}), None),
            (json!({"replyToId": ""}), None),
            (json!({}), None),
            (json!({"type": "invoke", "replyToId": NOW}), None),
            (json!({"type": "typing", "replyToId": NOW}), None),
        ] {
            assert_eq!(feedback(&change), expected, "{change}");
        }
        let thread = activity(&json!({"conversation": thread(NOW)}));
        let channel = activity(&json!({"conversation": {"id": CHANNEL, "conversationType": "channel"}}));
        let address = |activity: &Activity| ConversationReference::of(activity).unwrap();
        let first = key_of_first_message(&address(&thread), MessageNumber::parse(NOW).unwrap());
        assert_eq!(first, Some(ConversationKey::of(&address(&channel))));
    }

    fn receive(stage: &Stage, change: &Value) {
        let activity = activity(change);
        let addressed = Addressed::of(&activity, true).unwrap();
        run(crate::conversation::record_effect(&stage.host, &stage.settings, &activity, &addressed)).unwrap();
        run(note(&stage.host, &stage.settings, &activity, &addressed));
    }

    #[test]
    fn read_receipt_costs_one_write_at_most_and_message_without_feedback_costs_no_storage_call() {
        let stage = Stage::new();
        receive(&stage, &json!({}));
        let calls = stage.calls();
        receive(&stage, &json!({"id": "2"}));
        receive(&stage, &json!({"type": "event", "name": "other"}));
        assert_eq!(stage.calls(), calls, "storage calls for activities without feedback");
        receive(&stage, &receipt(&json!("1000")));
        let methods = |from: usize| -> Vec<String> {
            stage.host.sent.borrow()[from..].iter().map(|request| request.method().to_string()).collect()
        };
        let sent = methods(calls);
        assert_eq!(sent.iter().filter(|method| *method != "GET").count(), 1, "{sent:?}");
        let calls = stage.calls();
        receive(&stage, &receipt(&json!("999")));
        assert_eq!(methods(calls), ["GET"]);
        let feedback =
            run(stage.conversations().feedback(&Addressed::of(&activity(&json!({})), true).unwrap().key));
        let expected = Reception { seen_at: Some(stage.host.now()), ..Reception::default() };
        assert_eq!(feedback.unwrap().of("1000"), expected);
    }

    #[test]
    fn failure_to_record_feedback_is_only_logged() {
        let stage = Stage::new();
        receive(&stage, &json!({}));
        stage.refuse_tables();
        receive(&stage, &receipt(&json!("1000")));
        receive(&stage, &json!({"replyToId": NOW}));
        assert_eq!(stage.host.events("feedback.not-recorded").len(), 2);
    }
}
