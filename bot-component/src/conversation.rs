//! What an activity tells about its conversation: that it is there, or that it has ended.

use std::time::Duration;

use bot_framework::{Activity, ActivityKind, ConversationReference};
use platform::{Deadline, Host, Level};
use serde_json::json;
use state::runs::Withdrawal;
use state::{ConversationKey, Conversations, Fingerprint, Heard, PAUSED_FOR, Sign, StateError, known_key};

use crate::rejection::Rejection;
use crate::settings::BotSettings;

/// How long the address book may take before the person's message is queued without it. It is asked only when there is
/// something new to record.
const RECORD_WITHIN: Duration = Duration::from_secs(3);

/// Keeps the address book up to date, with whether the caller's token vouched for the serviceUrl. A failure is logged and
/// changes nothing, because the person's message matters more. Only a person who could not be forgotten is an error: the
/// channel has to ask again.
pub(crate) async fn note<H: Host>(
    host: &H,
    settings: &BotSettings,
    activity: &Activity,
    service_url_verified: bool,
) -> Result<(), Rejection> {
    // A conversation that cannot be answered cannot be alerted either.
    let Ok(reference) = ConversationReference::of(activity) else { return Ok(()) };
    let reference = reference.with_service_url_verified(service_url_verified);
    let conversations = settings.conversations(host, Deadline::after(host, RECORD_WITHIN));
    let tells = told_by(activity);
    let result = match tells {
        Tells::Here(sign) => hear(host, &conversations, &reference, sign).await,
        Tells::Over => conversations.forget(&ConversationKey::of(&reference)).await,
        Tells::ForgetPerson => forget_person(host, settings, &conversations, &reference).await,
        Tells::Nothing => return Ok(()),
    };
    let is_done = result.is_ok();
    log(host, result);
    if is_done || tells != Tells::ForgetPerson { Ok(()) } else { Err(Rejection::StateUnavailable) }
}

/// Records a sign. Key-value remembers what the table has of the conversation, so that an ordinary activity costs one read
/// there and no call of the table. A key-value store that fails costs the call, and nothing else.
async fn hear<H: Host>(
    host: &H,
    conversations: &Conversations<'_, H>,
    reference: &ConversationReference,
    sign: Sign,
) -> Result<(), StateError> {
    let name = known_key(&ConversationKey::of(reference));
    let known = host.get(&name).await.ok().flatten();
    let known = known.as_deref().and_then(Fingerprint::read);
    match conversations.hear(reference, sign, known.as_ref()).await? {
        Heard::Stored(fingerprint) => _ = host.set(&name, &fingerprint.to_bytes()).await,
        // The poller has paused the conversation, and could not delete the fingerprint.
        Heard::Paused if known.is_some() => _ = host.delete(&name).await,
        Heard::Known | Heard::Paused | Heard::Newer => {}
    }
    Ok(())
}

/// Forgets what is the person's own.
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

/// Forgets a conversation, and drops what waits for it. The tombstone comes first, and the poller is told of it: a bot that
/// dies in between must not leave alerts that are said to somebody who asked to be forgotten.
pub(crate) async fn forget_for_good<H: Host>(
    host: &H,
    settings: &BotSettings,
    key: &ConversationKey,
    deadline: Deadline,
) -> Result<(), StateError> {
    let (at, conversation) = (host.now(), key.as_str().to_owned());
    let conversations = settings.conversations(host, deadline);
    conversations.entomb(key, at).await?;
    settings.withdrawals(host, deadline).note(&Withdrawal::Forgotten { conversation, at }).await?;
    conversations.forget(key).await
}

/// Records that nobody is there any more, as far as the channel says.
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

#[derive(Debug, PartialEq)]
enum Tells {
    Here(Sign),
    Over,
    ForgetPerson,
    Nothing,
}

fn told_by(activity: &Activity) -> Tells {
    match &activity.kind {
        ActivityKind::Message => Tells::Here(Sign::Message),
        ActivityKind::ConversationUpdate if activity.removes_the_bot() => Tells::Over,
        ActivityKind::ConversationUpdate if activity.adds_the_bot() => Tells::Here(Sign::Installed),
        ActivityKind::ConversationUpdate => Tells::Here(Sign::Update),
        // An upgrade is `remove-upgrade`, then `add-upgrade`: the conversation stays.
        ActivityKind::InstallationUpdate => match activity.action.as_deref() {
            Some("add" | "add-upgrade") => Tells::Here(Sign::Installed),
            Some("remove") => Tells::Over,
            _ => Tells::Nothing,
        },
        ActivityKind::EndOfConversation => Tells::Over,
        ActivityKind::DeleteUserData => Tells::ForgetPerson,
        ActivityKind::Invoke | ActivityKind::Event | ActivityKind::Trigger | ActivityKind::Other(_) => {
            Tells::Nothing
        }
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

    fn hear(stage: &Stage, change: &Value) {
        run(note(&stage.host, &stage.settings, &activity(change), true)).unwrap();
    }

    #[test]
    fn an_activity_of_a_known_conversation_costs_one_read_of_key_value_and_nothing_else() {
        let stage = Stage::new();
        hear(&stage, &json!({}));
        assert_eq!(stage.host.store.borrow().keys().cloned().collect::<Vec<_>>(), [known_key(&key())]);
        let (calls, writes) = (stage.calls(), stage.host.writes.get());
        for change in
            [json!({}), json!({"id": "8"}), json!({"type": "conversationUpdate"}), json!({"type": "message"})]
        {
            stage.host.reads.take();
            hear(&stage, &change);
            assert_eq!(stage.host.reads.take(), [known_key(&key())], "{change}");
        }
        assert_eq!((stage.calls(), stage.host.writes.get()), (calls, writes));
        // Key-value may be emptied at any time: it is filled again, and the table is not written.
        stage.host.store.borrow_mut().clear();
        hear(&stage, &json!({}));
        let is_read = |request: &http::Request<_>| request.method() == http::Method::GET;
        assert!(stage.host.sent.borrow()[calls..].iter().all(is_read) && stage.calls() > calls);
        assert_eq!(stage.host.store.borrow().len(), 1);
    }

    #[test]
    fn after_a_pause_the_person_s_next_message_ends_it() {
        let stage = Stage::new();
        let is_paused = || run(stage.conversations().get(&key())).unwrap().unwrap().paused;
        hear(&stage, &json!({}));
        let reference = ConversationReference::of(&activity(&json!({}))).unwrap();
        for keeps_fingerprint in [false, true] {
            let known = run(stage.host.get(&known_key(&key()))).unwrap().unwrap();
            run(pause(&stage.host, &stage.settings, &reference));
            assert!(is_paused() && stage.host.store.borrow().is_empty());
            if keeps_fingerprint {
                // The poller has a store of its own. An update with news finds the pause, and deletes the fingerprint.
                run(stage.host.set(&known_key(&key()), &known)).unwrap();
            }
            hear(
                &stage,
                &json!({"type": "conversationUpdate", "serviceUrl": format!("https://{keeps_fingerprint}/")}),
            );
            assert!(is_paused() && stage.host.store.borrow().is_empty());
            hear(&stage, &json!({}));
            assert!(!is_paused() && stage.host.store.borrow().len() == 1);
        }
    }

    #[test]
    fn a_conversation_that_ended_is_forgotten_with_its_fingerprint() {
        for change in [
            json!({"type": "endOfConversation"}),
            json!({"type": "deleteUserData"}),
            json!({"type": "installationUpdate", "action": "remove"}),
        ] {
            let stage = Stage::new();
            hear(&stage, &json!({}));
            hear(&stage, &change);
            assert_eq!(run(stage.conversations().get(&key())), Ok(None), "{change}");
            assert!(stage.host.store.borrow().is_empty(), "{change}");
        }
    }

    #[test]
    fn a_table_service_that_refuses_is_logged_and_no_fingerprint_is_kept() {
        let stage = Stage::new();
        stage.refuse_tables();
        hear(&stage, &json!({}));
        assert_eq!(stage.host.events("conversation.not-stored").len(), 1);
        assert!(stage.host.store.borrow().is_empty());
        // A failure counts only for `deleteUserData`: the channel has to send it again.
        for (kind, expected) in [("message", true), ("endOfConversation", true), ("deleteUserData", false)] {
            let activity = activity(&json!({"type": kind}));
            assert_eq!(run(note(&stage.host, &stage.settings, &activity, true)).is_ok(), expected, "{kind}");
        }
    }

    #[test]
    fn what_an_activity_tells() {
        for (change, expected) in [
            (json!({"type": "message"}), Tells::Here(Sign::Message)),
            (json!({"type": "conversationUpdate"}), Tells::Here(Sign::Update)),
            (json!({"type": "conversationUpdate", "membersAdded": [{"id": "u"}]}), Tells::Here(Sign::Update)),
            (
                json!({"type": "conversationUpdate", "membersAdded": [{"id": "b"}]}),
                Tells::Here(Sign::Installed),
            ),
            (json!({"type": "conversationUpdate", "membersRemoved": [{"id": "b"}]}), Tells::Over),
            (
                json!({"type": "conversationUpdate", "membersRemoved": [{"id": "u"}]}),
                Tells::Here(Sign::Update),
            ),
            (json!({"type": "installationUpdate", "action": "add"}), Tells::Here(Sign::Installed)),
            (json!({"type": "installationUpdate", "action": "add-upgrade"}), Tells::Here(Sign::Installed)),
            (json!({"type": "installationUpdate", "action": "remove"}), Tells::Over),
            (json!({"type": "installationUpdate", "action": "remove-upgrade"}), Tells::Nothing),
            (json!({"type": "installationUpdate"}), Tells::Nothing),
            (json!({"type": "endOfConversation"}), Tells::Over),
            (json!({"type": "deleteUserData"}), Tells::ForgetPerson),
            (json!({"type": "invoke"}), Tells::Nothing),
            (json!({"type": "typing"}), Tells::Nothing),
        ] {
            let mut json = json!({"conversation": {"id": "c"}, "recipient": {"id": "b"}});
            json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let activity = Activity::parse(Value::to_string(&json).as_bytes()).unwrap();
            assert_eq!(told_by(&activity), expected, "{change}");
        }
    }
}
