//! The header `traceparent`, which contains a trace id. If a request to the bot has this header, the request
//! to the Connector and the log lines have the same trace id.

use std::sync::atomic::{AtomicBool, Ordering};

use end_to_end::activity::message;
use end_to_end::alerts::{self, ALERT_KEY, known, to_conversation};
use end_to_end::connector::{Received, Reply};
use end_to_end::direct_line::DirectLine;
use end_to_end::stage::{Script, Stage};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use end_to_end::web::{self, WholeResponse};
use serde_json::{Value, json};

end_to_end::cases!(
    trace_of_a_call_reaches_the_connector_and_every_log_line,
    trace_of_an_activity_reaches_the_reply_and_the_alert,
    trace_survives_a_retry_and_is_in_the_poison_queue,
    trace_in_the_envelope_reaches_the_connector_through_direct_line,
    invalid_trace_of_a_caller_or_of_a_foreign_envelope_is_ignored,
);

/// The trace id in an example of the W3C specification "Trace Context". `PARENT_ID` and `TRACEPARENT` come
/// from the same example.
pub(crate) const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const PARENT_ID: &str = "00f067aa0ba902b7";
pub(crate) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[track_caller]
pub(crate) fn post(stage: &Stage, path: &str, trace: &str, body: &Value) -> WholeResponse {
    let mut request = http::Request::post(stage.url(path))
        .header("authorization", format!("Bearer {ALERT_KEY}"))
        .header("content-type", "application/json");
    if !trace.is_empty() {
        request = request.header("traceparent", trace);
    }
    web::send(request.body(web::whole(body.to_string())).unwrap())
}

/// Sends an alert with `trace` as the header `traceparent`, and expects that the bot accepts the alert.
/// Returns the alert's envelope (the alert as JSON on the queue). `key` is the conversation key, by which
/// programs name a conversation.
#[track_caller]
pub(crate) fn alert(stage: &Stage, key: &str, trace: &str, text: &str) -> Value {
    post(stage, "/api/alerts", trace, &to_conversation(key, text)).expect_status(202);
    stage.queue.envelopes().pop().expect("an envelope")
}

pub(crate) fn header(received: &Received) -> Option<&str> {
    received.headers.get("traceparent").map(|value| value.to_str().unwrap())
}

/// Expects that the header `traceparent` of the request has the trace id [`TRACE_ID`]. The parent id must not
/// be [`PARENT_ID`], because each request of a trace has its own parent id. Returns the value of the header.
#[track_caller]
pub(crate) fn expect_trace(received: &Received) -> String {
    let header = header(received).unwrap_or_default();
    let is_child = header.len() == TRACEPARENT.len()
        && header.starts_with(&format!("00-{TRACE_ID}-"))
        && header.ends_with("-01")
        && header != TRACEPARENT;
    assert!(
        is_child,
        "expected the trace {TRACE_ID} with a parent id other than {PARENT_ID}, found {received:?}"
    );
    header.to_owned()
}

#[track_caller]
pub(crate) fn expect_logged(stage: &Stage, event: &str, count: usize) {
    let events = stage.wait_for_events(event, count);
    let traces: Vec<&Value> = events.iter().map(|event| &event["trace"]).collect();
    assert_eq!(traces, vec![TRACE_ID; count], "{event}");
}

fn trace_of_a_call_reaches_the_connector_and_every_log_line(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let envelope = alert(&stage, &key, TRACEPARENT, "tea");
    assert_eq!(envelope["traceparent"], TRACEPARENT);
    stage.poll();
    let received = stage.connector.wait_for(1).remove(0);
    assert_eq!(received.text(), "Alert: tea");
    expect_trace(&received);
    assert_eq!(received.body.get("traceparent"), None, "expected the trace only in the header");
    expect_logged(&stage, "alerts.queued", 1);
    expect_logged(&stage, "alert.delivered", 1);
    // The log line of a refused call also has the trace id.
    post(&stage, "/api/alerts", TRACEPARENT, &json!({"text": 7})).expect_status(400);
    expect_logged(&stage, "request.rejected", 1);
    // An alert without the header has no trace.
    let plain = alert(&stage, &key, "", "coffee");
    assert_eq!(plain.get("traceparent"), None);
    stage.poll();
    let received = stage.connector.wait_for(2).remove(1);
    assert_eq!((received.text(), header(&received)), ("Alert: coffee", None));
    for event in ["alerts.queued", "alert.delivered"] {
        assert_eq!(stage.wait_for_events(event, 2)[1].get("trace"), None, "{event}");
    }
}

fn trace_of_an_activity_reaches_the_reply_and_the_alert(world: &World) {
    let stage = alerts::stage(world);
    let activity = stage.connector.host(&message("a:1", "1", "tea"));
    post(&stage, "/api/messages", TRACEPARENT, &activity).expect_status(202);
    assert_eq!(stage.queue.envelopes()[0]["traceparent"], TRACEPARENT);
    stage.poll();
    let received = stage.connector.wait_for(2);
    let texts: Vec<&str> = received.iter().map(Received::text).collect();
    assert_eq!(texts, ["Queued: tea", "Alert: tea"]);
    assert_ne!(
        expect_trace(&received[0]),
        expect_trace(&received[1]),
        "expected that the two requests have different parent ids"
    );
    expect_logged(&stage, "message.queued", 1);
    expect_logged(&stage, "alert.delivered", 1);
}

fn trace_survives_a_retry_and_is_in_the_poison_queue(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let is_first = AtomicBool::new(true);
    stage.connector.on(move |_| {
        let is_throttled = is_first.swap(false, Ordering::SeqCst);
        is_throttled.then(|| Reply::error(429, "Throttled").header("retry-after", "1"))
    });
    alert(&stage, &key, TRACEPARENT, "tea");
    eventually("two attempts", || {
        stage.poll();
        (stage.connector.received().len() >= 2).then_some(())
    });
    let received = stage.connector.wait_for(2);
    assert_ne!(
        expect_trace(&received[0]),
        expect_trace(&received[1]),
        "expected that the two attempts have different parent ids"
    );
    expect_logged(&stage, "alert.retried", 1);
    expect_logged(&stage, "alert.delivered", 1);
    stage.connector.on(|_| Some(Reply::error(400, "BadSyntax")));
    alert(&stage, &key, TRACEPARENT, "coffee");
    stage.poll();
    expect_logged(&stage, "alert.poisoned", 1);
    assert_eq!(stage.queue.poison().envelopes()[0]["traceparent"], TRACEPARENT);
}

fn trace_in_the_envelope_reaches_the_connector_through_direct_line(world: &World) {
    let direct_line = DirectLine::start("");
    let stage = Script::new(world)
        .variable("alertkey", ALERT_KEY)
        .variable("unsealedtriggers", "allow")
        .variable("delivery", "directline")
        .variable("directlineendpoint", &format!("http://{}", direct_line.authority()))
        .start();
    direct_line.forward_to(stage.url("/api/messages"));
    let key = known(&stage, "a:1", "hello");
    alert(&stage, &key, TRACEPARENT, "tea");
    stage.poll();
    let received = stage.connector.wait_for(1);
    assert_eq!(received[0].text(), "Alert: tea");
    expect_trace(&received[0]);
    expect_logged(&stage, "trigger.delivered", 1);
}

fn invalid_trace_of_a_caller_or_of_a_foreign_envelope_is_ignored(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let invalid = [
        "00-x",
        &TRACEPARENT.to_uppercase(),
        &TRACEPARENT.replace(TRACE_ID, &"0".repeat(32)),
        &format!("{TRACEPARENT}-x"),
    ];
    for (index, trace) in invalid.into_iter().enumerate() {
        let envelope = alert(&stage, &key, trace, "tea");
        assert_eq!(envelope.get("traceparent"), None, "{trace}");
        stage.poll();
        let received = stage.connector.wait_for(index + 1);
        assert_eq!(header(&received[index]), None, "{trace}");
    }
    stage.connector.forget();
    for (index, trace) in [json!(7), json!("00-x"), json!({"a": [1]}), Value::Null].into_iter().enumerate() {
        let mut envelope = crate::draining::envelope(&stage, &format!("foreign-{index}"), "a:2", "foreign");
        envelope["traceparent"] = trace;
        stage.queue.put_json(&envelope);
        stage.poll();
        let received = stage.connector.wait_for(index + 1);
        assert_eq!(
            (received[index].text(), header(&received[index])),
            ("Alert: foreign", None),
            "{envelope}"
        );
    }
    // If another program puts an envelope with a valid `traceparent` on the queue, the poller uses the trace
    // id of this envelope.
    let mut envelope = crate::draining::envelope(&stage, "foreign-valid", "a:2", "foreign");
    envelope["traceparent"] = TRACEPARENT.into();
    stage.queue.put_json(&envelope);
    stage.poll();
    expect_trace(&stage.connector.wait_for(5)[4]);
}
