//! Tests of *feedback*: read receipts of people, and their reactions and replies to the bot's chat messages.
//! The bot stores the feedback in its table of conversations.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, call, key_of, known, queued, to_conversation};
use end_to_end::connector::Reply;
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::table::Table;
use serde_json::{Value, json};

end_to_end::cases!(
    read_receipt_of_a_personal_chat_is_stored_and_an_earlier_receipt_is_ignored,
    read_receipt_from_web_chat_or_a_group_or_an_unknown_conversation_changes_nothing,
    reactions_and_replies_are_counted_for_the_chat_message,
    status_of_an_alert_shows_the_feedback_of_people,
    feedback_of_a_person_who_asks_to_be_forgotten_is_deleted,
);

const CONVERSATION: &str = "a:1Case19";

/// Returns, by row key, the rows of the stored conversations and the rows of their feedback. Leaves out the
/// index rows, by which the bot finds e.g. all conversations with a tag.
fn rows(world: &World, stage: &Stage) -> BTreeMap<String, Value> {
    let name = format!("{}conversations", stage.table_prefix);
    let entities = Table::new(&world.azurite().connection_string(), &name).entities();
    let own = entities.into_iter().filter(|entity| entity.key.partition.starts_with('c'));
    own.map(|entity| (entity.key.row, entity.properties.into())).collect()
}

fn field(name: &str) -> Value {
    fixture(&format!("field/{name}.json"))
}

fn receipt(conversation: &str, id: &str) -> Value {
    let mut receipt = field("19-read-receipt");
    receipt["conversation"]["id"] = conversation.into();
    receipt["value"]["lastReadMessageId"] = id.into();
    receipt
}

/// Returns the number that Teams would give to a chat message now: the milliseconds since 1970.
fn message_now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Posts an activity that gets no reply, and expects the status 200.
#[track_caller]
fn post(stage: &Stage, activity: &Value) {
    stage.post(&stage.connector.host(activity)).expect_status(200);
}

/// Expects that the bot has sent nothing, queued nothing, and logged no failure.
#[track_caller]
fn expect_silence(stage: &Stage) {
    stage.connector.expect_silence();
    assert_eq!(stage.queue.count(), 0);
    assert_eq!(stage.events("feedback.not-recorded"), Vec::<Value>::new());
}

fn read_receipt_of_a_personal_chat_is_stored_and_an_earlier_receipt_is_ignored(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, CONVERSATION, "hello");
    let other = known(&stage, "a:other", "hello");
    for (id, expected) in [
        ("1795167064521", "1795167064521"),
        ("1795167064520", "1795167064521"),
        // The bot compares numbers, not texts. As a number, `999` is less than the other ids. As a text, it
        // would be greater.
        ("999", "1795167064521"),
        ("1795167064522", "1795167064522"),
        ("x", "1795167064522"),
    ] {
        post(&stage, &receipt(CONVERSATION, id));
        assert_eq!(rows(world, &stage)[&key]["readId"], expected, "{id}");
    }
    let rows = rows(world, &stage);
    assert!(rows[&key]["readAt"].is_string() && rows[&key]["address"].is_string(), "{rows:?}");
    assert_eq!(rows[&other].get("readId"), None, "expected no change of another conversation");
    expect_silence(&stage);
}

fn read_receipt_from_web_chat_or_a_group_or_an_unknown_conversation_changes_nothing(world: &World) {
    let stage = alerts::stage(world);
    known(&stage, CONVERSATION, "hello");
    let mut webchat = fixture("webchat.json");
    stage.say(&webchat);
    stage.queue.take_all();
    stage.connector.forget();
    let before = rows(world, &stage);
    (webchat["type"], webchat["name"]) = ("event".into(), "application/vnd.microsoft.readReceipt".into());
    webchat["value"] = json!({"lastReadMessageId": "1795167064521"});
    post(&stage, &webchat);
    let mut group = receipt(CONVERSATION, "1795167064521");
    group["conversation"]["conversationType"] = "groupChat".into();
    post(&stage, &group);
    post(&stage, &receipt("a:unknown", "1795167064521"));
    assert_eq!(rows(world, &stage), before);
    expect_silence(&stage);
}

fn reactions_and_replies_are_counted_for_the_chat_message(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, CONVERSATION, "hello");
    let message_id = message_now().to_string();
    let row = format!("{key}.r.{message_id}");
    let mut reaction = field("20-message-reaction");
    reaction["replyToId"] = message_id.as_str().into();
    // If Teams gets no response in time, Teams sends the activity again. The bot counts the reaction only
    // once.
    post(&stage, &reaction);
    post(&stage, &reaction);
    let counts = || {
        let rows = rows(world, &stage);
        (rows[&row]["reactions"].clone(), rows[&row]["replies"].clone())
    };
    assert_eq!(counts(), (1.into(), 0.into()));
    expect_silence(&stage);
    let mut reply = message(CONVERSATION, "reply-1", "thank you");
    reply["replyToId"] = message_id.as_str().into();
    stage.say(&reply);
    assert_eq!(counts(), (1.into(), 1.into()));
    assert_eq!(
        stage.connector.wait_for(1)[0].text(),
        "Queued: thank you",
        "expected that the bot also queues the reply, like any message"
    );
    reaction["id"] = "f:case-20-removed".into();
    reaction["reactionsRemoved"] = reaction["reactionsAdded"].take();
    post(&stage, &reaction);
    assert_eq!(counts(), (0.into(), 1.into()));
    // This chat message is from November 2025. The bot makes no row for a reaction to a chat message that is
    // more than seven days old.
    reaction["replyToId"] = "1764000000000".into();
    reaction["reactionsAdded"] = reaction["reactionsRemoved"].take();
    reaction["id"] = "f:case-20-old".into();
    post(&stage, &reaction);
    let all = rows(world, &stage);
    assert_eq!(all.keys().filter(|row| row.contains(".r.")).collect::<Vec<_>>(), [&row]);
    // The list of targets (the stored conversations) has no entry for a row of feedback.
    assert_eq!(alerts::targets(&stage).len(), 1);
    assert_eq!(stage.events("conversation.entity-skipped"), Vec::<Value>::new());
}

fn status_of_an_alert_shows_the_feedback_of_people(world: &World) {
    let stage = alerts::stage(world);
    let (key, other) = (known(&stage, CONVERSATION, "hello"), known(&stage, "a:other", "hello"));
    // Teams gives each chat message a number. Here, the fake Connector gives the number `first` to the first
    // chat message, `first + 1` to the second, and so on.
    let first = message_now();
    let next = AtomicI64::new(first);
    stage.connector.on(move |_| Some(Reply::created(&next.fetch_add(1, Ordering::SeqCst).to_string())));
    let send = |key: &str| {
        let id = queued(&stage, &to_conversation(key, "tea"));
        assert_eq!(stage.poll()["delivered"], 1);
        id
    };
    let (one, two, others) = (send(&key), send(&key), send(&other));
    let status = |id: &str| {
        let path = format!("/api/alerts/{id}");
        call(&stage, "GET", &path, &Value::Null).expect_status(200).json()
    };
    let feedback = |id: &str| {
        let shown = status(id);
        assert_eq!(shown["status"], "delivered", "{shown}");
        (shown["seenAt"].is_string(), shown["reactions"].as_u64(), shown["replies"].as_u64())
    };
    for id in [&one, &two, &others] {
        assert_eq!(feedback(id), (false, None, None));
    }
    assert_eq!(status(&one)["activityId"], first.to_string());
    post(&stage, &receipt(CONVERSATION, &(first - 1).to_string()));
    assert_eq!(
        feedback(&one),
        (false, None, None),
        "expected that a receipt for an earlier message does not count"
    );
    post(&stage, &receipt(CONVERSATION, &first.to_string()));
    assert_eq!((feedback(&one), feedback(&two)), ((true, None, None), (false, None, None)));
    let mut reaction = field("20-message-reaction");
    reaction["replyToId"] = (first + 1).to_string().into();
    post(&stage, &reaction);
    let mut press = message(CONVERSATION, "press-1", "");
    (press["replyToId"], press["value"]) = ((first + 1).to_string().into(), json!({"done": true}));
    stage.say(&press);
    post(&stage, &receipt(CONVERSATION, &(first + 50).to_string()));
    assert_eq!((feedback(&one), feedback(&two)), ((true, None, None), (true, Some(1), Some(1))));
    assert_eq!(
        feedback(&others),
        (false, None, None),
        "expected that a receipt of another conversation does not count"
    );
}

fn feedback_of_a_person_who_asks_to_be_forgotten_is_deleted(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, CONVERSATION, "hello");
    let mut reaction = field("20-message-reaction");
    reaction["replyToId"] = message_now().to_string().into();
    post(&stage, &reaction);
    post(&stage, &receipt(CONVERSATION, "1795167064521"));
    assert_eq!(rows(world, &stage).len(), 2);
    let mut forget = receipt(CONVERSATION, "1");
    forget["type"] = "deleteUserData".into();
    post(&stage, &forget);
    // A receipt and a reaction arrive after the deletion. The bot must ignore them, and must not store the
    // conversation again.
    post(&stage, &receipt(CONVERSATION, "1795167064523"));
    reaction["id"] = "f:late".into();
    post(&stage, &reaction);
    assert_eq!(
        rows(world, &stage).into_keys().collect::<Vec<_>>(),
        [format!("{key}.f")],
        "expected only the tombstone (the row of a forgotten conversation)"
    );
    assert_eq!(key, key_of("msteams", CONVERSATION));
}
