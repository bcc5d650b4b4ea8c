//! Tests that follow a person's message from the channel through the queue to the Connector. The bot puts an
//! *envelope* (one alert as JSON) with the message's text on the queue. The poller dequeues the envelope, and
//! sends the text to the conversation as an alert.

use chrono::{DateTime, Utc};
use end_to_end::activity::{at_service, fixture, playground};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use serde_json::Value;

end_to_end::cases!(
    teams_personal_message_is_delivered_as_an_alert,
    teams_channel_message_is_delivered_as_an_alert,
    web_chat_message_is_delivered_as_an_alert,
    playground_personal_message_is_delivered_as_an_alert,
    playground_group_message_is_delivered_as_an_alert,
    playground_channel_message_is_delivered_as_an_alert,
    playground_web_chat_message_is_delivered_as_an_alert,
);

fn teams_personal_message_is_delivered_as_an_alert(world: &World) {
    expect_exact_json_at_each_step(
        world,
        "teams-personal",
        "/amer/11111111-2222-3333-4444-555555555555/v3/conversations/\
         a%3A1pL6i0oY3C0K8oVxA4gJ9mN2bQwErTyUiOpAsDfGhJkLzXcVbNm1234567890abcdefghijk/activities",
        "1795167064521",
    );
}

fn teams_channel_message_is_delivered_as_an_alert(world: &World) {
    expect_exact_json_at_each_step(
        world,
        "teams-channel",
        "/emea/11111111-2222-3333-4444-555555555555/v3/conversations/\
         19%3A3b5c0d1e2f3a4b5c6d7e8f9a0b1c2d3e%40thread.tacv2%3Bmessageid%3D1795167100123/activities",
        "1795167191890",
    );
}

fn web_chat_message_is_delivered_as_an_alert(world: &World) {
    expect_exact_json_at_each_step(
        world,
        "webchat",
        "/v3/conversations/7tCoXhIbX2r8mUQ4kqZ9n1-us/activities",
        "7tCoXhIbX2r8mUQ4kqZ9n1-us%7C0000002",
    );
}

/// Posts one activity, and follows it until the alert is delivered. At each step, compares the JSON with
/// `fixtures/expected/<name>.json`.
#[track_caller]
fn expect_exact_json_at_each_step(
    world: &World,
    name: &str,
    activities_path: &str,
    encoded_activity_id: &str,
) {
    let stage = Stage::start(world);
    let expected = fixture(&format!("expected/{name}.json"));
    let authority = stage.connector.authority().to_owned();
    let before = Utc::now();

    stage.say(&fixture(&format!("{name}.json")));

    let mut envelopes = stage.queue.envelopes();
    assert_eq!(envelopes.len(), 1, "expected one envelope on the queue, found {envelopes:#?}");
    let enqueued_at = envelopes[0].as_object_mut().unwrap().remove("enqueuedAt").unwrap_or_default();
    let moment: DateTime<Utc> =
        enqueued_at.as_str().unwrap_or_default().parse().expect("enqueuedAt in RFC 3339");
    let tolerance = chrono::TimeDelta::seconds(1);
    assert!(
        moment >= before - tolerance && moment <= Utc::now() + tolerance,
        "expected the current time as enqueuedAt, found {moment}"
    );
    let mut expected_envelope = expected["envelope"].clone();
    expected_envelope["address"] = at_service(&expected_envelope["address"], &authority);
    // The bot divides the time since 1970 into periods of eight days, and gives each period a number. The
    // alert's id begins with the number of the current period. With this number, the bot finds the alert's
    // record in the ledger (the bot's table of alerts).
    let period = format!("{:04x}", moment.timestamp() / (8 * 24 * 60 * 60));
    expected_envelope["id"] =
        format!("{period}{}", expected_envelope["id"].as_str().expect("the rest of an id")).into();
    same_json("the envelope", &envelopes[0], &expected_envelope);

    let acknowledgement = stage.connector.wait_for(1).remove(0);
    assert_eq!(acknowledgement.path, format!("{activities_path}/{encoded_activity_id}"));
    same_json(
        "the acknowledgement",
        &acknowledgement.body,
        &at_service(&expected["acknowledgement"], &authority),
    );

    let counts = stage.poll();
    assert_eq!((&counts["received"], &counts["delivered"]), (&1.into(), &1.into()), "{counts}");
    let alert = stage.connector.wait_for(2).remove(1);
    assert_eq!(alert.path, activities_path);
    same_json("the alert", &alert.body, &at_service(&expected["alert"], &authority));

    assert_eq!(stage.queue.count(), 0, "expected that a delivered message is deleted");
    stage.poll();
    stage.connector.wait_for(2);
}

fn playground_personal_message_is_delivered_as_an_alert(world: &World) {
    expect_playground_round_trip(world, "personal", "please run pg1hw3sd");
}

fn playground_group_message_is_delivered_as_an_alert(world: &World) {
    expect_playground_round_trip(world, "groupchat", "please run pg9z7rxg");
}

fn playground_channel_message_is_delivered_as_an_alert(world: &World) {
    expect_playground_round_trip(world, "channel", "please run pgobnxcx");
}

fn playground_web_chat_message_is_delivered_as_an_alert(world: &World) {
    expect_playground_round_trip(world, "webchat", "please run pgyn7bzt");
}

/// Posts an activity that was captured from the M365 Agents Playground, a test program of Microsoft. Only the
/// port in the serviceUrl is changed. The serviceUrl still has the host name `localhost` and the Playground's
/// path `/_connector`.
#[track_caller]
fn expect_playground_round_trip(world: &World, kind: &str, text: &str) {
    let stage = Stage::start(world);
    let port = stage.connector.authority().rsplit(':').next().unwrap().to_owned();
    let activity = at_service(&playground(kind), &format!("localhost:{port}"));
    stage.post(&activity).expect_status(202);
    stage.poll();
    let both = stage.connector.wait_for(2);
    let conversation = activity["conversation"]["id"].as_str();
    for (received, words) in both.iter().zip(["Queued", "Alert"]) {
        assert_eq!(received.text(), format!("{words}: {text}"));
        assert_eq!(received.conversation().as_deref(), conversation);
        assert!(received.path.starts_with("/_connector/v3/"), "{}", received.path);
        assert_eq!(received.body["recipient"], activity["from"]);
        assert_eq!(received.body["from"], activity["recipient"]);
        assert_eq!(received.body["conversation"], activity["conversation"]);
    }
    assert_eq!(both[0].reply_to().as_deref(), activity["id"].as_str());
    assert_eq!(both[1].reply_to(), None);
}

#[track_caller]
fn same_json(what: &str, actual: &Value, expected: &Value) {
    assert!(actual == expected, "{what} is not as expected\nexpected: {expected:#}\n   found: {actual:#}");
}
