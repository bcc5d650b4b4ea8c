//! Delivery through Direct Line (Bot Framework's API for chat clients), as in Microsoft's bot template of
//! 2017. The poller sends a *trigger* (an activity that contains an alert) through Direct Line to the bot.
//! The bot then sends the alert to the person. A trigger is *unsealed* if its alert has no seal (a proof that
//! the bot wrote the alert).

use end_to_end::activity::{at_service, message};
use end_to_end::connector::Reply;
use end_to_end::direct_line::DirectLine;
use end_to_end::queue::decode;
use end_to_end::stage::{Script, Stage};
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    alert_through_direct_line_reaches_the_persons_conversation,
    trigger_in_every_form_is_delivered,
    unsealed_trigger_is_refused_by_default,
    trigger_to_an_untrusted_host_is_refused,
    event_with_a_name_other_than_triggername_sends_no_alert,
    alert_of_a_repeated_trigger_is_sent_again_only_if_certainly_not_delivered,
    run_with_twelve_alerts_starts_one_direct_line_conversation,
    alert_that_direct_line_refuses_stays_on_the_queue,
    wrong_direct_line_secret_stops_the_run,
    wrong_direct_line_setting_is_named_in_the_log,
);

const SECRET: &str = "a-direct-line-secret";

/// Makes a queue message in the format of the Node.js bot in Microsoft's template.
fn legacy(stage: &Stage, text: &str) -> Value {
    let address = json!({
        "id": "1", "channelId": "msteams", "serviceUrl": "http://127.0.0.1:1/amer/", "user": {"id": "29:u"},
        "bot": {"id": "28:b"}, "conversation": {"id": "a:1"},
    });
    json!({"address": at_service(&address, stage.connector.authority()), "text": text})
}

/// Makes a trigger in the form in which Direct Line posts triggers to the bot.
pub(crate) fn trigger(stage: &Stage, id: &str, kind: &str, name: &str, value: &Value) -> Value {
    json!({
        "type": kind, "name": name, "id": id, "timestamp": "2026-11-23T22:00:00.000Z", "channelId": "directline",
        "serviceUrl": format!("http://{}/", stage.connector.authority()), "from": {"id": "functions"},
        "recipient": {"id": "bot@handle"}, "conversation": {"id": "Kx7bLq2nT4-eu"}, "value": value,
    })
}

fn allowing(world: &World) -> Stage {
    Script::new(world).variable("unsealedtriggers", "allow").start()
}

fn alert_through_direct_line_reaches_the_persons_conversation(world: &World) {
    // By default, a stage (a Spin host and the services for one case) has `authmode=anonymous`. In this mode,
    // the poller must not send a secret. A fake that starts with an empty secret refuses requests with a
    // secret.
    let direct_line = DirectLine::start("");
    let stage = Script::new(world)
        .variable("unsealedtriggers", "allow")
        .variable("delivery", "directline")
        .variable("directlineendpoint", &format!("http://{}", direct_line.authority()))
        .start();
    direct_line.forward_to(stage.url("/api/messages"));
    stage.say(&message("a:1", "1", "Grüße & <b>pizza</b> 🍕"));
    stage.say(&message("a:2", "2", "tea"));
    stage.queue.put_json(&legacy(&stage, "from 2017"));
    let counts = stage.poll();
    assert_eq!(counts["delivered"], 3, "{counts}");
    assert_eq!(stage.queue.count(), 0);
    assert_eq!(stage.wait_for_events("trigger.delivered", 3).len(), 3);
    let received = stage.connector.wait_for(5);
    let mut alerts: Vec<_> = received.iter().filter(|received| received.is_alert()).collect();
    alerts.sort_by_key(|alert| alert.text().to_owned());
    let found: Vec<_> = alerts.iter().map(|alert| (alert.text(), alert.conversation().unwrap())).collect();
    let expected = [
        ("Alert: Grüße & <b>pizza</b> 🍕", "a:1".to_owned()),
        ("Alert: from 2017", "a:1".to_owned()),
        ("Alert: tea", "a:2".to_owned()),
    ];
    assert_eq!(
        found, expected,
        "expected the alerts in the people's conversations, not in Direct Line's conversation"
    );
    // If the bot cannot deliver the alert of a trigger, the queue message stays on the queue.
    stage.connector.on(|_| Some(Reply::error(503, "Unavailable")));
    stage.queue.put_json(&legacy(&stage, "not now"));
    let counts = stage.poll();
    assert_eq!((&counts["retried"], stage.queue.count()), (&1.into(), 1), "{counts}");
}

fn trigger_in_every_form_is_delivered(world: &World) {
    let stage = allowing(world);
    let node = legacy(&stage, "pizza");
    let csharp = json!({"Source": "Azure Functions (C#)!", "Message": json!({
        "RelatesTo": {
            "activityId": null, "channelId": "msteams", "serviceUrl": node["address"]["serviceUrl"],
            "user": node["address"]["user"], "bot": node["address"]["bot"],
            "conversation": node["address"]["conversation"],
        },
        "Text": "pizza",
    }).to_string()});
    let mut version_1 = node.clone();
    for (name, value) in
        [("version", json!(1)), ("id", json!("v1")), ("enqueuedAt", json!("2026-11-23T22:00:00Z"))]
    {
        version_1[name] = value;
    }
    let wrappings = [
        ("trigger", "", &node),
        ("trigger", "whatever", &csharp),
        ("event", "trigger", &node),
        ("event", "trigger", &csharp),
        ("event", "trigger", &version_1),
    ];
    for (index, (kind, name, value)) in wrappings.into_iter().enumerate() {
        let response = stage.post(&trigger(&stage, &index.to_string(), kind, name, value));
        assert_eq!(response.expect_status(200).json(), json!({}), "{kind} {name} {value}");
        let alert = stage.connector.wait_for(index + 1).remove(index);
        assert_eq!(alert.text(), "Alert: pizza");
        assert_eq!(alert.path, "/amer/v3/conversations/a%3A1/activities");
        assert_eq!(alert.body["recipient"]["id"], "29:u");
    }
    assert!(!stage.queue.exists(), "expected that the bot does not put the alert of a trigger on a queue");
    let broken = trigger(&stage, "x", "trigger", "", &json!({"address": node["address"]}));
    stage.post(&broken).expect_error(400, "BadSyntax");
}

fn unsealed_trigger_is_refused_by_default(world: &World) {
    let stage = Stage::start(world);
    for (index, kind) in ["trigger", "event"].into_iter().enumerate() {
        let planted = trigger(&stage, &index.to_string(), kind, "trigger", &legacy(&stage, "planted"));
        stage.post(&planted).expect_error(403, "TriggerNotAllowed");
    }
    stage.connector.expect_silence();
}

fn trigger_to_an_untrusted_host_is_refused(world: &World) {
    let stage = allowing(world);
    let mut value = legacy(&stage, "planted");
    value["address"]["serviceUrl"] = "https://evil.example/".into();
    stage.post(&trigger(&stage, "1", "trigger", "", &value)).expect_error(403, "ServiceUrlNotAllowed");
    // Both the trigger and the alert in the trigger have a serviceUrl. With `authmode=anonymous`, both
    // addresses must be on loopback. Above, only the serviceUrl of the alert is wrong. Here, only the
    // serviceUrl of the trigger is wrong.
    let mut stranger = trigger(&stage, "2", "trigger", "", &legacy(&stage, "planted"));
    stranger["serviceUrl"] = "https://directline.botframework.com/".into();
    stage.post(&stranger).expect_error(403, "ServiceUrlNotAllowed");
    stage.connector.expect_silence();
}

fn event_with_a_name_other_than_triggername_sends_no_alert(world: &World) {
    let stage =
        Script::new(world).variable("unsealedtriggers", "allow").variable("triggername", "wake").start();
    let value = legacy(&stage, "pizza");
    for name in ["trigger", "Wake", "webchat/join"] {
        stage.post(&trigger(&stage, "1", "event", name, &value)).expect_status(200);
    }
    stage.connector.expect_silence();
    stage.post(&trigger(&stage, "1", "event", "wake", &value)).expect_status(200);
    stage.connector.wait_for(1);
}

fn alert_of_a_repeated_trigger_is_sent_again_only_if_certainly_not_delivered(world: &World) {
    let stage = allowing(world);
    let status = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(201));
    let answering = std::sync::Arc::clone(&status);
    stage.connector.on(move |_| match answering.load(std::sync::atomic::Ordering::SeqCst) {
        201 => None,
        failed => Some(Reply::error(failed, "Scripted")),
    });
    let value = legacy(&stage, "pizza");
    // Each row has four numbers: the HTTP status of the Connector's responses, the HTTP status of the bot's
    // response to the trigger, the HTTP status of the bot's response to the repeated trigger, and the number
    // of requests that the bot sends to the Connector.
    for (index, (connector_status, first, repeated, sent)) in
        [(201, 200, 200, 1), (500, 502, 502, 1), (503, 503, 503, 2)].into_iter().enumerate()
    {
        status.store(connector_status, std::sync::atomic::Ordering::SeqCst);
        let before = stage.connector.received().len();
        let trigger = trigger(&stage, &format!("repeat-{index}"), "trigger", "", &value);
        stage.post(&trigger).expect_status(first);
        stage.post(&trigger).expect_status(repeated);
        assert_eq!(stage.connector.received().len() - before, sent, "{connector_status}");
    }
}

/// Prepares a stage with `authmode=required`. The poller is allowed to call the fake Direct Line on loopback,
/// because `servicehosts` names the address of the fake.
fn script<'w>(world: &'w World, direct_line: &DirectLine, secret: &str) -> Script<'w> {
    let origin = format!("http://{}", direct_line.authority());
    Script::new(world)
        .variable("authmode", "required")
        .variable("unsealed", "allow")
        .variable("microsoftappid", "11111111-1111-1111-1111-111111111111")
        .variable("microsoftapppassword", "a-password")
        .variable("microsoftapptenantid", "22222222-2222-2222-2222-222222222222")
        .variable("delivery", "directline")
        .variable("directlineendpoint", &origin)
        .variable("directlinesecret", secret)
        .variable("servicehosts", &origin)
}

fn legacy_at_teams(text: &str, conversation: &str) -> Value {
    json!({
        "address": {
            "channelId": "msteams", "serviceUrl": "https://smba.trafficmanager.net/amer/", "user": {"id": "29:u"},
            "bot": {"id": "28:b"}, "conversation": {"id": conversation},
        },
        "text": text,
    })
}

fn run_with_twelve_alerts_starts_one_direct_line_conversation(world: &World) {
    let direct_line = DirectLine::start(SECRET);
    let stage = script(world, &direct_line, SECRET).variable("triggername", "wake").start();
    for index in 0..12 {
        stage.queue.put_json(&legacy_at_teams(&index.to_string(), &format!("a:{index}")));
    }
    let counts = stage.poll();
    assert_eq!(counts["delivered"], 12, "{counts}");
    assert_eq!(direct_line.conversations(), 1);
    let mut texts = Vec::new();
    for trigger in direct_line.triggers() {
        assert_eq!(trigger["name"], "wake");
        let value = &trigger["value"];
        let carried: Value = serde_json::from_str(value["Message"].as_str().unwrap()).unwrap();
        // Microsoft's template has a C# bot and a Node.js bot, which read different forms. So the trigger
        // contains the alert in both forms, with the same text and address.
        assert_eq!((&carried["text"], &carried["address"]), (&value["text"], &value["address"]));
        texts.push(value["text"].as_str().unwrap().parse::<u32>().unwrap());
    }
    texts.sort_unstable();
    assert_eq!(texts, (0..12).collect::<Vec<_>>());
    stage.queue.put_json(&legacy_at_teams("later", "a:1"));
    assert_eq!(stage.poll()["delivered"], 1);
    assert_eq!(direct_line.conversations(), 2);
    assert!(!stage.host_log().contains(SECRET), "the secret is in the log");
}

fn alert_that_direct_line_refuses_stays_on_the_queue(world: &World) {
    let direct_line = DirectLine::start(SECRET);
    for (status, field) in
        [(429, "throttled"), (502, "retried"), (503, "retried"), (404, "retried"), (504, "possiblyDelivered")]
    {
        let stage = script(world, &direct_line, SECRET).start();
        stage.queue.put_json(&legacy_at_teams("pizza", "a:1"));
        direct_line.fail_next(status);
        let counts = stage.poll();
        assert_eq!((&counts[field], &counts["delivered"]), (&1.into(), &0.into()), "{status}: {counts}");
        assert_eq!(stage.queue.count(), 1, "{status}: expected that the message stays on the queue");
        assert_eq!(
            stage.queue.poison().count(),
            0,
            "{status}: expected no dead letter, because no status of Direct Line means that the person's conversation is missing"
        );
        stage.connector.expect_silence();
    }
}

fn wrong_direct_line_secret_stops_the_run(world: &World) {
    let direct_line = DirectLine::start(SECRET);
    let stage = script(world, &direct_line, "another-secret").start();
    let message = legacy_at_teams("pizza", "a:1");
    stage.queue.put_json(&message);
    let counts = stage.poll();
    assert_eq!((&counts["credentials"], &counts["delivered"]), (&1.into(), &0.into()), "{counts}");
    let texts = end_to_end::waiting::eventually("a visible message", || {
        Some(stage.queue.texts()).filter(|texts| !texts.is_empty())
    });
    assert_eq!(decode(&texts[0]), message, "expected that the message on the queue is unchanged");
    assert_eq!(direct_line.conversations(), 0);
    assert!(!stage.host_log().contains("another-secret"), "the secret is in the log");
}

fn wrong_direct_line_setting_is_named_in_the_log(world: &World) {
    let direct_line = DirectLine::start(SECRET);
    for (variable, value) in [
        ("directlinesecret", ""),
        ("directlineendpoint", "https://evil.example"),
        ("directlineendpoint", "http://directline.botframework.com"),
        ("delivery", "pigeon"),
    ] {
        let stage = script(world, &direct_line, SECRET).variable(variable, value).start();
        stage.try_poll().expect_error(500, "Misconfigured");
        let error = stage.wait_for_events("drain", 1)[0]["error"].as_str().unwrap().to_owned();
        assert!(error.contains(variable) && !error.contains("evil"), "{error}");
    }
}
