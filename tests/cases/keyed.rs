//! Alerts with the member `key` (the *alert key*). If two alerts have the same alert key, the second alert
//! changes the chat message of the first alert. Other cases change an alert with `PATCH`, and delete the chat
//! message of an alert with `DELETE` and `sent=true`.

use dev::named_key::{NamedKey, Purpose};
use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, call, call_with, key_of, known, queued};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use http::Method;
use serde_json::{Value, json};

end_to_end::cases!(
    alerts_with_the_same_alert_key_change_one_chat_message_until_the_state_resolved,
    hundred_alerts_that_fire_and_resolve_are_a_hundred_chat_messages,
    waiting_alerts_with_the_same_alert_key_are_sent_as_one_chat_message,
    same_alert_key_of_a_second_program_does_not_change_the_message,
    chat_message_that_cannot_be_changed_is_sent_anew,
    sent_alert_is_changed_and_taken_back_by_id,
    waiting_alert_is_changed_and_cancelled_by_id,
    change_that_is_not_possible_is_refused,
);

fn card(text: &str, style: &str) -> Value {
    json!({"type": "AdaptiveCard", "version": "1.5", "body": [
        {"type": "Container", "style": style, "items": [{"type": "TextBlock", "text": text}]},
    ]})
}

fn disk(conversation: &str, text: &str, more: &Value) -> Value {
    let mut body = json!({"to": {"conversation": conversation}, "key": "disk/db-7", "text": text});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// The texts that a conversation shows.
fn texts(stage: &Stage, conversation: &str) -> Vec<String> {
    let shown = stage.connector.shown(conversation);
    shown.iter().map(|activity| activity["text"].as_str().unwrap_or_default().to_owned()).collect()
}

fn request_methods(stage: &Stage) -> Vec<Method> {
    stage.connector.received().into_iter().map(|received| received.method).collect()
}

fn status(stage: &Stage, id: &str) -> Value {
    call(stage, "GET", &format!("/api/alerts/{id}"), &Value::Null).expect_status(200).json()
}

/// Starts a stage (the Spin host of a test, and the services that the bot calls). The bot has stored one
/// conversation, and the conversation shows no messages. Returns the stage and the conversation key (the id
/// that programs use for the conversation).
fn start(world: &World) -> (Stage, String) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    stage.poll();
    stage.connector.forget_chats();
    stage.connector.forget();
    (stage, key)
}

fn alerts_with_the_same_alert_key_change_one_chat_message_until_the_state_resolved(world: &World) {
    let (stage, key) = start(world);
    for (body, expected) in [
        (json!({"card": card("Disk is full", "attention")}), 1),
        (json!({"card": card("Disk is nearly full", "warning")}), 1),
        (json!({"card": card("Disk has room", "good"), "state": "resolved"}), 1),
        (json!({"card": card("Disk is full", "attention")}), 2),
    ] {
        let mut body = disk(&key, "", &body);
        body.as_object_mut().unwrap().remove("text");
        let id = queued(&stage, &body);
        assert_eq!(stage.poll()["delivered"], 1);
        let shown = stage.connector.shown("a:1");
        assert_eq!(shown.len(), expected, "{body}");
        assert_eq!(shown.last().unwrap()["attachments"][0]["content"], body["card"]);
        assert_eq!(status(&stage, &id)["status"], "delivered");
    }
    assert_eq!(request_methods(&stage), [Method::POST, Method::PUT, Method::PUT, Method::POST]);
    // If the chat message of this alert key already has the alert's content, the poller does not call the
    // Connector.
    let last = disk(&key, "x", &json!({"text": "Disk is full", "notify": true}));
    queued(&stage, &last);
    stage.poll();
    let id = queued(&stage, &last);
    stage.poll();
    assert_eq!(
        request_methods(&stage).len(),
        6,
        "expected two more requests at the Connector, both for the first alert: a change, and a reply because of `notify`"
    );
    let same = status(&stage, &id);
    assert_eq!(same["reason"], "key: the message that the conversation shows has the same content", "{same}");
}

fn hundred_alerts_that_fire_and_resolve_are_a_hundred_chat_messages(world: &World) {
    let (stage, key) = start(world);
    for state in ["firing", "resolved"] {
        for number in 0..100 {
            let more = json!({"key": format!("disk/{number}"), "state": state});
            queued(&stage, &disk(&key, &format!("{number} is {state}"), &more));
        }
        while stage.queue.count() > 0 {
            stage.poll();
        }
    }
    let texts = texts(&stage, "a:1");
    assert_eq!(texts.len(), 100, "{texts:?}");
    assert!(texts.iter().all(|text| text.ends_with("is resolved")), "{texts:?}");
    let posts = request_methods(&stage).into_iter().filter(|method| *method == Method::POST).count();
    assert_eq!(
        (posts, request_methods(&stage).len()),
        (100, 200),
        "expected 100 new chat messages in 200 requests"
    );
}

fn waiting_alerts_with_the_same_alert_key_are_sent_as_one_chat_message(world: &World) {
    let (stage, key) = start(world);
    let ids: Vec<String> =
        (0..10).map(|number| queued(&stage, &disk(&key, &format!("{number} of 10"), &json!({})))).collect();
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], &counts["replaced"]), (&1.into(), &9.into()), "{counts}");
    assert_eq!(texts(&stage, "a:1"), ["Alert: 9 of 10"]);
    let first = status(&stage, &ids[0]);
    assert_eq!(first["status"], "replaced", "{first}");
    let totals = call(&stage, "GET", "/api/status", &Value::Null).expect_status(200).json()["totals"].clone();
    assert_eq!((&totals["replaced"], &totals["delivered"]), (&9.into(), &1.into()), "{totals}");
}

fn same_alert_key_of_a_second_program_does_not_change_the_message(world: &World) {
    let purpose = Purpose { name: "shop".into(), scopes: vec!["send".into()], ..Purpose::default() };
    let other = NamedKey::random(&purpose).unwrap();
    let stage = alerts::script(world).variable("alertkeys", other.entry()).start();
    let key = known(&stage, "a:1", "hello");
    let body = disk(&key, "mine", &json!({}));
    queued(&stage, &body);
    stage.poll();
    let body = disk(&key, "theirs", &json!({}));
    call_with(&stage, "POST", "/api/alerts", &format!("Bearer {}", other.key()), &body).expect_status(202);
    stage.poll();
    assert_eq!(request_methods(&stage), [Method::POST, Method::POST]);
}

fn chat_message_that_cannot_be_changed_is_sent_anew(world: &World) {
    let (stage, key) = start(world);
    let say = |conversation: &str, text: &str| {
        queued(&stage, &disk(conversation, text, &json!({})));
        stage.poll();
    };
    say(&key, "one");
    // The fake Connector deletes the chat message, as if the person had deleted it.
    stage.connector.forget_chats();
    say(&key, "two");
    say(&key, "three");
    assert_eq!(texts(&stage, "a:1"), ["Alert: three"]);
    assert_eq!(request_methods(&stage), [Method::POST, Method::PUT, Method::POST, Method::PUT]);
    // The poller knows that Web Chat cannot change messages, so the poller sends no PUT. For another channel,
    // the Connector's response to a PUT tells the poller that the channel cannot change messages.
    for (channel, expected) in
        [("webchat", vec![Method::POST; 2]), ("kik", vec![Method::POST, Method::PUT, Method::POST])]
    {
        let mut activity = fixture("teams-personal.json");
        activity["channelId"] = channel.into();
        activity["conversation"]["id"] = format!("c-{channel}").into();
        activity["id"] = format!("known-{channel}").into();
        stage.say(&activity);
        stage.queue.take_all();
        stage.connector.forget();
        stage.connector.on(|received| {
            let is_change = received.method == Method::PUT && received.body["channelId"] == "kik";
            is_change.then(|| end_to_end::connector::Reply::error(501, "NotImplemented"))
        });
        let conversation = key_of(channel, &format!("c-{channel}"));
        say(&conversation, "one");
        say(&conversation, "two");
        assert_eq!(request_methods(&stage), expected, "{channel}");
    }
}

fn sent_alert_is_changed_and_taken_back_by_id(world: &World) {
    let (stage, key) = start(world);
    let id = queued(&stage, &json!({"to": {"conversation": key}, "text": "Ready at 18:00"}));
    stage.poll();
    let path = format!("/api/alerts/{id}");
    let response = call(&stage, "PATCH", &path, &json!({"text": "Ready at 18:10"})).expect_status(202).json();
    assert_eq!(
        (&response["changes"], &response["status"]),
        (&id.as_str().into(), &"queued".into()),
        "{response}"
    );
    assert_ne!(response["id"], id.as_str());
    stage.poll();
    assert_eq!(texts(&stage, "a:1"), ["Alert: Ready at 18:10"]);
    let change = status(&stage, response["id"].as_str().unwrap());
    assert_eq!(
        (&change["status"], &change["changes"]),
        (&"delivered".into(), &id.as_str().into()),
        "{change}"
    );
    // The `id` in the response to `PATCH` is the id of the change. A caller can use this id like the id of
    // the alert.
    let path = format!("/api/alerts/{}", response["id"].as_str().unwrap());
    call(&stage, "PATCH", &path, &json!({"card": card("Ready", "good")})).expect_status(202);
    stage.poll();
    assert_eq!(stage.connector.shown("a:1")[0]["attachments"][0]["content"], card("Ready", "good"));
    call(&stage, "DELETE", &path, &Value::Null).expect_error(409, "AlertIsOver");
    call(&stage, "DELETE", &format!("{path}?sent=perhaps"), &Value::Null).expect_error(400, "BadArgument");
    let response =
        call(&stage, "DELETE", &format!("{path}?sent=true"), &Value::Null).expect_status(202).json();
    assert_eq!(response["changes"], id.as_str(), "{response}");
    assert_eq!(stage.poll()["withdrawn"], 1);
    assert!(stage.connector.shown("a:1").is_empty());
    assert_eq!(status(&stage, &id)["status"], "withdrawn");
    assert_eq!(request_methods(&stage), [Method::POST, Method::PUT, Method::PUT, Method::DELETE]);
    let path = format!("/api/alerts/{id}");
    call(&stage, "PATCH", &path, &json!({"text": "again"})).expect_error(409, "AlertIsOver");
    call(&stage, "DELETE", &format!("{path}?sent=true"), &Value::Null).expect_error(409, "AlertIsOver");
}

fn waiting_alert_is_changed_and_cancelled_by_id(world: &World) {
    let (stage, key) = start(world);
    let id = queued(&stage, &disk(&key, "one", &json!({})));
    let path = format!("/api/alerts/{id}");
    let response = call(&stage, "PATCH", &path, &json!({"text": "two"})).expect_status(202).json();
    let change = response["id"].as_str().unwrap().to_owned();
    while stage.queue.count() > 0 {
        stage.poll();
    }
    assert_eq!(
        (texts(&stage, "a:1"), request_methods(&stage)),
        (vec!["Alert: two".to_owned()], vec![Method::POST])
    );
    let first = status(&stage, &id);
    assert_eq!(
        (&first["status"], &first["replacedBy"]),
        (&"cancelled".into(), &change.as_str().into()),
        "{first}"
    );
    // The next alert with the same alert key changes this chat message.
    queued(&stage, &disk(&key, "three", &json!({})));
    stage.poll();
    assert_eq!(texts(&stage, "a:1"), ["Alert: three"]);
    // The change of a delayed alert is due at the same time as the alert, and takes the place of the alert.
    // So if a caller sends `DELETE` with the alert's id and `sent=true`, the bot cancels the change instead
    // of the alert.
    let id = queued(&stage, &json!({"to": {"conversation": key}, "text": "one", "delay": "P30D"}));
    let path = format!("/api/alerts/{id}");
    let response = call(&stage, "PATCH", &path, &json!({"text": "two"})).expect_status(202).json();
    let change = status(&stage, response["id"].as_str().unwrap());
    assert_eq!(
        change["dueAt"].as_str().map(|due| &due[..16]),
        status(&stage, &id)["dueAt"].as_str().map(|due| &due[..16])
    );
    let response =
        call(&stage, "DELETE", &format!("{path}?sent=true"), &Value::Null).expect_status(202).json();
    assert_eq!((&response["id"], &response["status"]), (&change["id"], &"cancelling".into()), "{response}");
}

fn change_that_is_not_possible_is_refused(world: &World) {
    let (stage, key) = start(world);
    let id = queued(&stage, &json!({"to": {"conversation": key}, "text": "one"}));
    let path = format!("/api/alerts/{id}");
    for (body, named) in [
        (json!({}), "text"),
        (json!({"text": ""}), "text"),
        (json!({"text": "x", "to": {"conversation": key}}), "to"),
        (json!({"text": "x", "notify": 1}), "notify"),
        (json!({"card": "x"}), "card"),
    ] {
        let response = call(&stage, "PATCH", &path, &body).expect_error(400, "BadArgument");
        let message = response.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("{named}: ")), "{body}: {message}");
    }
    let unknown = format!("/api/alerts/{}", "0".repeat(32));
    call(&stage, "PATCH", &unknown, &json!({"text": "x"})).expect_error(404, "AlertNotFound");
    let mut huge = json!({"text": "x".repeat(50_000)});
    call(&stage, "PATCH", &path, &huge).expect_error(413, "MessageSizeTooBig");
    huge["text"] = "two".into();
    call(&stage, "DELETE", &path, &Value::Null).expect_status(202);
    call(&stage, "PATCH", &path, &huge).expect_error(409, "AlertIsOver");
    // If the person has written `stop`, the bot accepts a `PATCH`, but does not put the change on the queue.
    let id = queued(&stage, &json!({"to": {"conversation": key}, "text": "two"}));
    stage.poll();
    stage.say(&message("a:1", "stop", "stop"));
    let response = call(&stage, "PATCH", &format!("/api/alerts/{id}"), &json!({"text": "three"}));
    assert_eq!(response.expect_status(202).json()["status"], "stopped");
}
