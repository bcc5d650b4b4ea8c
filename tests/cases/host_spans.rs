//! Spin's spans. For each request, Spin makes a *span* (a record for tracing), and exports the span by OTLP.
//! If the request has a header `traceparent`, the span belongs to the trace that this header names. The cases
//! check which trace a span continues, and which header `traceparent` the Connector gets.
//!
//! The *sender* is the program that sends an alert by an API call. The *kick* is the bot's call to the
//! poller, which starts a *run* (one execution of the poller).

use dev::host::HostKind;
use end_to_end::alerts::{self, known};
use end_to_end::connector::Received;
use end_to_end::span_collector::{Span, SpanCollector};
use end_to_end::stage::Stage;
use end_to_end::suite::{World, chosen_host};

use crate::tracing::{PARENT_ID, TRACE_ID, TRACEPARENT, alert, expect_logged, expect_trace, header, post};

end_to_end::cases!(
    host_spans_of_a_call_continue_the_senders_trace,
    host_spans_of_call_kick_and_delivery_are_in_one_trace,
    host_replaces_the_senders_trace_if_a_call_of_a_scheduler_starts_the_run,
    sender_trace_reaches_the_connector_if_outbound_calls_have_no_spans,
    sender_trace_reaches_the_connector_if_the_cron_trigger_starts_the_run,
);

/// The reason that the test run shows if it skips these cases.
pub(crate) const MISSING: &str = "only Spin makes spans: set E2E_HOST=spin";

/// Whether the host of this test run makes spans.
pub(crate) fn can_run() -> bool {
    chosen_host() == HostKind::Spin
}

/// Waits for the span of the API call that had the header [`TRACEPARENT`].
#[track_caller]
fn span_of_the_call(collector: &SpanCollector) -> Span {
    let call = collector.wait_for("the span of the call", |span| span.parent_id == PARENT_ID);
    assert!(call.is_inbound, "{call:?}");
    assert_eq!((&*call.trace_id, call.attribute("url.path")), (TRACE_ID, "/api/alerts"), "{call:?}");
    call
}

/// Waits for the span of the outbound request to the Connector. The header `traceparent` that the Connector
/// received names this span.
#[track_caller]
fn span_of_the_delivery(collector: &SpanCollector, received: &Received) -> Span {
    let header = header(received).unwrap_or_default().to_owned();
    let delivery = collector.wait_for(&format!("the span {header:?}"), |span| {
        header == format!("00-{}-{}-01", span.trace_id, span.span_id)
    });
    assert!(delivery.attribute("url.full").contains("/v3/conversations/"), "{delivery:?}");
    delivery
}

/// Expects that `top` is an ancestor of `span`.
#[track_caller]
fn expect_below(collector: &SpanCollector, span: &Span, top: &Span) {
    let mut above = span.parent_id.clone();
    while above != top.span_id {
        let parent = collector.wait_for(&format!("the parent {above:?}"), |other| other.span_id == above);
        assert_eq!(parent.trace_id, span.trace_id);
        above = parent.parent_id;
    }
}

/// Waits for the only request to the Connector, which must be the alert "tea".
#[track_caller]
fn delivered(stage: &Stage) -> Received {
    let received = stage.connector.wait_for(1).remove(0);
    assert_eq!(received.text(), "Alert: tea");
    received
}

fn host_spans_of_a_call_continue_the_senders_trace(world: &World) {
    let collector = SpanCollector::start();
    let stage = alerts::script(world).exporting(&collector).start();
    let key = known(&stage, "a:1", "hello");
    // Spin makes its own span for the call. But Spin does not change the header `traceparent` of the call,
    // which still names the sender's span.
    assert_eq!(alert(&stage, &key, TRACEPARENT, "tea")["traceparent"], TRACEPARENT);
    expect_logged(&stage, "alerts.queued", 1);
    let call = span_of_the_call(&collector);
    let put = collector.wait_for("the span of Put Message", |span| {
        span.trace_id == TRACE_ID && span.attribute("url.full").contains("/messages")
    });
    expect_below(&collector, &put, &call);
}

fn host_spans_of_call_kick_and_delivery_are_in_one_trace(world: &World) {
    let collector = SpanCollector::start();
    let mut stage = alerts::script(world).exporting(&collector).start();
    let key = known(&stage, "a:1", "hello");
    stage.restart_with("kick", "on");
    post(&stage, "/api/alerts", TRACEPARENT, &alerts::to_conversation(&key, "tea")).expect_status(202);
    let received = delivered(&stage);
    expect_trace(&received);
    let delivery = span_of_the_delivery(&collector, &received);
    expect_below(&collector, &delivery, &span_of_the_call(&collector));
    expect_logged(&stage, "alert.delivered", 1);
}

fn host_replaces_the_senders_trace_if_a_call_of_a_scheduler_starts_the_run(world: &World) {
    let collector = SpanCollector::start();
    let stage = alerts::script(world).exporting(&collector).start();
    let key = known(&stage, "a:1", "hello");
    alert(&stage, &key, TRACEPARENT, "tea");
    stage.poll();
    let delivery = span_of_the_delivery(&collector, &delivered(&stage));
    let run = collector.wait_for("the span of the run", |span| {
        span.is_inbound && span.attribute("url.path") == "/internal/poll"
    });
    assert_ne!(delivery.trace_id, TRACE_ID);
    expect_below(&collector, &delivery, &run);
    // The log line has the sender's trace id, but the run belongs to another trace. Spin also records the log
    // line as an event in a span. This span is the parent of the span of the delivery.
    expect_logged(&stage, "alert.delivered", 1);
    let is_delivered = |line: &str| line.contains(r#""event":"alert.delivered""#) && line.contains(TRACE_ID);
    let poller = collector.wait_for("the log line as an event of a span", |span| {
        span.events.iter().any(|event| event.get("app_log").is_some_and(|line| is_delivered(line)))
    });
    assert_eq!(
        poller.span_id, delivery.parent_id,
        "expected that the span of the run is the parent of the span of the delivery"
    );
}

fn sender_trace_reaches_the_connector_if_outbound_calls_have_no_spans(world: &World) {
    let collector = SpanCollector::start();
    let mut stage = alerts::script(world)
        .exporting(&collector)
        .environment("SPIN_OTEL_TRACING_LEVEL", "info,spin_factor_outbound_http=off")
        .start();
    let key = known(&stage, "a:1", "hello");
    stage.restart_with("kick", "on");
    post(&stage, "/api/alerts", TRACEPARENT, &alerts::to_conversation(&key, "tea")).expect_status(202);
    expect_trace(&delivered(&stage));
    span_of_the_call(&collector);
    let poller = collector.wait_for("the span of the poller", |span| span.name.ends_with(" poller"));
    assert_ne!(poller.trace_id, TRACE_ID);
    assert_eq!(poller.parent_id, "");
    assert!(collector.spans().iter().all(|span| span.attribute("url.full").is_empty()));
}

fn sender_trace_reaches_the_connector_if_the_cron_trigger_starts_the_run(world: &World) {
    let collector = SpanCollector::start();
    let stage = alerts::script(world).with_cron().exporting(&collector).start();
    stage.say(&end_to_end::activity::message("a:1", "1", "hello"));
    stage.connector.wait_for(2);
    stage.connector.forget();
    let key = alerts::key_of("msteams", "a:1");
    let call = alerts::to_conversation(&key, "tea");
    post(&stage, "/api/alerts", TRACEPARENT, &call).expect_status(202);
    expect_trace(&delivered(&stage));
}
