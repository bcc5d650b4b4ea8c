//! A Spin host loses its disk, and the key-value store on the disk. Everything that the bot must not lose is
//! in Azure Tables, which are not on this disk. An example is a *stop*: the mark of a conversation in which a
//! person has written `stop`.

use chrono::Utc;
use end_to_end::activity::message;
use end_to_end::alerts::{self, alert, call, key_of, known, queued, targets, to_conversation};
use end_to_end::connector::Received;
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    conversations_tags_and_stops_survive_a_lost_disk,
    idempotency_key_survives_a_lost_disk,
    activity_sent_again_after_a_lost_disk_is_queued_once,
    scheduled_alert_and_cancellation_survive_a_lost_disk,
    new_tables_are_filled_by_the_next_message,
);

/// Deletes the host's disk. Expects content in the key-value store before the loss, and an empty store
/// afterwards.
#[track_caller]
fn lose_disk(stage: &mut Stage) {
    assert!(!stage.stored().is_empty(), "expected content in key-value before the loss");
    stage.lose_disk();
    assert!(stage.stored().is_empty(), "expected an empty key-value store after the loss");
}

fn conversations_tags_and_stops_survive_a_lost_disk(world: &World) {
    let mut stage = alerts::stage(world);
    known(&stage, "a:1", "subscribe news");
    known(&stage, "a:2", "subscribe news");
    known(&stage, "a:2", "stop");
    known(&stage, "a:3", "hello");
    let before = targets(&stage);
    assert_eq!(before.len(), 3);
    lose_disk(&mut stage);
    assert_eq!(targets(&stage), before);

    let response = alert(&stage, &json!({"to": {"tag": "news"}, "text": "x"})).expect_status(202).json();
    let mut statuses: Vec<_> =
        response["alerts"].as_array().unwrap().iter().map(|alert| &alert["status"]).collect();
    statuses.sort_by_key(|status| status.to_string());
    assert_eq!(statuses, ["queued", "stopped"], "{response}");
    queued(&stage, &to_conversation(&key_of("msteams", "a:3"), "y"));
    assert_eq!(stage.poll()["delivered"], 2);

    // A person writes again in each conversation. The bot then changes neither the tags nor the stops.
    for conversation in ["a:1", "a:2", "a:3"] {
        stage.say(&message(conversation, "later", "help"));
    }
    assert!(!stage.stored().is_empty(), "expected that the bot fills key-value again");
    assert_eq!(targets(&stage), before);
}

fn idempotency_key_survives_a_lost_disk(world: &World) {
    let mut stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let mut body = to_conversation(&key, "once");
    body["idempotencyKey"] = "order 42".into();
    let first = alert(&stage, &body).expect_status(202).json();
    assert_eq!(stage.poll()["delivered"], 1);
    lose_disk(&mut stage);
    assert_eq!(alert(&stage, &body).expect_status(202).json(), first);
    assert_eq!(stage.queue.count(), 0);
    body["text"] = "another".into();
    alert(&stage, &body).expect_error(422, "IdempotencyKeyReused");
    stage.connector.wait_for(1);
}

fn activity_sent_again_after_a_lost_disk_is_queued_once(world: &World) {
    let mut stage = alerts::stage(world);
    let activity = message("a:1", "1", "hello");
    stage.say(&activity);
    assert_eq!(stage.poll()["delivered"], 1);
    lose_disk(&mut stage);
    stage.say(&activity);
    assert_eq!(stage.queue.count(), 0);
    stage.connector.wait_for(2);
}

fn scheduled_alert_and_cancellation_survive_a_lost_disk(world: &World) {
    let mut stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let due = Utc::now() + chrono::TimeDelta::seconds(4);
    let later = |text: &str| {
        let mut body = to_conversation(&key, text);
        body["at"] = due.to_rfc3339().into();
        queued(&stage, &body)
    };
    let [kept, before, after] = ["kept", "cancelled before", "cancelled after"].map(later);
    let cancel = |stage: &Stage, id: &str| {
        call(stage, "DELETE", &format!("/api/alerts/{id}"), &Value::Null).expect_status(202);
    };
    cancel(&stage, &before);
    lose_disk(&mut stage);
    cancel(&stage, &after);
    let mut cancelled = 0;
    eventually("the alert and both cancellations", || {
        cancelled += stage.poll()["cancelled"].as_u64().unwrap_or_default();
        (cancelled == 2 && stage.connector.received().iter().any(Received::is_alert)).then_some(())
    });
    assert!(Utc::now() >= due, "the alert was sent before it was due");
    assert_eq!(stage.connector.wait_for(1)[0].text(), "Alert: kept", "{kept}");
    assert_eq!(stage.queue.count(), 0);
}

/// The operator sets another prefix for the names of the tables. So the bot uses new, empty tables. The
/// key-value store keeps its content.
fn new_tables_are_filled_by_the_next_message(world: &World) {
    let mut stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let other = format!("{}moved", stage.table_prefix);
    stage.restart_with_table_prefix(&other);
    assert!(!stage.stored().is_empty() && targets(&stage).is_empty());
    assert_eq!(known(&stage, "a:1", "subscribe news"), key);
    assert_eq!(targets(&stage)[0]["tags"], json!(["news"]));
    queued(&stage, &to_conversation(&key, "hello"));
    assert_eq!(stage.poll()["delivered"], 1);
}
