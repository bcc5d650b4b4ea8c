//! Alerts that a back end (a program) sends with `POST /api/alerts`.

use chrono::Utc;
use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, ALERT_KEY, alert, call, call_with, key_of, known, queued, to_conversation};
use end_to_end::closed_port::ClosedPort;
use end_to_end::put_only_queue::PutOnlyQueue;
use end_to_end::stage::{Script, Stage};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use end_to_end::web;
use serde_json::{Value, json};

end_to_end::cases!(
    alert_with_all_fields_is_delivered_with_all_fields,
    every_form_of_target_is_alerted_once,
    card_without_text_is_delivered,
    alert_to_a_person_goes_to_the_latest_conversation,
    unknown_targets_are_refused_and_nothing_is_queued,
    call_with_a_wrong_field_is_refused_with_the_path_of_the_field,
    either_of_two_api_keys_is_accepted_and_an_unknown_api_key_is_refused,
    alert_larger_than_a_queue_message_is_refused,
    call_with_101_targets_is_refused_and_tag_with_101_subscribers_is_accepted,
    address_at_an_untrusted_host_is_refused,
    service_url_from_a_call_is_not_marked_as_verified_and_unsealed_copy_is_not_cancelled,
    call_repeated_after_the_delivery_gets_the_first_response_and_queues_nothing,
    second_copy_of_an_alert_is_not_delivered,
    call_gets_503_if_the_queue_is_unreachable,
    queue_failure_midway_is_reported_and_a_repeated_call_queues_the_rest,
);

fn alert_with_all_fields_is_delivered_with_all_fields(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let more = json!({
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": {"type": "AdaptiveCard"}}],
        "attachmentLayout": "list", "suggestedActions": {"actions": [{"type": "imBack", "title": "Thanks", "value": "ta"}]},
        "summary": "Pizza", "importance": "high",
    });
    let mut body = to_conversation(&key, "The pizza is ready 🍕");
    body["activity"] = more.clone();
    body["expires"] = "2099-01-01T00:00:00+02:00".into();
    body["onUncertain"] = "drop".into();
    let id = queued(&stage, &body);

    let mut envelope = stage.queue.envelopes().remove(0);
    assert!(envelope.as_object_mut().unwrap().remove("enqueuedAt").is_some());
    let activity = stage.connector.host(&message("a:1", "1", ""));
    let expected = json!({
        "version": 1, "id": id, "text": "The pizza is ready 🍕", "activity": more,
        "expires": "2098-12-31T22:00:00.000Z", "onUncertain": "drop", "cancellable": true, "stoppable": true,
        "address": {
            "channelId": "msteams", "serviceUrl": activity["serviceUrl"], "locale": "en-US", "user": activity["from"],
            "bot": activity["recipient"], "conversation": activity["conversation"],
        },
    });
    assert!(envelope == expected, "expected: {expected:#}\n   found: {envelope:#}");

    assert_eq!(stage.poll()["delivered"], 1);
    let alert = stage.connector.wait_for(1).remove(0);
    assert_eq!((alert.text(), alert.reply_to()), ("Alert: The pizza is ready 🍕", None));
    assert_eq!(alert.conversation().as_deref(), Some("a:1"));
    for (name, value) in more.as_object().unwrap() {
        assert_eq!(alert.body[name], *value, "{name}");
    }
    assert_eq!(alert.body["recipient"], activity["from"]);
}

fn every_form_of_target_is_alerted_once(world: &World) {
    let stage = alerts::stage(world);
    let activity = stage.connector.host(&message("a:1", "1", ""));
    let key = known(&stage, "a:1", "subscribe orders-42");
    let address = json!({
        "channelId": "msteams", "serviceUrl": activity["serviceUrl"], "conversation": activity["conversation"],
        "bot": activity["recipient"],
    });
    let user = activity["from"]["id"].as_str().unwrap();
    let forms = [
        json!({"conversation": key}),
        json!({"user": format!("msteams/{user}")}),
        json!({"user": activity["from"]["aadObjectId"]}),
        json!({"tag": "ORDERS-42"}),
        json!({"address": address}),
    ];
    for to in forms.iter().cloned().chain([json!(forms)]) {
        queued(&stage, &json!({"to": to, "text": "hello"}));
        assert_eq!(stage.poll()["delivered"], 1, "{to}");
        assert_eq!(stage.connector.wait_for(1)[0].conversation().as_deref(), Some("a:1"), "{to}");
        stage.connector.forget();
    }
    // A call can contain the address of a conversation that the bot has not stored.
    let mut elsewhere = address;
    elsewhere["conversation"]["id"] = "a:unknown".into();
    let both = json!({"to": [{"address": elsewhere}, {"tag": "orders-42"}], "text": "hello"});
    let response = alert(&stage, &both).expect_status(202).json();
    let conversations =
        response["alerts"].as_array().unwrap().iter().map(|alert| alert["conversation"].clone());
    let expected = [key_of("msteams", "a:unknown"), key];
    assert_eq!(
        conversations.collect::<Vec<_>>(),
        expected.map(Value::from),
        "expected that the response keeps the order of the call"
    );
    assert_eq!(stage.poll()["delivered"], 2);
}

fn card_without_text_is_delivered(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let card =
        json!({"attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": {}}]});
    queued(&stage, &json!({"to": {"conversation": key}, "activity": card}));
    stage.poll();
    let alert = stage.connector.wait_for(1).remove(0);
    assert_eq!((alert.body.get("text"), &alert.body["attachments"]), (None, &card["attachments"]));
}

fn alert_to_a_person_goes_to_the_latest_conversation(world: &World) {
    let stage = alerts::stage(world);
    known(&stage, "a:first", "hello");
    // The bot stores `seenAt`, the time of a conversation's last activity, in whole seconds. So this case
    // waits for the next second. Without the wait, both conversations could have the same `seenAt`.
    let second = Utc::now().timestamp();
    eventually("the next second", || (Utc::now().timestamp() > second).then_some(()));
    let key = known(&stage, "a:second", "hello");
    let aad = &fixture("teams-personal.json")["from"]["aadObjectId"];
    let response = alert(&stage, &json!({"to": {"user": aad}, "text": "x"})).expect_status(202).json();
    assert_eq!(
        response["alerts"].as_array().unwrap().len(),
        1,
        "expected one alert for one person, found {response}"
    );
    assert_eq!(response["alerts"][0]["conversation"], key.as_str());
}

fn unknown_targets_are_refused_and_nothing_is_queued(world: &World) {
    let stage = alerts::stage(world);
    let known = known(&stage, "a:1", "hello");
    let unknown = [
        json!({"conversation": key_of("msteams", "a:2")}),
        json!({"conversation": "not a key"}),
        json!({"user": "msteams/29:nobody"}),
        json!({"user": "00000000-0000-0000-0000-000000000009"}),
        json!({"tag": "nothing"}),
    ];
    for to in unknown {
        for (to, path) in [(to.clone(), "to: "), (json!([{"conversation": known}, to]), "to[1]: ")] {
            let response = alert(&stage, &json!({"to": to, "text": "x"})).expect_error(404, "TargetNotFound");
            let message = response.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.starts_with(path), "{to}: {message}");
        }
    }
    assert_eq!(stage.queue.count(), 0, "expected no alert on the queue after a refused call");
}

fn call_with_a_wrong_field_is_refused_with_the_path_of_the_field(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    for (change, path) in [
        (json!({"to": null}), "to"),
        (json!({"to": {"conversation": key, "tag": "x"}}), "to"),
        (json!({"to": [{"conversation": key}, {"user": 7}]}), "to[1].user"),
        (json!({"to": {"address": {"channelId": "x"}}}), "to.address.serviceUrl"),
        (json!({"text": 7}), "text"),
        (json!({"text": " "}), "text"),
        (json!({"activity": {"from": {"id": "somebody else"}}}), "activity.from"),
        (json!({"activity": {"attachments": "x"}}), "activity.attachments"),
        (json!({"at": "tomorrow"}), "at"),
        (json!({"at": "9999-01-01T00:00:00Z"}), "at"),
        (json!({"delay": "10 minutes"}), "delay"),
        (json!({"delay": "P1D", "at": "2099-01-01T00:00:00Z"}), "delay"),
        (json!({"expires": "2020-01-01T00:00:00Z"}), "expires"),
        (json!({"idempotencyKey": ""}), "idempotencyKey"),
        (json!({"onUncertain": "shrug"}), "onUncertain"),
        (json!({"expire": "2099-01-01T00:00:00Z"}), "expire"),
    ] {
        let mut body = to_conversation(&key, "hello");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let response = alert(&stage, &body).expect_error(400, "BadArgument");
        let message = response.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("{path}: ")), "{change}: {message}");
    }
    for (content_type, body, status, code) in [
        ("text/plain", "{}", 415, "UnsupportedMediaType"),
        ("application/json", "{", 400, "BadArgument"),
        ("application/json", "[]", 400, "BadArgument"),
        ("application/json", "", 400, "BadArgument"),
    ] {
        let request = http::Request::post(stage.url("/api/alerts"))
            .header("authorization", format!("Bearer {ALERT_KEY}"))
            .header("content-type", content_type);
        web::send(request.body(web::whole(body)).unwrap()).expect_error(status, code);
    }
    assert_eq!(stage.queue.count(), 0);
}

/// For each route: the method, the path, and the header `Allow` in the bot's response 405 for this path.
const ROUTES: [(&str, &str, &str); 6] = [
    ("POST", "/api/alerts", "GET, POST"),
    ("GET", "/api/alerts", "GET, POST"),
    ("DELETE", "/api/alerts/0123456789abcdef0123456789abcdef", "DELETE, GET, PATCH"),
    ("GET", "/api/alerts/0123456789abcdef0123456789abcdef", "DELETE, GET, PATCH"),
    ("GET", "/api/targets", "GET"),
    ("POST", "/api/tags/x/codes", "POST"),
];

fn either_of_two_api_keys_is_accepted_and_an_unknown_api_key_is_refused(world: &World) {
    let stage =
        alerts::script(world).variable("alertkey", "the old key of tests, the-new-key-of-tests").start();
    for (method, path, allow) in ROUTES {
        for stranger in [
            "",
            "Bearer ",
            "Bearer wrong",
            "Basic the-new-key-of-tests",
            "Bearer the old key of tests, the-new-key-of-tests",
        ] {
            let response = call_with(&stage, method, path, stranger, &Value::Null);
            let response = response.expect_error(401, "Unauthorized");
            assert_eq!(response.header("www-authenticate"), "Bearer", "{method} {path}");
        }
        for key in ["Bearer the old key of tests", "bearer the-new-key-of-tests"] {
            let response = call_with(&stage, method, path, key, &Value::Null);
            assert_ne!(
                response.status, 401,
                "{method} {path} {key}: expected that both API keys are valid during a change of keys"
            );
        }
        let response = call_with(&stage, "PUT", path, "Bearer the-new-key-of-tests", &Value::Null);
        assert_eq!(response.expect_error(405, "MethodNotAllowed").header("allow"), allow);
    }
    assert!(!stage.host_log().contains("the-new-key-of-tests"), "an API key is in the log");

    let closed = Stage::start(world);
    for (method, path, _) in ROUTES {
        call(&closed, method, path, &Value::Null).expect_error(404, "NotFound");
    }
    for wrong in ["the-first-of-three,the-second-of-three,the-third-of-three", "hunter2-hunter2"] {
        let stage = Script::new(world).variable("alertkey", wrong).start();
        call_with(&stage, "GET", "/api/targets", &format!("Bearer {wrong}"), &Value::Null)
            .expect_error(500, "Misconfigured");
    }
}

fn alert_larger_than_a_queue_message_is_refused(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    // The first size exceeds the limit for a queue message. The second size exceeds the limit for a request
    // body.
    for bytes in [49_000, 300_000] {
        let response = alert(&stage, &to_conversation(&key, &"x".repeat(bytes)));
        response.expect_error(413, "MessageSizeTooBig");
    }
    assert_eq!(stage.queue.count(), 0);
    queued(&stage, &to_conversation(&key, &"x".repeat(48_000)));
}

fn call_with_101_targets_is_refused_and_tag_with_101_subscribers_is_accepted(world: &World) {
    let stage = alerts::stage(world);
    let many = vec![json!({"conversation": key_of("msteams", "a:1")}); 101];
    let response = alert(&stage, &json!({"to": many, "text": "x"})).expect_error(400, "TooManyTargets");
    assert!(response.json()["error"]["message"].as_str().unwrap().contains("101"), "{}", response.describe());

    // A tag can have any number of subscribers, because the subscribers are not elements of `to`.
    for number in 0..101 {
        stage.say(&message(&format!("a:{number}"), "1", "subscribe crowd"));
    }
    let response = alert(&stage, &json!({"to": {"tag": "crowd"}, "text": "x"})).expect_status(202).json();
    assert_eq!(response["alerts"].as_array().unwrap().len(), 101);
    assert_eq!(stage.queue.take_all().len(), 101);
}

fn address_at_an_untrusted_host_is_refused(world: &World) {
    let stage = alerts::stage(world);
    for service_url in
        ["https://evil.example/", "https://smba.trafficmanager.net/amer/", "http://10.0.0.1/", "x"]
    {
        let address =
            json!({"channelId": "msteams", "serviceUrl": service_url, "conversation": {"id": "a:1"}});
        let body = json!({"to": {"address": address}, "text": "x"});
        alert(&stage, &body).expect_error(403, "ServiceUrlNotAllowed");
    }
    assert_eq!(stage.queue.count(), 0);
}

fn service_url_from_a_call_is_not_marked_as_verified_and_unsealed_copy_is_not_cancelled(world: &World) {
    let stage = alerts::script(world).variable("sealkey", "a-seal-key-for-tests-of-some-length").start();
    let activity = stage.connector.host(&message("a:1", "1", ""));
    let address = json!({
        "channelId": "msteams", "serviceUrl": activity["serviceUrl"], "conversation": {"id": "a:1"},
        "bot": activity["recipient"], "serviceUrlVerified": true,
    });
    let to_address = json!({"to": {"address": address}, "text": "sealed"});
    let (sent, cancelled) = (queued(&stage, &to_address), queued(&stage, &to_address));
    for envelope in stage.queue.envelopes() {
        assert!(envelope["seal"].is_string(), "{envelope}");
        assert_eq!(
            envelope["address"].get("serviceUrlVerified"),
            None,
            "expected no serviceUrlVerified for a serviceUrl from an API call, found {envelope}"
        );
    }
    call(&stage, "DELETE", &format!("/api/alerts/{cancelled}"), &Value::Null).expect_status(202);
    // Another program puts an envelope (one alert as JSON) with the id of the cancelled alert on the queue.
    // The program has no seal key, so the envelope has no *seal* (a proof that the bot wrote the envelope). A
    // cancellation applies only to envelopes with a seal. So the poller does not treat this envelope as
    // cancelled. This case runs with `authmode=anonymous`. In this mode, the poller also delivers envelopes
    // without a seal.
    let mut planted = stage.queue.envelopes().remove(0);
    planted["id"] = cancelled.as_str().into();
    planted.as_object_mut().unwrap().remove("seal");
    stage.queue.put_json(&planted);
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], &counts["cancelled"]), (&2.into(), &1.into()), "{sent}: {counts}");
}

fn call_repeated_after_the_delivery_gets_the_first_response_and_queues_nothing(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let mut body = to_conversation(&key, "once");
    body["idempotencyKey"] = "order 42/ready?".into();
    let expires = Utc::now() + chrono::TimeDelta::milliseconds(2500);
    body["expires"] = expires.to_rfc3339().into();
    let first = alert(&stage, &body).expect_status(202).json();
    assert_eq!(stage.queue.count(), 1);
    stage.poll();
    for _ in 0..3 {
        assert_eq!(alert(&stage, &body).expect_status(202).json(), first);
    }
    assert_eq!(stage.queue.count(), 0);
    eventually("the time of `expires`", || (Utc::now() > expires).then_some(()));
    assert_eq!(
        alert(&stage, &body).expect_status(202).json(),
        first,
        "expected that the response to a repeated call stays the same after the alert has expired"
    );
    body["text"] = "twice".into();
    alert(&stage, &body).expect_error(422, "IdempotencyKeyReused");
    body["idempotencyKey"] = "order 43".into();
    alert(&stage, &body).expect_error(400, "BadArgument");
    body.as_object_mut().unwrap().remove("expires");
    assert_ne!(alert(&stage, &body).expect_status(202).json(), first);
    assert_eq!(stage.queue.count(), 1);
}

/// The queue can contain two messages for the same alert. For example, a program makes two equal API calls at
/// the same time. Or the ledger (the bot's table with one record for each alert) loses an alert's record, and
/// a program repeats the API call.
fn second_copy_of_an_alert_is_not_delivered(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let mut body = to_conversation(&key, "once");
    body["idempotencyKey"] = "x".into();
    queued(&stage, &body);
    let copy = stage.queue.texts().remove(0);
    stage.queue.put(&copy);
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], &counts["alreadySent"]), (&1.into(), &1.into()), "{counts}");
    // The program repeats the API call before the alert is delivered. During the first call, the bot wrote
    // the alert's record into the ledger, and then put the alert on the queue. The record does not say
    // whether the alert is on the queue. So the bot puts the alert on the queue again.
    body["idempotencyKey"] = "y".into();
    let first = queued(&stage, &body);
    assert_eq!(queued(&stage, &body), first);
    assert_eq!(stage.queue.count(), 2);
    let again = stage.queue.texts().remove(1);
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], &counts["alreadySent"]), (&1.into(), &1.into()), "{counts}");
    stage.queue.put(&again);
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], &counts["alreadySent"]), (&0.into(), &1.into()), "{counts}");
    stage.connector.wait_for(2);
    assert_eq!(stage.queue.count(), 0);
}

fn call_gets_503_if_the_queue_is_unreachable(world: &World) {
    let closed = ClosedPort::reserve();
    let stage = alerts::script(world).unreachable_queue(&closed).start();
    for conversation in ["a:1", "a:2"] {
        let activity = stage.connector.host(&message(conversation, "1", "subscribe x"));
        stage.post(&activity).expect_status(202);
    }
    let response =
        alert(&stage, &json!({"to": {"tag": "x"}, "text": "x"})).expect_error(503, "QueueUnavailable");
    let alerts = response.json()["alerts"].as_array().unwrap().clone();
    assert!(alerts.len() == 2 && alerts.iter().all(|alert| alert["status"] == "failed"), "{alerts:?}");
}

fn queue_failure_midway_is_reported_and_a_repeated_call_queues_the_rest(world: &World) {
    let queue = PutOnlyQueue::start();
    let stage = alerts::script(world).queue_at(queue.authority()).start();
    for conversation in ["a:1", "a:2", "a:3"] {
        stage.say(&message(conversation, "1", "subscribe x"));
    }
    queue.refuse(&["a:2"]);
    let body = json!({"to": {"tag": "x"}, "text": "x", "idempotencyKey": "k"});
    let response = alert(&stage, &body).expect_error(503, "QueueUnavailable").json();
    let status = |response: &Value, conversation: &str| {
        let key = key_of("msteams", conversation);
        let alerts = response["alerts"].as_array().unwrap();
        let alert = alerts.iter().find(|alert| alert["conversation"] == key.as_str());
        alert.map(|alert| (alert["status"].clone(), alert["id"].clone())).unwrap()
    };
    assert_eq!(status(&response, "a:2").0, "failed");
    let puts = queue.take();
    let queued_before =
        response["alerts"].as_array().unwrap().iter().filter(|alert| alert["status"] == "queued");
    let mut reported: Vec<_> = queued_before.map(|alert| alert["id"].clone()).collect();
    let mut on_the_queue: Vec<_> = puts.iter().map(|put| put.envelope["id"].clone()).collect();
    reported.sort_by_key(Value::to_string);
    on_the_queue.sort_by_key(Value::to_string);
    assert_eq!(reported, on_the_queue, "expected that the response reports exactly the alerts on the queue");

    queue.refuse(&[]);
    let again = alert(&stage, &body).expect_status(202).json();
    assert_eq!(status(&again, "a:2"), ("queued".into(), status(&response, "a:2").1));
    let rest = queue.take();
    assert_eq!(
        rest.len() + puts.len(),
        3,
        "expected each alert to be queued once, found {puts:?} and {rest:?}"
    );
    assert_eq!(alert(&stage, &body).expect_status(202).json(), again);
    assert!(queue.take().is_empty());
}
