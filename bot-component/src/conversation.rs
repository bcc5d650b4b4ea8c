//! Records, pauses and deletes conversations. A *channel* is Teams or another messaging service. An
//! *activity* is a call by the channel to the bot, for example with a person's message.
//!
//! The table of conversations has one record for each conversation. In the key-value store, the bot keeps a
//! *fingerprint* of the record: hashes of the record's content. From the fingerprint, the bot sees whether an
//! activity would change the record. If the activity changes nothing, the bot does not call the table
//! service.
//!
//! A *paused* conversation gets no alerts, because the channel reported that it cannot reach the person. The
//! pause ends when the person writes, or after a day.

use std::time::Duration;

use bot_framework::json::FieldError;
use bot_framework::{Activity, ActivityKind, ConversationReference};
use platform::{Deadline, Host, Level};
use serde_json::json;
use state::runs::Withdrawal;
use state::{
    ConversationKey, Conversations, Fingerprint, PAUSED_FOR, Recorded, Sign, StateError, fingerprint_key,
};

use crate::clock;
use crate::rejection::Rejection;
use crate::settings::BotSettings;

/// The longest time for recording a conversation. If this time is not enough, the conversation stays
/// unrecorded, and the bot still queues the person's message.
const RECORD_WITHIN: Duration = Duration::from_secs(3);

/// The address of an activity's conversation, and the key that identifies the conversation in the tables.
pub(crate) struct Addressed {
    pub(crate) address: ConversationReference,
    pub(crate) key: ConversationKey,
}

impl Addressed {
    /// Reads the conversation of an activity. The channel sends a token with each activity.
    /// `service_url_verified` is true if this token names the `serviceUrl` of the activity.
    pub(crate) fn of(activity: &Activity, service_url_verified: bool) -> Result<Self, FieldError> {
        let address = ConversationReference::of(activity)?.with_service_url_verified(service_url_verified);
        Ok(Self { key: ConversationKey::of(&address), address })
    }
}

/// Whether a conversation has an *open* question: an alert has asked a question, and the person's next text
/// can be the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The alert with this id asked the open question.
    By(String),
    /// The bot does not know whether a question is open, for example because the bot has not read the
    /// conversation's record.
    Unknown,
    /// No question is open.
    No,
}

/// Records the effect of an activity on its conversation, and returns whether a question is open.
///
/// The bot only logs a failure, because handling the person's message matters more than the record. The
/// activity `deleteUserData`, by which a person asks to be forgotten, is an exception. If the bot cannot
/// delete the person's conversations, the function returns an error, so that the channel sends the activity
/// again.
pub(crate) async fn record_effect<H: Host>(
    host: &H,
    settings: &BotSettings,
    activity: &Activity,
    conversation: &Addressed,
) -> Result<Asked, Rejection> {
    let Addressed { address, key } = conversation;
    let conversations = settings.conversations(host, Deadline::after(host, RECORD_WITHIN));
    let conversations = conversations.in_zone(clock::zone_of(activity));
    let effect = effect_of(activity);
    let result = match effect {
        Effect::Active(sign) => record_activity(host, &conversations, conversation, sign).await,
        Effect::Ended => conversations.forget(key).await.map(|()| Asked::No),
        Effect::ForgetPerson => {
            forget_person(host, settings, &conversations, address).await.map(|()| Asked::No)
        }
        Effect::None => return Ok(Asked::No),
    };
    match result {
        Ok(asked) => Ok(asked),
        Err(error) => {
            log(host, Err(error));
            if effect == Effect::ForgetPerson { Err(Rejection::StateUnavailable) } else { Ok(Asked::Unknown) }
        }
    }
}

/// Records that the conversation was active, and returns whether a question is open. The bot first reads the
/// fingerprint in the key-value store. If the fingerprint shows that the activity changes nothing, the bot
/// does not call the table service. If the bot cannot read the fingerprint, the bot calls the table service.
async fn record_activity<H: Host>(
    host: &H,
    conversations: &Conversations<'_, H>,
    Addressed { address, key }: &Addressed,
    sign: Sign,
) -> Result<Asked, StateError> {
    let name = fingerprint_key(key);
    let known = host.get(&name).await.ok().flatten();
    let known = known.as_deref().and_then(Fingerprint::read);
    match conversations.record_activity(address, sign, known.as_ref()).await? {
        Recorded::Stored(fingerprint) => {
            // A failure of this write is ignored: without the fingerprint, the bot reads the table again at
            // the next activity.
            _ = host.set(&name, &fingerprint.to_bytes()).await;
            // After the bot read the record, the poller perhaps delivered a question and stored this question
            // in the record. So the bot does not know whether a question is open.
            return Ok(Asked::Unknown);
        }
        // The poller has paused the conversation, but the bot's fingerprint still exists. This happens if the
        // poller has a key-value store of its own, and thus cannot delete the bot's fingerprint. The bot
        // deletes the fingerprint now, so that the person's next message ends the pause. With the
        // fingerprint, the bot would perhaps not read the record when this message arrives.
        Recorded::Paused if known.is_some() => conversations.delete_fingerprint(key).await,
        Recorded::Asked { alert } => return Ok(Asked::By(alert)),
        Recorded::Known | Recorded::Newer => return Ok(Asked::Unknown),
        Recorded::Paused => {}
    }
    Ok(Asked::No)
}

/// Deletes all conversations that belong to the person. A group belongs to no person, and stays.
async fn forget_person<H: Host>(
    host: &H,
    settings: &BotSettings,
    conversations: &Conversations<'_, H>,
    reference: &ConversationReference,
) -> Result<(), StateError> {
    for key in conversations.own_of_person(reference).await? {
        forget_for_good(host, settings, &key, Deadline::after(host, RECORD_WITHIN)).await?;
    }
    Ok(())
}

/// Deletes a conversation. If the queue still holds alerts to this conversation, the runs of the poller do
/// not deliver these alerts.
///
/// First the bot stores two rows. The *tombstone* is a row with the time of the deletion. The *withdrawal* is
/// a row that tells the runs of the poller about the deletion. If the platform kills the bot after these two
/// rows, the runs still deliver no alert to a person who asked to be forgotten.
pub(crate) async fn forget_for_good<H: Host>(
    host: &H,
    settings: &BotSettings,
    key: &ConversationKey,
    deadline: Deadline,
) -> Result<(), StateError> {
    let (at, conversation) = (host.now(), key.as_str().to_owned());
    let conversations = settings.conversations(host, deadline);
    conversations.write_tombstone(key, at).await?;
    settings.withdrawals(host, deadline).record(&Withdrawal::Forgotten { conversation, at }).await?;
    // The bot also ends the conversation's webhook address, which is a URL for alerts to the conversation.
    // Otherwise this URL would work again after the person's next message.
    conversations.end_hook(key).await?;
    conversations.forget(key).await
}

/// Pauses a conversation, because the channel reports that it cannot reach the person.
pub(crate) async fn pause<H: Host>(host: &H, settings: &BotSettings, reference: &ConversationReference) {
    let conversations = settings.conversations(host, Deadline::after(host, RECORD_WITHIN));
    log(host, conversations.pause(reference, host.now() + PAUSED_FOR).await);
}

fn log(host: &impl Host, result: Result<(), StateError>) {
    let Err(error) = result else { return };
    let (level, event) = match error {
        StateError::TooLarge { .. } => (Level::Warn, "conversation.too-large"),
        _ => (Level::Error, "conversation.not-stored"),
    };
    host.event(level, event, json!({"reason": error.to_string()}));
}

/// The effect of an activity on the stored conversations.
#[derive(Debug, PartialEq)]
enum Effect {
    /// The conversation was active.
    Active(Sign),
    /// The conversation has ended, or the bot was removed.
    Ended,
    /// The person asked to be forgotten.
    ForgetPerson,
    None,
}

fn effect_of(activity: &Activity) -> Effect {
    match &activity.kind {
        ActivityKind::Message => Effect::Active(Sign::Message),
        ActivityKind::ConversationUpdate if activity.removes_the_bot() => Effect::Ended,
        ActivityKind::ConversationUpdate if activity.adds_the_bot() => Effect::Active(Sign::Installed),
        ActivityKind::ConversationUpdate => Effect::Active(Sign::Update),
        // For an upgrade of the app, Teams sends `remove-upgrade` and then `add-upgrade`. The conversation
        // does not end.
        ActivityKind::InstallationUpdate => match activity.action.as_deref() {
            Some("add" | "add-upgrade") => Effect::Active(Sign::Installed),
            Some("remove") => Effect::Ended,
            _ => Effect::None,
        },
        ActivityKind::EndOfConversation => Effect::Ended,
        ActivityKind::DeleteUserData => Effect::ForgetPerson,
        ActivityKind::Invoke
        | ActivityKind::Event
        | ActivityKind::Trigger
        | ActivityKind::MessageReaction
        | ActivityKind::Other(_) => Effect::None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use platform::KeyValue;
    use platform::testing::run;

    use super::*;
    use crate::testing::Stage;

    fn activity(change: &Value) -> Activity {
        let mut json = json!({
            "type": "message", "id": "7", "channelId": "msteams", "serviceUrl": "https://x/", "from": {"id": "29:u"},
            "conversation": {"id": "a:1", "conversationType": "personal"}, "recipient": {"id": "28:b"},
        });
        json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Activity::parse(json.to_string().as_bytes()).unwrap()
    }

    fn key() -> ConversationKey {
        ConversationKey::of(&ConversationReference::of(&activity(&json!({}))).unwrap())
    }

    async fn note_activity(stage: &Stage, activity: &Activity) -> Result<Asked, Rejection> {
        record_effect(&stage.host, &stage.settings, activity, &Addressed::of(activity, true)?).await
    }

    fn receive(stage: &Stage, change: &Value) {
        run(note_activity(stage, &activity(change))).unwrap();
    }

    #[test]
    fn activity_that_changes_nothing_costs_one_read_of_key_value() {
        let stage = Stage::new();
        receive(&stage, &json!({}));
        assert_eq!(stage.host.store.borrow().keys().cloned().collect::<Vec<_>>(), [fingerprint_key(&key())]);
        let (calls, writes) = (stage.calls(), stage.host.writes.get());
        for change in
            [json!({}), json!({"id": "8"}), json!({"type": "conversationUpdate"}), json!({"type": "message"})]
        {
            stage.host.reads.take();
            receive(&stage, &change);
            assert_eq!(stage.host.reads.take(), [fingerprint_key(&key())], "{change}");
        }
        assert_eq!(
            (stage.calls(), stage.host.writes.get()),
            (calls, writes),
            "HTTP calls, and writes of the key-value store"
        );
        // A Spin host can empty the key-value store at any time. The bot then reads the table and stores the
        // fingerprint, but writes nothing to the table.
        stage.host.store.borrow_mut().clear();
        receive(&stage, &json!({}));
        let is_read = |request: &http::Request<_>| request.method() == http::Method::GET;
        assert!(stage.host.sent.borrow()[calls..].iter().all(is_read) && stage.calls() > calls);
        assert_eq!(stage.host.store.borrow().len(), 1);
    }

    #[test]
    fn pause_ends_with_the_persons_next_message() {
        let stage = Stage::new();
        let is_paused = || run(stage.conversations().get(&key())).unwrap().unwrap().paused;
        receive(&stage, &json!({}));
        let reference = ConversationReference::of(&activity(&json!({}))).unwrap();
        for keeps_fingerprint in [false, true] {
            let known = run(stage.host.get(&fingerprint_key(&key()))).unwrap().unwrap();
            run(pause(&stage.host, &stage.settings, &reference));
            assert!(is_paused() && stage.host.store.borrow().is_empty());
            if keeps_fingerprint {
                // A poller with a key-value store of its own cannot delete the bot's fingerprint. So the test
                // stores the fingerprint again after the pause. The next activity has a new `serviceUrl`, so
                // the bot reads the record in the table. There the bot finds the pause, and deletes the
                // fingerprint.
                run(stage.host.set(&fingerprint_key(&key()), &known)).unwrap();
            }
            receive(
                &stage,
                &json!({"type": "conversationUpdate", "serviceUrl": format!("https://{keeps_fingerprint}/")}),
            );
            assert!(is_paused() && stage.host.store.borrow().is_empty());
            receive(&stage, &json!({}));
            assert!(!is_paused() && stage.host.store.borrow().len() == 1);
        }
    }

    #[test]
    fn ended_conversation_is_deleted_with_the_fingerprint() {
        for change in [
            json!({"type": "endOfConversation"}),
            json!({"type": "deleteUserData"}),
            json!({"type": "installationUpdate", "action": "remove"}),
        ] {
            let stage = Stage::new();
            receive(&stage, &json!({}));
            receive(&stage, &change);
            assert_eq!(run(stage.conversations().get(&key())), Ok(None), "{change}");
            assert!(stage.host.store.borrow().is_empty(), "{change}");
        }
    }

    #[test]
    fn failed_table_call_is_logged_and_the_bot_stores_no_fingerprint() {
        let stage = Stage::new();
        stage.refuse_tables();
        receive(&stage, &json!({}));
        assert_eq!(stage.host.events("conversation.not-stored").len(), 1);
        assert!(stage.host.store.borrow().is_empty());
        // Only the failure of `deleteUserData` is an error, because the channel has to send that activity
        // again.
        for (kind, expected) in [("message", true), ("endOfConversation", true), ("deleteUserData", false)] {
            let activity = activity(&json!({"type": kind}));
            assert_eq!(run(note_activity(&stage, &activity)).is_ok(), expected, "{kind}");
        }
    }

    #[test]
    fn activity_type_decides_the_effect_on_the_conversation() {
        for (change, expected) in [
            (json!({"type": "message"}), Effect::Active(Sign::Message)),
            (json!({"type": "conversationUpdate"}), Effect::Active(Sign::Update)),
            (
                json!({"type": "conversationUpdate", "membersAdded": [{"id": "u"}]}),
                Effect::Active(Sign::Update),
            ),
            (
                json!({"type": "conversationUpdate", "membersAdded": [{"id": "b"}]}),
                Effect::Active(Sign::Installed),
            ),
            (json!({"type": "conversationUpdate", "membersRemoved": [{"id": "b"}]}), Effect::Ended),
            (
                json!({"type": "conversationUpdate", "membersRemoved": [{"id": "u"}]}),
                Effect::Active(Sign::Update),
            ),
            (json!({"type": "installationUpdate", "action": "add"}), Effect::Active(Sign::Installed)),
            (json!({"type": "installationUpdate", "action": "add-upgrade"}), Effect::Active(Sign::Installed)),
            (json!({"type": "installationUpdate", "action": "remove"}), Effect::Ended),
            (json!({"type": "installationUpdate", "action": "remove-upgrade"}), Effect::None),
            (json!({"type": "installationUpdate"}), Effect::None),
            (json!({"type": "endOfConversation"}), Effect::Ended),
            (json!({"type": "deleteUserData"}), Effect::ForgetPerson),
            (json!({"type": "invoke"}), Effect::None),
            (json!({"type": "typing"}), Effect::None),
        ] {
            let mut json = json!({"conversation": {"id": "c"}, "recipient": {"id": "b"}});
            json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let activity = Activity::parse(Value::to_string(&json).as_bytes()).unwrap();
            assert_eq!(effect_of(&activity), expected, "{change}");
        }
    }
}
