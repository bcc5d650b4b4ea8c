//! Answers of the Connector that begin well.

use std::time::Duration;

use end_to_end::activity::at_service;
use end_to_end::connector::{Drip, Reply};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(a_body_that_drips_ends_with_its_call);

/// An envelope for a conversation of its own.
fn envelope(stage: &Stage, id: &str) -> Value {
    let address = json!({
        "id": "1", "channelId": "msteams", "serviceUrl": "http://127.0.0.1:1/amer/", "user": {"id": "29:u"},
        "bot": {"id": "28:b"}, "conversation": {"id": format!("a:{id}"), "tenantId": "t"},
    });
    json!({
        "version": 1, "id": id, "text": id, "enqueuedAt": "2026-11-23T22:00:00Z",
        "address": at_service(&address, stage.connector.authority()),
    })
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
    assert_eq!((&counts["delivered"], &counts["possiblyDelivered"]), (&1.into(), &1.into()), "{counts}");
    eventually("the end of the connection", || drip.was_hung_up().then_some(()));
    assert!((1..FAR_MORE_THAN_A_CALL_READS).contains(&drip.sent_bytes()), "{drip:?}");
    let logged = stage.wait_for_events("alert.retried", 1);
    assert_eq!(logged[0]["reason"], "the answer was lost: its body did not end in time", "{logged:?}");
}
