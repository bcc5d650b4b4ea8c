//! Posts of other programs to webhook addresses, and the alerts that the bot makes from these posts.

use end_to_end::alerts::{self, ALERT_KEY, call, known};
use end_to_end::closed_port::ClosedPort;
use end_to_end::connector::Received;
use end_to_end::faulty_tables::{Fault, FaultyTables};
use end_to_end::hooks::{hook, send};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use http::Method;
use serde_json::{Value, json};

end_to_end::cases!(
    text_is_sent_as_a_card_that_names_the_webhook_as_the_origin,
    payload_of_an_unknown_shape_is_answered_422_with_the_known_shapes,
    post_without_queue_or_tables_is_answered_503,
    markup_of_a_stranger_is_sent_as_harmless_text,
    github_post_without_a_signature_is_refused_and_a_repeated_post_is_sent_once,
    grafana_post_is_refused_with_a_wrong_signature_and_accepted_without_a_signature,
    alert_of_azure_monitor_is_one_chat_message_that_turns_green,
    handshake_is_answered_without_an_alert_and_a_repeated_event_sends_one_alert,
    payload_of_another_tool_with_an_api_key_reaches_every_subscriber_of_a_tag,
    post_costs_three_storage_calls_and_a_post_with_a_group_key_costs_four,
);

const JSON: (&str, &str) = ("content-type", "application/json");

/// The Adaptive Card in a chat message.
#[track_caller]
fn card(received: &Received) -> &Value {
    let attachment = &received.body["attachments"][0];
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive", "{received:?}");
    &attachment["content"]
}

/// Runs the poller. Expects exactly one request to the Connector after the previous call of this function,
/// and returns this request.
#[track_caller]
fn said(stage: &Stage) -> Received {
    stage.poll();
    let said = stage.connector.wait_for(1).remove(0);
    stage.connector.forget();
    said
}

fn text_is_sent_as_a_card_that_names_the_webhook_as_the_origin(world: &World) {
    let stage = Stage::start(world);
    let hook = hook(&stage);
    for (headers, body) in [
        (&[JSON][..], r#"{"text": "The **backup** is done"}"#),
        (&[("content-type", "text/plain")], "The **backup** is done"),
        (&[("content-type", "application/x-www-form-urlencoded")], "text=The+**backup**+is+done"),
        (&[], "The **backup** is done"),
    ] {
        let response = hook.post_with(headers, body).expect_status(202).json();
        assert_eq!(response["alerts"][0]["status"], "queued", "{response}");
        let said = said(&stage);
        assert_eq!((said.method.as_str(), said.conversation().as_deref()), ("POST", Some("a:1")));
        assert_eq!(said.body["summary"], "The backup is done", "{said:?}");
        let card = card(&said).to_string();
        assert!(card.contains("The **backup** is done") && card.contains("by webhook"), "{card}");
        assert_eq!(said.body.get("text"), None, "{said:?}");
    }
    send(Method::PUT, &hook.url, &[JSON], r#"{"text": "put"}"#).expect_status(202);
    assert_eq!(said(&stage).body["summary"], "put");
}

fn payload_of_an_unknown_shape_is_answered_422_with_the_known_shapes(world: &World) {
    let stage = Stage::start(world);
    let hook = hook(&stage);
    for body in ["", "{}", "[]", "{\"text\": ", "{\"text\": \"\"}", "{\"x\": 1}"] {
        hook.post_with(&[JSON], body).expect_error(422, "PayloadNotUnderstood");
    }
    let response = hook.post(&json!({"x": 1})).json();
    let message = response["error"]["message"].as_str().unwrap();
    for shape in ["MessageCard", "Adaptive Card", "Alertmanager", "Grafana", "Slack", "GitHub", "CloudEvents"]
    {
        assert!(message.contains(shape), "{shape}: {message}");
    }
    hook.post(&json!({"text": "x".repeat(256 * 1024)})).expect_error(413, "MessageSizeTooBig");
    // If a text fits into a request, but not into a card, the bot cuts the text.
    hook.post(&json!({"text": "long ".repeat(40_000)})).expect_status(202);
    let said = said(&stage);
    let card = card(&said).to_string();
    assert!(card.len() <= 24_000, "{} bytes", card.len());
}

fn post_without_queue_or_tables_is_answered_503(world: &World) {
    let closed = ClosedPort::reserve();
    let without_queue = alerts::script(world).unreachable_queue(&closed).start();
    let hook_without_queue = hook(&without_queue);
    let response = hook_without_queue.post(&json!({"text": "x"})).expect_error(503, "QueueUnavailable");
    assert_eq!(response.json()["alerts"][0]["status"], "failed", "{}", response.describe());
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = alerts::script(world).tables_at(tables.authority()).start();
    let hook = hook(&stage);
    tables.fail(|_| Some(Fault::Status(503)));
    hook.post(&json!({"text": "x"})).expect_error(503, "StateUnavailable");
    assert_eq!(stage.queue.count(), 0);
    tables.fail_nothing();
    hook.post(&json!({"text": "y"})).expect_status(202);
    assert_eq!(said(&stage).body["summary"], "y");
}

fn markup_of_a_stranger_is_sent_as_harmless_text(world: &World) {
    let stage = Stage::start(world);
    let hook = hook(&stage);
    let hostile = "<at>Kim</at> [here](javascript:alert(1)) ![x](data:image/png;base64,AAAA) <b>bold</b>";
    for body in [
        json!({ "text": hostile, "title": hostile }),
        json!({"@type": "MessageCard", "summary": hostile, "text": hostile, "potentialAction": [
            {"@type": "HttpPOST", "name": "Approve", "target": "https://evil.example/"},
            {"@type": "OpenUri", "name": "Run", "targets": [{"os": "default", "uri": "javascript:alert(1)"}]},
        ]}),
        json!({"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": hostile}],
            "actions": [{"type": "Action.Submit", "title": "Approve", "data": {}}],
            "msteams": {"entities": [{"type": "mention", "text": "<at>Kim</at>", "mentioned": {"id": "29:kim"}}]}}),
        json!({"text": hostile, "attachments": [{"color": "danger", "fallback": hostile, "title_link": "data:x"}]}),
    ] {
        hook.post(&body).expect_status(202);
        let said = said(&stage);
        let sent = String::from_utf8_lossy(&said.raw).into_owned();
        for forbidden in [
            "<at>",
            "](javascript:",
            "\"data:",
            "](data:",
            "\"javascript:",
            "\"Action.Submit\"",
            "\"HttpPOST\"",
            "mentioned",
        ] {
            assert!(!sent.contains(forbidden), "{forbidden} for {body}: {sent}");
        }
        assert_eq!(said.body.get("entities"), None, "{sent}");
        assert!(sent.contains("by webhook"), "{sent}");
    }
}

fn github_post_without_a_signature_is_refused_and_a_repeated_post_is_sent_once(world: &World) {
    let stage = Stage::start(world);
    let hook = hook(&stage);
    let body = json!({
        "action": "opened", "issue": {"number": 7, "title": "It is broken", "html_url": "https://github.com/o/r/issues/7",
        "user": {"login": "kim"}}, "repository": {"full_name": "o/r", "html_url": "https://github.com/o/r"},
        "sender": {"login": "kim"},
    })
    .to_string();
    let signed = format!("sha256={}", hook.signature(&body));
    let post = |event: &str, delivery: &str, signature: Option<&str>, body: &str| {
        let mut headers = vec![JSON, ("x-github-event", event), ("x-github-delivery", delivery)];
        headers.extend(signature.map(|signature| ("x-hub-signature-256", signature)));
        hook.post_with(&headers, body)
    };
    post("issues", "1", None, &body).expect_error(401, "SignatureRefused");
    post("issues", "1", Some(&signed), &body.replace("broken", "fine")).expect_error(401, "SignatureRefused");
    let ping = r#"{"zen": "Keep it simple", "hook_id": 1}"#;
    let response = post("ping", "0", Some(&format!("sha256={}", hook.signature(ping))), ping);
    assert_eq!(response.status, 200, "{}", response.describe());
    let first = post("issues", "1", Some(&signed), &body).expect_status(202).json();
    let again = post("issues", "1", Some(&signed), &body).expect_status(202).json();
    assert_eq!(first["alerts"][0]["id"], again["alerts"][0]["id"], "{again}");
    let summary = said(&stage).body["summary"].as_str().unwrap().to_owned();
    assert!(summary.contains("It is broken"), "{summary}");
    post("issues", "2", Some(&signed), &body).expect_status(202);
    said(&stage);
}

fn grafana_post_is_refused_with_a_wrong_signature_and_accepted_without_a_signature(world: &World) {
    let stage = Stage::start(world);
    let hook = hook(&stage);
    let body = json!({
        "version": "1", "groupKey": "{}:{alertname=\"Latency\"}", "status": "firing", "state": "alerting", "orgId": 1,
        "title": "[FIRING:1] Latency", "message": "p99 is 2.1 s", "groupLabels": {"alertname": "Latency"}, "commonLabels": {},
        "commonAnnotations": {}, "externalURL": "https://grafana.example.com/", "truncatedAlerts": 0, "receiver": "bot",
        "alerts": [{"status": "firing", "labels": {"alertname": "Latency"}, "annotations": {}, "values": {"A": 2.1},
            "startsAt": "2026-11-29T20:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "silenceURL": "https://grafana.example.com/alerting/silence/new"}],
    })
    .to_string();
    let signature = hook.signature(&body);
    let header = "x-grafana-alerting-signature";
    hook.post_with(&[JSON, (header, &signature)], &body.replace("2.1 s", "0.1 s")).expect_status(401);
    for headers in [&[JSON][..], &[JSON, (header, &signature)]] {
        send(Method::PUT, &hook.url, headers, &body).expect_status(202);
        stage.poll();
    }
    let said = stage.connector.received().remove(0);
    let card = card(&said).to_string();
    assert!(
        card.contains("attention") && card.contains("https://grafana.example.com/alerting/silence/new"),
        "{card}"
    );
}

fn alert_of_azure_monitor_is_one_chat_message_that_turns_green(world: &World) {
    let stage = Stage::start(world);
    let hook = hook(&stage);
    let alert = |condition: &str| {
        json!({"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": {
            "alertId": "/subscriptions/0/providers/Microsoft.AlertsManagement/alerts/1", "originAlertId": "1",
            "alertRule": "CPU of db-7", "severity": "Sev1", "signalType": "Metric", "monitorCondition": condition,
            "monitoringService": "Platform", "alertTargetIDs": [], "firedDateTime": "2026-11-29T20:00:00Z",
            "resolvedDateTime": "2026-11-29T20:05:00Z", "description": "over 90 %", "essentialsVersion": "1.0",
            "alertContextVersion": "1.0"}, "alertContext": {}}})
    };
    hook.post(&alert("Fired")).expect_status(202);
    let red = said(&stage);
    assert!(card(&red).to_string().contains("attention"), "{red:?}");
    hook.post(&alert("Resolved")).expect_status(202);
    let green = said(&stage);
    assert_eq!((green.method.as_str(), green.reply_to().as_deref()), ("PUT", Some("sent-1")), "{green:?}");
    assert!(card(&green).to_string().contains("good"), "{green:?}");
    // The problem has ended, and begins again. So the bot sends a new chat message.
    hook.post(&alert("Fired")).expect_status(202);
    assert_eq!(said(&stage).method.as_str(), "POST");
}

fn handshake_is_answered_without_an_alert_and_a_repeated_event_sends_one_alert(world: &World) {
    let stage = Stage::start(world);
    let hook = hook(&stage);
    let origin = ("webhook-request-origin", "events.example.com");
    let response =
        send(Method::OPTIONS, &hook.url, &[origin, ("webhook-request-rate", "100")], "").expect_status(200);
    assert_eq!(response.header("webhook-allowed-origin"), "events.example.com");
    assert!(!response.header("webhook-allowed-rate").is_empty());
    assert_eq!(
        send(Method::OPTIONS, &hook.url, &[], "").expect_status(200).header("allow"),
        "OPTIONS, POST, PUT"
    );
    let validation = json!([{
        "id": "1", "topic": "/subscriptions/0", "subject": "", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-11-29T20:00:00Z", "data": {"validationCode": "512d38b6"}, "dataVersion": "1", "metadataVersion": "1",
    }]);
    let headers = [JSON, ("aeg-event-type", "SubscriptionValidation")];
    let response = hook.post_with(&headers, &validation.to_string()).expect_status(200).json();
    assert_eq!(response, json!({"validationResponse": "512d38b6"}));
    assert_eq!(stage.queue.count(), 0);
    let event = json!({"specversion": "1.0", "id": "7", "source": "/orders", "type": "com.example.order.paid", "data": {"total": 12}});
    let cloud = [("content-type", "application/cloudevents+json")];
    for _ in 0..2 {
        hook.post_with(&cloud, &event.to_string()).expect_status(202);
    }
    let batch = json!([event, {"specversion": "1.0", "id": "8", "source": "/orders", "type": "com.example.order.sent"}]);
    let batched = [("content-type", "application/cloudevents-batch+json")];
    let response = hook.post_with(&batched, &batch.to_string()).expect_status(202).json();
    assert_eq!(response["alerts"].as_array().unwrap().len(), 2, "{response}");
    stage.poll();
    stage.connector.wait_for(2);
}

fn payload_of_another_tool_with_an_api_key_reaches_every_subscriber_of_a_tag(world: &World) {
    let stage = alerts::stage(world);
    for number in 0..3 {
        known(&stage, &format!("a:{number}"), "subscribe ops");
    }
    let authorization = format!("Bearer {ALERT_KEY}");
    let post = |path: &str, body: &str| {
        let headers = [JSON, ("authorization", authorization.as_str())];
        send(Method::POST, &stage.url(&format!("/api/alerts/from/{path}")), &headers, body)
    };
    let hello = r#"{"text": "hello"}"#;
    let response = post("auto?tag=ops", hello).expect_status(202).json();
    assert_eq!(response["alerts"].as_array().unwrap().len(), 3, "{response}");
    stage.poll();
    let mut said: Vec<_> = stage.connector.wait_for(3).iter().filter_map(Received::conversation).collect();
    said.sort();
    assert_eq!(said, ["a:0", "a:1", "a:2"]);
    post("plain?tag=nobody", hello).expect_error(404, "TargetNotFound");
    post("plain", hello).expect_error(400, "BadArgument");
    post("prometheus?tag=ops", hello).expect_error(400, "BadArgument");
    post("alertmanager?tag=ops", hello).expect_error(422, "PayloadNotUnderstood");
    let without_key = stage.url("/api/alerts/from/auto?tag=ops");
    send(Method::POST, &without_key, &[JSON], hello).expect_status(401);
    let wrong = call(&stage, "GET", "/api/alerts/from/auto?tag=ops", &Value::Null);
    assert_eq!(wrong.status, 405, "{}", wrong.describe());
}

fn post_costs_three_storage_calls_and_a_post_with_a_group_key_costs_four(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = alerts::script(world).tables_at(tables.authority()).start();
    let hook = hook(&stage);
    // For the first post, the bot makes more calls, because the bot also creates missing tables. So this case
    // does not count the calls for the first post.
    hook.post(&json!({"text": "first"})).expect_status(202);
    let count = |body: &Value| {
        let before = (tables.notes().len(), stage.queue.count());
        hook.post(body).expect_status(202);
        let put = usize::try_from(stage.queue.count() - before.1).unwrap();
        (tables.notes().len() - before.0) + put
    };
    // On a busy machine, the bot can repeat a storage call. So this case sends four posts, and takes the
    // lowest number of storage calls.
    let least_of = |body: &Value| (0..4).map(|_| count(body)).min();
    assert_eq!(
        least_of(&json!({"text": "x"})),
        Some(3),
        "expected three storage calls (to the conversation, the ledger and the queue), found {:#?}",
        tables.notes()
    );
    let group = json!({
        "version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "bot", "truncatedAlerts": 0, "externalURL": "",
        "groupLabels": {}, "commonLabels": {"alertname": "Down"}, "commonAnnotations": {},
        "alerts": [{"status": "firing", "labels": {"alertname": "Down"}, "annotations": {}, "startsAt": "2026-11-29T20:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "a"}],
    });
    assert_eq!(
        least_of(&group),
        Some(4),
        "expected one more call, for the record of the newest alert with this `key`"
    );
}
