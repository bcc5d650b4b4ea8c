//! Misuse of seals. A *seal* is an HMAC in a queue message. The seal shows that the bot wrote the message.
//! The cases test messages with the seal of another queue or another bot, and a bot without a seal key. Other
//! cases post a sealed message to the bot as a *trigger* (an activity that contains an alert), e.g. after the
//! alert was sent or cancelled. A *wrapping* is an encoding of a queue message's text, such as base64.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bench::native::Variables;
use bot_framework::Activity;
use bot_framework::outbound::seal_keys;
use bot_framework::testing::{TestKey, channel_claims};
use chrono::{DateTime, TimeDelta, Utc};
use dev::azurite::connection_string;
use dev::host::HostKind;
use end_to_end::activity::message;
use end_to_end::alerts::{call, known, queued, script, to_conversation};
use end_to_end::chat_page::ChatPage;
use end_to_end::connector::{Received, Reply};
use end_to_end::login::{FEDERATED, Login, Proof};
use end_to_end::openid::OpenId;
use end_to_end::queue::{Queue, decode};
use end_to_end::stage::{APP_ID, Script, Stage};
use end_to_end::suite::World;
use end_to_end::web::WholeResponse;
use envelope::testing::WRAPPINGS;
use envelope::{Envelope, EnvelopeId, SealKey, json_of};
use serde_json::{Value, json};
use storage_queue::QueueError;

use crate::direct_line::trigger;

end_to_end::cases!(
    seal_for_another_queue_or_bot_is_refused,
    seal_is_checked_in_every_wrapping_of_the_message,
    seal_key_is_changed_without_losing_a_message,
    unusable_seal_key_is_named_in_the_log,
    bot_without_any_seal_key_is_misconfigured,
    unsealed_message_in_required_mode_is_delivered_only_if_the_variable_unsealed_is_allow,
    sealed_trigger_is_sent_once,
    sealed_trigger_posted_in_parallel_is_sent_once,
    sealed_trigger_of_a_cancelled_alert_is_refused,
    sealed_trigger_is_refused_after_stop,
    sealed_trigger_is_refused_after_the_activity_delete_user_data,
    sealed_trigger_of_seven_days_ago_is_refused,
    storage_of_cargo_dev_up_refuses_the_well_known_account_key,
);

const KEY: &str = "a-seal-key-for-tests";

fn sealing(world: &World) -> Script<'_> {
    script(world).variable("sealkey", KEY)
}

/// Sends an alert to this conversation by an API call, and takes the alert's message off the queue. Returns
/// the alert's id and the text of the queue message.
fn sealed_alert(stage: &Stage, conversation: &str, text: &str) -> (String, String) {
    let id = queued(stage, &to_conversation(conversation, text));
    let message = stage.queue.take_all().remove(0);
    assert!(decode(&message)["seal"].is_string(), "{message}");
    (id, message)
}

/// Posts a queue message to the bot as a trigger.
fn bring(stage: &Stage, activity_id: &str, message: &str) -> WholeResponse {
    let value = json!({"Source": "somebody", "Message": message});
    stage.post(&trigger(stage, activity_id, "event", "trigger", &value))
}

fn seal_for_another_queue_or_bot_is_refused(world: &World) {
    let first = sealing(world).start();
    let conversation = known(&first, "a:1", "hello");
    let (_, message) = sealed_alert(&first, &conversation, "for one queue");
    let other_queue = sealing(world).start();
    let other_bot = sealing(world).beside(&first).variable("microsoftappid", "another-bot").start();
    for (other, what) in [(&other_queue, "queue"), (&other_bot, "bot")] {
        // The address in the message leads to the Connector of `first`. `other` trusts this Connector, so
        // only the seal prevents the delivery.
        other.queue.put(&message);
        let counts = other.poll();
        assert_eq!(counts["poisonedBy"]["sealBroken"], 1, "another {what}: {counts}");
        bring(other, "1", &message).expect_error(403, "TriggerNotAllowed");
        other.connector.expect_silence();
    }
    first.connector.expect_silence();
    first.queue.put(&message);
    assert_eq!(first.poll()["delivered"], 1, "expected that the bot that sealed the message delivers it");
}

fn seal_is_checked_in_every_wrapping_of_the_message(world: &World) {
    let stage = sealing(world).variable("unsealed", "refuse").start();
    let conversation = known(&stage, "a:1", "hello");
    for (name, wrap) in WRAPPINGS {
        let (id, message) = sealed_alert(&stage, &conversation, name);
        let json = json_of(&message).unwrap();
        let changed = json.replace(name, "planted");
        let other_id = json.replace(&id, "planted");
        let mut unsealed = decode(&message);
        unsealed.as_object_mut().unwrap().remove("seal");
        for forged in [changed, other_id, unsealed.to_string()] {
            stage.queue.put(&wrap(&forged));
        }
        let counts = stage.poll();
        let refused = (&counts["poisonedBy"]["sealBroken"], &counts["poisonedBy"]["unsealed"]);
        assert_eq!((refused, &counts["delivered"]), ((&2.into(), &1.into()), &0.into()), "{name}: {counts}");
        // The two triggers contain the same sealed message, in different wrappings. The bot recognises that
        // both messages are the same alert, and sends the alert once.
        bring(&stage, &format!("{name} 1"), &wrap(&json)).expect_status(200);
        bring(&stage, &format!("{name} 2"), &message).expect_status(200);
        let alerts = stage.connector.received().into_iter().filter(Received::is_alert);
        assert_eq!(alerts.filter(|alert| alert.text().ends_with(name)).count(), 1, "{name}");
        let (_, message) = sealed_alert(&stage, &conversation, name);
        stage.queue.put(&wrap(&json_of(&message).unwrap()));
        let counts = stage.poll();
        assert_eq!(counts["delivered"], 1, "{name}: {counts}");
        stage.connector.forget();
    }
}

fn seal_key_is_changed_without_losing_a_message(world: &World) {
    let (old, new) = ("the-old-key-of-16-and-more", "the-new-key-of-16-and-more");
    let with = |key: &str| Script::new(world).variable("sealkey", key).variable("unsealed", "refuse");
    let written = |stage: &Stage, id: &str| {
        stage.say(&message("a:1", id, "hello"));
        stage.queue.take_all().remove(0)
    };
    let mut stages = vec![with(old).start()];
    let mut before = written(&stages[0], "0");
    for (key, id) in [(format!("{old},{new}"), "1"), (format!("{new}, {old}"), "2"), (new.to_owned(), "3")] {
        let stage = with(&key).beside(&stages[0]).start();
        stage.queue.put(&before);
        let counts = stage.poll();
        assert_eq!(counts["delivered"], 1, "step {id}: {counts}");
        before = written(&stage, id);
        stages.push(stage);
    }
    // After the old seal key is removed, the poller refuses messages that were sealed with the old seal key.
    let [first, .., last] = stages.as_slice() else { unreachable!() };
    let sealed_by_old = written(first, "4");
    last.queue.put(&sealed_by_old);
    assert_eq!(last.poll()["poisonedBy"]["sealBroken"], 1);
}

/// The log has the name of the variable `sealkey`. The log does not have the seal key itself.
fn unusable_seal_key_is_named_in_the_log(world: &World) {
    let long = "hunter2-hunter2-hunter2";
    for keys in ["hunter2".to_owned(), format!("{long},hunter2"), format!("{long},{long},{long}")] {
        let stage = Script::new(world).variable("sealkey", &keys).start();
        stage.try_poll().expect_error(500, "Misconfigured");
        stage.post(&stage.connector.host(&message("a:1", "1", "hello"))).expect_error(500, "Misconfigured");
        for event in ["drain", "request.rejected"] {
            let line = stage.wait_for_events(event, 1).remove(0).to_string();
            assert!(line.contains("sealkey"), "{line}");
        }
        assert!(!stage.host_log().contains("hunter2"), "a seal key is in the log");
    }
}

/// With `authmode=required` and without `sealkey`, the bot derives the seal key from the bot's password or
/// certificate. The bot of this case has only a federated token, so it has no seal key.
fn bot_without_any_seal_key_is_misconfigured(world: &World) {
    let (issuer, login) = (OpenId::start(), Login::start(Proof::Federated));
    login.publish(&issuer);
    let federated = || {
        let script = Script::new(world).logged_in(&login).authenticated(&issuer);
        script.variable("microsoftapppassword", "").variable("federatedtoken", FEDERATED)
    };
    let post = |stage: &Stage| {
        let activity = stage.connector.host(&message("a:1", "1", "hello"));
        let service_url = activity["serviceUrl"].as_str().unwrap();
        let claims = channel_claims(APP_ID, service_url, Utc::now().timestamp());
        stage.post_as(&TestKey::issuer().sign(&claims), &activity)
    };
    let stage = federated().start();
    post(&stage).expect_error(500, "Misconfigured");
    stage.try_poll().expect_error(500, "Misconfigured");
    for (event, field) in [("request.rejected", "reason"), ("drain", "error")] {
        let line = stage.wait_for_events(event, 1).remove(0);
        let reason = line[field].as_str().unwrap();
        assert!(reason.contains("sealkey") && reason.contains("federatedtoken"), "{line}");
    }
    stage.connector.expect_silence();
    assert!(!stage.queue.exists(), "a bot without a seal key must not put a message on the queue");
    let stage = federated().variable("sealkey", KEY).start();
    post(&stage).expect_status(202);
    assert_eq!(stage.poll()["delivered"], 1);
}

fn unsealed_message_in_required_mode_is_delivered_only_if_the_variable_unsealed_is_allow(world: &World) {
    let login = Login::start(Proof::Secret);
    for (unsealed, delivered) in [("", false), ("refuse", false), ("allow", true)] {
        let stage = Script::new(world).logged_in(&login).variable("unsealed", unsealed).start();
        stage.queue.put_json(&json!({
            "address": {
                "channelId": "msteams", "serviceUrl": format!("http://{}/", stage.connector.authority()),
                "user": {"id": "29:u"}, "bot": {"id": "28:b"}, "conversation": {"id": "a:1"},
            },
            "text": "planted",
        }));
        let counts = stage.poll();
        if delivered {
            assert_eq!(counts["delivered"], 1, "unsealed={unsealed:?}: {counts}");
        } else {
            assert_eq!(counts["poisonedBy"]["unsealed"], 1, "unsealed={unsealed:?}: {counts}");
            stage.connector.expect_silence();
        }
    }
    let stage = Script::new(world).logged_in(&login).variable("unsealed", "perhaps").start();
    stage.try_poll().expect_error(500, "Misconfigured");
    // Anonymous mode is for a bot on a developer's machine. In this mode, the default of `unsealed` lets the
    // poller deliver queue messages without a seal, e.g. messages in the format of Microsoft's bot template
    // of 2017.
    let stage = Script::new(world).start();
    stage.queue.put_json(&json!({
        "address": {
            "channelId": "msteams", "serviceUrl": format!("http://{}/", stage.connector.authority()),
            "conversation": {"id": "a:1"}, "user": {"id": "29:u"}, "bot": {"id": "28:b"},
        },
        "text": "of 2017",
    }));
    assert_eq!(stage.poll()["delivered"], 1);
}

fn sealed_trigger_is_sent_once(world: &World) {
    let stage = sealing(world).start();
    let conversation = known(&stage, "a:1", "hello");
    // First, the poller delivers an alert. Then a trigger with the same alert arrives.
    let (_, message) = sealed_alert(&stage, &conversation, "from the queue");
    stage.queue.put(&message);
    assert_eq!(stage.poll()["delivered"], 1);
    bring(&stage, "1", &message).expect_status(200);
    stage.connector.wait_for(1);
    assert_eq!(stage.wait_for_events("trigger.repeated", 1).len(), 1);
    // First, a trigger delivers another alert. Then a second trigger with the same alert arrives.
    let (_, message) = sealed_alert(&stage, &conversation, "from a trigger");
    for activity_id in ["2", "3"] {
        bring(&stage, activity_id, &message).expect_status(200);
    }
    stage.connector.wait_for(2);
    // The status 503 means that the Connector has not sent the alert. So the bot tries again when the next
    // trigger arrives. The status 500 means that the Connector has perhaps sent the alert. So the bot does
    // not try again.
    let (_, message) = sealed_alert(&stage, &conversation, "at the second try");
    let last_first = std::sync::Mutex::new(vec![500, 503]);
    stage
        .connector
        .on(move |_| last_first.lock().unwrap().pop().map(|status| Reply::error(status, "Scripted")));
    let before = stage.connector.received().len();
    bring(&stage, "4", &message).expect_error(503, "ConnectorUnavailable");
    bring(&stage, "5", &message).expect_error(502, "AlertPossiblyDelivered");
    bring(&stage, "6", &message).expect_error(502, "AlertPossiblyDelivered");
    assert_eq!(stage.connector.received().len() - before, 2);
}

fn sealed_trigger_posted_in_parallel_is_sent_once(world: &World) {
    let stage = sealing(world).start();
    let conversation = known(&stage, "a:1", "hello");
    // The ledger (the table with one record for each alert) has a record of the alert `recorded`, and no
    // record of the alert `foreign`.
    let (_, recorded) = sealed_alert(&stage, &conversation, "recorded");
    let foreign = sealed_by_hand(&stage, "foreign", Utc::now(), None);
    stage.connector.on(|_| Some(Reply::created("1").after(Duration::from_secs(2))));
    for (index, message) in [recorded, foreign].iter().enumerate() {
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let copies = [0, 1, 2, 3].map(|copy| {
                let (stage, id) = (&stage, format!("{index}-{copy}"));
                scope.spawn(move || bring(stage, &id, message).status)
            });
            copies.map(|copy| copy.join().unwrap()).into()
        });
        stage.connector.wait_for(index + 1);
        let count = |status| statuses.iter().filter(|found| **found == status).count();
        assert_eq!((count(200), count(503)), (1, 3), "{statuses:?}");
        bring(&stage, "later", message).expect_status(200);
        stage.connector.wait_for(index + 1);
    }
}

fn sealed_trigger_of_a_cancelled_alert_is_refused(world: &World) {
    let stage = sealing(world).start();
    let conversation = known(&stage, "a:1", "hello");
    let (id, message) = sealed_alert(&stage, &conversation, "cancelled");
    call(&stage, "DELETE", &format!("/api/alerts/{id}"), &Value::Null).expect_status(202);
    bring(&stage, "1", &message).expect_error(403, "TriggerNotAllowed");
    // The bot also refuses the trigger after the poller has recorded the cancellation.
    stage.queue.put(&message);
    assert_eq!(stage.poll()["cancelled"], 1);
    bring(&stage, "2", &message).expect_error(403, "TriggerNotAllowed");
    stage.connector.expect_silence();
}

fn sealed_trigger_is_refused_after_stop(world: &World) {
    let stage = sealing(world).variable("unsealedtriggers", "allow").start();
    let conversation = known(&stage, "a:1", "hello");
    let (_, message) = sealed_alert(&stage, &conversation, "unwanted");
    known(&stage, "a:1", "stop");
    bring(&stage, "1", &message).expect_error(403, "TriggerNotAllowed");
    // The second trigger has no seal. It also lacks the member `stoppable`, which says that `stop` applies to
    // the alert. The bot refuses this trigger, too.
    let mut unsealed = decode(&message);
    for name in ["seal", "stoppable", "cancellable"] {
        unsealed.as_object_mut().unwrap().remove(name);
    }
    bring(&stage, "2", &unsealed.to_string()).expect_error(403, "TriggerNotAllowed");
    stage.connector.expect_silence();
    known(&stage, "a:1", "start");
    bring(&stage, "3", &message).expect_status(200);
    stage.connector.wait_for(1);
}

fn sealed_trigger_is_refused_after_the_activity_delete_user_data(world: &World) {
    let stage = sealing(world).start();
    let conversation = known(&stage, "a:1", "hello");
    let (_, message_before) = sealed_alert(&stage, &conversation, "unwanted");
    let mut activity = stage.connector.host(&message("a:1", "2", ""));
    activity["type"] = "deleteUserData".into();
    stage.post(&activity).expect_status(200);
    bring(&stage, "3", &message_before).expect_error(403, "TriggerNotAllowed");
    stage.connector.expect_silence();
    // The person writes again. The bot then delivers new alerts, and still refuses the alert from before
    // `deleteUserData`.
    known(&stage, "a:1", "hello again");
    let (_, message_after) = sealed_alert(&stage, &conversation, "wanted");
    bring(&stage, "4", &message_before).expect_error(403, "TriggerNotAllowed");
    bring(&stage, "5", &message_after).expect_status(200);
    assert_eq!(stage.connector.wait_for(1)[0].text(), "Alert: wanted");
}

fn sealed_trigger_of_seven_days_ago_is_refused(world: &World) {
    let stage = sealing(world).start();
    let days = |days| Utc::now() - TimeDelta::days(days);
    for (id, enqueued_at, not_before, is_accepted) in [
        ("new", days(0), None, true),
        ("of six days", days(6), None, true),
        ("of seven days", days(7), None, false),
        ("of last year", days(365), None, false),
        ("of last year, due six days ago", days(365), Some(days(6)), true),
        ("of last year, due seven days ago", days(365), Some(days(7)), false),
    ] {
        let response = bring(&stage, id, &sealed_by_hand(&stage, id, enqueued_at, not_before));
        if is_accepted {
            response.expect_status(200);
        } else {
            response.expect_error(403, "TriggerNotAllowed");
        }
    }
    stage.connector.wait_for(3);
}

/// `cargo dev up` starts Azurite (the storage emulator) with a random account key. The account key that
/// Azurite has by default is public. If Azurite accepted this key, every user of the machine could write to
/// the queue. Other users also cannot open the folder of `cargo dev up`.
fn storage_of_cargo_dev_up_refuses_the_well_known_account_key(world: &World) {
    let page = ChatPage::start(world, "msteams");
    let azurite = page.azurite();
    let count = |connection: &str| {
        Queue::new(connection, "bot-queue").with(async |client| client.approximate_count().await)
    };
    let refused = count(&connection_string(&azurite.queue_authority(), &azurite.table_authority()));
    assert!(matches!(refused, Err(QueueError::NotAuthorized { .. })), "{refused:?}");
    let own = count(&azurite.connection_string());
    assert!(matches!(own, Ok(_) | Err(QueueError::QueueMissing)), "{own:?}");
    // The bot and the poller have the random account key. So they can use the queue and the tables.
    page.chat().say("hello").unwrap();
    page.wait_for("Alert: hello");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = page.state_dir();
        assert_eq!(mode(&folder), 0o700);
        if world.host() == HostKind::Embedded {
            assert_eq!(mode(&folder.join("sqlite_key_value.db")), 0o600);
        }
    }
}

/// Makes a queue message with the seal of this stage's bot. The ledger has no record of the alert.
fn sealed_by_hand(
    stage: &Stage,
    id: &str,
    enqueued_at: DateTime<Utc>,
    not_before: Option<DateTime<Utc>>,
) -> String {
    let variables = BTreeMap::from([("sealkey".to_owned(), KEY.to_owned())]);
    let keys = seal_keys(&Variables(variables), None, stage.queue.name()).unwrap();
    let activity = stage.connector.host(&message("a:1", "1", "hello"));
    let activity = Activity::parse(activity.to_string().as_bytes()).unwrap();
    let address = bot_framework::ConversationReference::of(&activity).unwrap();
    let mut envelope = Envelope::new(EnvelopeId::from_text(id), address, "pizza", enqueued_at);
    envelope.not_before = not_before;
    envelope.encode(SealKey::of(&keys).as_ref()).unwrap()
}
