//! Responses of the Connector whose body breaks off or never ends.

use std::time::Duration;

use end_to_end::connector::{EndlessBody, Reply};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

use crate::draining;

end_to_end::cases!(
    endless_body_is_cut_off_when_the_call_times_out,
    accepted_alert_with_a_lost_response_body_counts_as_delivered,
    retry_after_of_a_response_with_a_lost_body_is_obeyed,
);

/// Makes an envelope (one alert as JSON, for the queue). The alert is for the conversation `a:<id>`.
fn envelope(stage: &Stage, id: &str) -> Value {
    draining::envelope(stage, id, &format!("a:{id}"), id)
}

/// The body of the Connector's response never ends. Each pause between two bytes is shorter than the poller's
/// time-out for a pause. So only the time-out for the whole call can end the call.
fn endless_body_is_cut_off_when_the_call_times_out(world: &World) {
    const FAR_MORE_THAN_A_CALL_READS: usize = 1_000;
    let stage = Stage::start(world);
    let endless_body = EndlessBody::every(Duration::from_millis(100));
    let sent_body = endless_body.clone();
    stage.connector.on(move |received| {
        (received.text() == "Alert: endless").then(|| Reply::created("x").with_endless_body(&sent_body))
    });
    for id in ["endless", "intact"] {
        stage.queue.put_json(&envelope(&stage, id));
    }
    let counts = stage.poll();
    assert_eq!(counts["delivered"], 2, "{counts}");
    eventually("the end of the connection", || endless_body.client_has_disconnected().then_some(()));
    assert!((1..FAR_MORE_THAN_A_CALL_READS).contains(&endless_body.sent_bytes()), "{endless_body:?}");
    expect_logged(&stage, "alert.delivered", "201, and its body was lost: the body did not end in time");
}

#[track_caller]
fn expect_logged(stage: &Stage, event: &str, reason: &str) {
    eventually(&format!("a line of the log with {event} and the reason {reason:?}"), || {
        stage.wait_for_events(event, 1).iter().any(|line| line["reason"] == reason).then_some(())
    });
}

fn accepted_alert_with_a_lost_response_body_counts_as_delivered(world: &World) {
    let long = || json!({"id": "x", "padding": "x".repeat(70 * 1024)});
    type MakeReply = fn(Value) -> Reply;
    let rows: [(&str, MakeReply, Value, &str); 2] = [
        ("too long", |body| Reply::status(201, body), long(), "the body is larger than 65536 bytes"),
        ("cut", |body| Reply::status(201, body).cut_in_body(), json!({"id": "x"}), "the connection broke"),
    ];
    for (id, make_reply, body, problem) in rows {
        let stage = Stage::start(world);
        stage.queue.put_json(&envelope(&stage, id));
        stage.connector.on(move |_| Some(make_reply(body.clone())));
        let counts = stage.poll();
        assert_eq!(counts["delivered"], 1, "{id}: {counts}");
        expect_logged(&stage, "alert.delivered", &format!("201, and its body was lost: {problem}"));
        assert_eq!(
            (stage.queue.count(), stage.queue.poison().count()),
            (0, 0),
            "{id}: expected empty queues"
        );
        stage.poll();
        stage.connector.wait_for(1);
    }
}

/// The header `Retry-After` arrives before the body breaks off. So the poller can hide the queue message for
/// the time in this header.
fn retry_after_of_a_response_with_a_lost_body_is_obeyed(world: &World) {
    let stage = Stage::start(world);
    stage.queue.put_json(&envelope(&stage, "throttled"));
    stage.connector.on(|_| Some(Reply::error(429, "Throttled").header("retry-after", "1000").cut_in_body()));
    let counts = stage.poll();
    assert_eq!((&counts["throttled"], &counts["delivered"]), (&1.into(), &0.into()), "{counts}");
    assert_eq!(
        (stage.queue.count(), stage.queue.texts().len()),
        (1, 0),
        "expected one message on the queue, and no visible message"
    );
    expect_logged(&stage, "alert.retried", "429, and its body was lost: the connection broke");
}
