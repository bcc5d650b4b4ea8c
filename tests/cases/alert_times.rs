//! Alerts that a back end (a program) sends with `POST /api/alerts`. These alerts are due later, expire, or
//! are cancelled.

use chrono::{DateTime, Utc};
use end_to_end::activity::message;
use end_to_end::alerts::{self, alert, call, key_of, known, queued, to_conversation};
use end_to_end::connector::Received;
use end_to_end::put_only_queue::PutOnlyQueue;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    scheduled_alert_waits_until_the_due_time,
    queue_message_of_a_scheduled_alert_is_hidden_for_at_most_seven_days,
    expired_alert_is_not_delivered,
    cancelled_alert_is_not_delivered,
    copy_of_a_cancelled_alert_is_not_delivered,
    cancellation_of_a_delivered_alert_is_refused,
);

fn scheduled_alert_waits_until_the_due_time(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let due = Utc::now() + chrono::TimeDelta::milliseconds(2500);
    let mut body = to_conversation(&key, "later");
    body["at"] = due.to_rfc3339().into();
    queued(&stage, &body);
    let mut body = to_conversation(&key, "sooner");
    body["delay"] = "PT1S".into();
    queued(&stage, &body);
    let texts = eventually("both alerts", || {
        stage.poll();
        let received = stage.connector.received();
        let sent: Vec<_> = received.iter().map(Received::text).map(ToOwned::to_owned).collect();
        (sent.len() == 2).then_some(sent)
    });
    assert!(Utc::now() >= due, "the later alert was sent before it was due");
    assert_eq!(texts, ["Alert: sooner", "Alert: later"]);
    // If `at` is in the past, the alert is due at once.
    let mut body = to_conversation(&key, "overdue");
    body["at"] = "2020-01-01T00:00:00Z".into();
    queued(&stage, &body);
    assert_eq!(stage.poll()["delivered"], 1);
}

fn queue_message_of_a_scheduled_alert_is_hidden_for_at_most_seven_days(world: &World) {
    let queue = PutOnlyQueue::start();
    let stage = alerts::script(world).queue_at(queue.authority()).start();
    let activity = stage.connector.host(&message("a:1", "1", "help"));
    stage.post(&activity).expect_status(202);
    let key = key_of("msteams", "a:1");
    for (delay, hidden_seconds) in [("PT10M", 600), ("P7D", 604_800), ("P366D", 604_800)] {
        let mut body = to_conversation(&key, "later");
        body["delay"] = delay.into();
        queued(&stage, &body);
        let put = queue.take().remove(0);
        assert_eq!((put.hidden_seconds, put.time_to_live.as_str()), (hidden_seconds, "-1"), "{delay}");
        let due: DateTime<Utc> = put.envelope["notBefore"].as_str().unwrap().parse().unwrap();
        assert!((due - Utc::now()).num_seconds() >= hidden_seconds as i64 - 60, "{delay}: {}", put.envelope);
    }
}

fn expired_alert_is_not_delivered(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let mut body = to_conversation(&key, "too late");
    body["expires"] = (Utc::now() + chrono::TimeDelta::milliseconds(1500)).to_rfc3339().into();
    queued(&stage, &body);
    let expires: DateTime<Utc> = body["expires"].as_str().unwrap().parse().unwrap();
    eventually("the time of `expires`", || (Utc::now() > expires).then_some(()));
    assert_eq!(stage.poll()["expired"], 1);
    stage.connector.expect_silence();
}

fn cancelled_alert_is_not_delivered(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let (kept, cancelled) =
        (queued(&stage, &to_conversation(&key, "kept")), queued(&stage, &to_conversation(&key, "cancelled")));
    let response = call(&stage, "DELETE", &format!("/api/alerts/{cancelled}"), &Value::Null);
    let expected = json!({"id": cancelled, "status": "cancelling"});
    assert_eq!(response.expect_status(202).json(), expected);
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], &counts["cancelled"]), (&1.into(), &1.into()), "{kept}: {counts}");
    assert_eq!(stage.connector.wait_for(1)[0].text(), "Alert: kept");
    assert_eq!(stage.queue.count(), 0);
    for id in ["", "x", "0123456789ABCDEF0123456789ABCDEF", &format!("{cancelled}/x")] {
        let response = call(&stage, "DELETE", &format!("/api/alerts/{id}"), &Value::Null);
        assert!([404, 405].contains(&response.status), "{id}: {}", response.describe());
    }
}

fn copy_of_a_cancelled_alert_is_not_delivered(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let mut body = to_conversation(&key, "cancelled");
    body["idempotencyKey"] = "x".into();
    let id = queued(&stage, &body);
    let copy = stage.queue.texts().remove(0);
    call(&stage, "DELETE", &format!("/api/alerts/{id}"), &Value::Null).expect_status(202);
    assert_eq!(stage.poll()["cancelled"], 1);
    stage.queue.put(&copy);
    assert_eq!(stage.poll()["alreadySent"], 1, "expected the poller to drop a copy of a cancelled alert");
    let again = alert(&stage, &body).expect_status(202).json();
    assert_eq!(
        again["alerts"][0]["status"], "cancelled",
        "expected that the response to a repeated call reports the cancellation"
    );
    assert_eq!(stage.queue.count(), 0);
    stage.connector.expect_silence();
}

fn cancellation_of_a_delivered_alert_is_refused(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let id = queued(&stage, &to_conversation(&key, "sent"));
    stage.poll();
    let response = call(&stage, "DELETE", &format!("/api/alerts/{id}"), &Value::Null);
    response.expect_error(409, "AlertIsOver");
    queued(&stage, &to_conversation(&key, "another"));
    assert_eq!(stage.poll()["delivered"], 1);
    stage.connector.wait_for(2);
}
