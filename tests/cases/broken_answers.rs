//! Answers of the Connector that begin well.

use std::time::Duration;

use end_to_end::connector::{Drip, Reply};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

use crate::draining;

end_to_end::cases!(
    a_body_that_drips_ends_with_its_call,
    an_accepted_alert_is_delivered_whatever_becomes_of_the_answer_s_body,
    a_refusal_is_one_without_its_body,
);

/// An envelope for a conversation of its own.
fn envelope(stage: &Stage, id: &str) -> Value {
    draining::envelope(stage, id, &format!("a:{id}"), id)
}

/// It would go on for ever, and no pause in it is long enough for the phases' time-outs: a run that stayed with it would
/// not answer this poll.
fn a_body_that_drips_ends_with_its_call(world: &World) {
    const FAR_MORE_THAN_A_CALL_READS: usize = 1_000;
    let stage = Stage::start(world);
    let drip = Drip::every(Duration::from_millis(100));
    let dripping = drip.clone();
    stage.connector.on(move |received| {
        (received.text() == "Alert: drips").then(|| Reply::created("x").dripping(&dripping))
    });
    for id in ["drips", "sound"] {
        stage.queue.put_json(&envelope(&stage, id));
    }
    let counts = stage.poll();
    assert_eq!(counts["delivered"], 2, "{counts}");
    eventually("the end of the connection", || drip.was_hung_up().then_some(()));
    assert!((1..FAR_MORE_THAN_A_CALL_READS).contains(&drip.sent_bytes()), "{drip:?}");
    expect_logged(&stage, "alert.delivered", "201, and its body was lost: the body did not end in time");
}

#[track_caller]
fn expect_logged(stage: &Stage, event: &str, reason: &str) {
    let logged = stage.wait_for_events(event, 1);
    assert!(logged.iter().any(|line| line["reason"] == reason), "{reason:?} in {logged:?}");
}

fn an_accepted_alert_is_delivered_whatever_becomes_of_the_answer_s_body(world: &World) {
    let long = || json!({"id": "x", "padding": "x".repeat(70 * 1024)});
    type Script = fn(Value) -> Reply;
    let rows: [(&str, Script, Value, &str); 2] = [
        ("too long", |body| Reply::status(201, body), long(), "the body is larger than 65536 bytes"),
        ("cut", |body| Reply::status(201, body).cut_in_body(), json!({"id": "x"}), "the connection broke"),
    ];
    for (id, script, body, problem) in rows {
        let stage = Stage::start(world);
        stage.queue.put_json(&envelope(&stage, id));
        stage.connector.on(move |_| Some(script(body.clone())));
        let counts = stage.poll();
        assert_eq!(counts["delivered"], 1, "{id}: {counts}");
        expect_logged(&stage, "alert.delivered", &format!("201, and its body was lost: {problem}"));
        assert_eq!(
            (stage.queue.count(), stage.queue.poison().count()),
            (0, 0),
            "{id}: nothing is left of it"
        );
        stage.poll();
        stage.connector.wait_for(1);
    }
}

/// It asks for a pause, and gets one: for as long as it says, which only its head does.
fn a_refusal_is_one_without_its_body(world: &World) {
    let stage = Stage::start(world);
    stage.queue.put_json(&envelope(&stage, "throttled"));
    stage.connector.on(|_| Some(Reply::error(429, "Throttled").header("retry-after", "1000").cut_in_body()));
    let counts = stage.poll();
    assert_eq!((&counts["throttled"], &counts["delivered"]), (&1.into(), &0.into()), "{counts}");
    assert_eq!((stage.queue.count(), stage.queue.texts().len()), (1, 0), "it is hidden");
    expect_logged(&stage, "alert.retried", "429, and its body was lost: the connection broke");
}
