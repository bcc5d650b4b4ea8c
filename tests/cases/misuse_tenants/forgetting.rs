//! Alerts after `stop`, and alerts after the bot has forgotten a conversation. The bot forgets a conversation
//! at the activity `deleteUserData`, and at the API call `DELETE /api/targets/{conversation}`.

use chrono::{TimeDelta, Utc};
use end_to_end::activity::{at_service, fixture, message};
use end_to_end::alerts::{self, alert, key_of, known, queued, targets, to_conversation};
use end_to_end::connector::Reply;
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use envelope::testing::WRAPPINGS;
use serde_json::{Value, json};

use super::{address, alerted, tables_of};

/// Posts the activity `deleteUserData`: the person in this conversation asks to be forgotten.
#[track_caller]
fn forget_person(stage: &Stage, conversation: &str) {
    let mut activity = stage.connector.host(&message(conversation, "forget", ""));
    activity["type"] = "deleteUserData".into();
    stage.post(&activity).expect_status(200);
}

pub(super) fn waiting_alerts_are_dropped_after_delete_user_data(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    known(&stage, "a:2", "hello");
    queued(&stage, &to_conversation(&key, "waiting"));
    queued(&stage, &to_conversation(&key_of("msteams", "a:2"), "in another chat of the person"));
    let mut later = to_conversation(&key, "scheduled");
    later["delay"] = "PT2S".into();
    queued(&stage, &later);
    stage.say(&message("a:1", "2", "remind me in 2 seconds tea"));
    stage.say(&message("a:1", "3", "what I said myself"));
    let mut group = fixture("teams-channel.json");
    group["text"] = "<at>Proactive Bot</at> for everybody".into();
    stage.say(&group);
    forget_person(&stage, "a:1");
    assert_eq!(targets(&stage).len(), 1, "expected the group to be still stored");
    let mut dropped = 0;
    eventually("an empty queue", || {
        dropped += stage.poll()["stopped"].as_u64().unwrap_or_default();
        (stage.queue.count() == 0).then_some(())
    });
    assert_eq!(dropped, 5);
    assert_eq!(alerted(&stage), ["Alert: for everybody"]);
    let [conversations, ledger, _] = tables_of(world, &stage);
    let reason = |entity: &storage_table::Entity| entity.str("reason").unwrap_or_default().to_owned();
    let stopped = ledger.entities().into_iter().filter(|entity| entity.str("status") == Some("stopped"));
    let reasons: Vec<_> = stopped.map(|entity| reason(&entity)).collect();
    assert_eq!(reasons, vec!["the person asked to be forgotten"; 5]);
    // In the table of conversations, only one row of this conversation is left. The row is a *tombstone*: it
    // has a hash of the conversation, and the time at which the bot forgot the conversation.
    let rows = conversations.entities();
    let left: Vec<_> = rows.iter().filter(|entity| entity.key.row.starts_with(&key)).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].key.row, format!("{key}.f"));

    // When the person writes again, the bot stores the conversation again, and new alerts are delivered.
    assert_eq!(known(&stage, "a:1", "here I am"), key);
    queued(&stage, &to_conversation(&key, "new"));
    assert_eq!(stage.poll()["delivered"], 1);
    assert_eq!(alerted(&stage), ["Alert: new"]);
}

pub(super) fn message_from_before_delete_user_data_is_dropped_and_a_later_message_is_delivered(
    world: &World,
) {
    let stage = alerts::stage(world);
    known(&stage, "a:1", "hello");
    forget_person(&stage, "a:1");
    known(&stage, "a:1", "here I am");
    // A run (one execution of the poller) reads a list of the conversations that the bot has forgotten in the
    // last ten minutes. For the message `after`, which is new, this list is enough. The message `before` is
    // 30 days old, so the bot could have forgotten the conversation more than ten minutes ago. For such a
    // message, the run also reads the tombstone.
    for (id, enqueued_at) in [("before", Utc::now() - TimeDelta::days(30)), ("after", Utc::now())] {
        let address = at_service(&address(&stage, "msteams", "a:1"), stage.connector.authority());
        stage.queue.put_json(&json!({
            "version": 1, "id": id, "text": id, "enqueuedAt": enqueued_at.to_rfc3339(), "address": address,
        }));
    }
    let counts = stage.poll();
    assert_eq!((&counts["stopped"], &counts["delivered"]), (&1.into(), &1.into()), "{counts}");
    assert_eq!(alerted(&stage), ["Alert: after"]);
}

pub(super) fn stop_survives_delete_user_data(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "stop");
    for over in [
        json!({"type": "deleteUserData"}),
        json!({"type": "endOfConversation"}),
        json!({"type": "installationUpdate", "action": "remove"}),
    ] {
        let mut activity = stage.connector.host(&message("a:1", "over", ""));
        activity.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
        stage.post(&activity).expect_status(200);
        assert!(targets(&stage).is_empty(), "{over}");
        known(&stage, "a:1", &format!("hello after {over}"));
        let response = alert(&stage, &to_conversation(&key, "x")).expect_status(202).json();
        assert_eq!(response["alerts"][0]["status"], "stopped", "{over}");
    }
    known(&stage, "a:1", "start");
    queued(&stage, &to_conversation(&key, "x"));
}

pub(super) fn messages_of_a_forgotten_conversation_are_removed_from_the_poison_queue(world: &World) {
    let stage = alerts::stage(world);
    let keys = ["a:1", "a:2"].map(|conversation| known(&stage, conversation, "hello"));
    stage.connector.on(|received| received.is_alert().then(|| Reply::error(400, "BadSyntax")));
    for key in [&keys[0], &keys[0], &keys[1]] {
        queued(&stage, &to_conversation(key, "cannot be said"));
    }
    assert_eq!(stage.poll()["poisoned"], 3);
    let poison = stage.queue.poison();
    poison.put("no envelope");
    // These queue messages are in the format of an older bot. `WRAPPINGS` has every wrapping (encoding of the
    // text) that the poller can read.
    let older = json!({"address": address(&stage, "msteams", "a:1"), "text": "x"}).to_string();
    for (_, wrap) in WRAPPINGS {
        poison.put(&wrap(&older));
    }
    queued(&stage, &to_conversation(&keys[0], "waiting"));
    let forget = |key: &str| alerts::call(&stage, "DELETE", &format!("/api/targets/{key}"), &Value::Null);
    let response = forget(&keys[0]).expect_status(200).json();
    let removed = 2 + WRAPPINGS.len();
    let expected = json!({"conversation": keys[0], "removed": removed, "unreadable": 1, "complete": true});
    assert_eq!(response, expected);
    assert_eq!(targets(&stage).len(), 1);
    assert_eq!(poison.count(), 2, "expected two messages: one for `a:2`, and the unreadable message");
    assert_eq!(stage.poll()["stopped"], 1, "expected that the waiting message is dropped");
    // During its search, the first call hid all messages of the poison queue. At the end, the first call made
    // the remaining messages visible again. So the second call finds these messages.
    let response = forget(&keys[1]).expect_status(200).json();
    let expected = json!({"conversation": keys[1], "removed": 1, "unreadable": 1, "complete": true});
    assert_eq!(response, expected);
    for wrong in ["x", "", "625A4B036870769BF12C984B0EB57AF7", &format!("{}/x", keys[0])] {
        let response = forget(wrong);
        assert_eq!(response.status, 404, "{wrong}: {}", response.describe());
    }
    let path = format!("/api/targets/{}", keys[1]);
    alerts::call(&stage, "GET", &path, &Value::Null).expect_status(405);
    alerts::call_with(&stage, "DELETE", &path, "Bearer wrong", &Value::Null).expect_status(401);
    assert!(targets(&stage).is_empty());
}

pub(super) fn alert_of_a_call_repeated_after_delete_user_data_is_dropped(world: &World) {
    let stage = alerts::stage(world);
    known(&stage, "a:1", "hello");
    let mut body = json!({"to": {"address": address(&stage, "msteams", "a:1")}, "text": "x"});
    body["idempotencyKey"] = "x".into();
    queued(&stage, &body);
    // The queue message of the first call is lost, and the caller does not notice the loss.
    stage.queue.take_all();
    forget_person(&stage, "a:1");
    queued(&stage, &body);
    let counts = stage.poll();
    assert_eq!((&counts["stopped"], &counts["delivered"]), (&1.into(), &0.into()), "{counts}");
    // The poller has dropped the alert. The envelope (the alert as JSON) of the repeated call has the time of
    // the first call, and the first call was before `deleteUserData`. A call with another idempotency key is
    // a new call, so its envelope has a new time.
    body["idempotencyKey"] = "y".into();
    queued(&stage, &body);
    assert_eq!(stage.poll()["delivered"], 1);
}
