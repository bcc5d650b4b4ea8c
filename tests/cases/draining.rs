//! Runs of the poller. A *run* takes messages off the queue. The cases show how a run handles each kind of
//! message.

use std::collections::BTreeMap;
use std::time::Duration;

use end_to_end::activity::{at_service, message};
use end_to_end::connector::Reply;
use end_to_end::queue::decode;
use end_to_end::stage::{Script, Stage, TENANT};
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    conversations_are_delivered_in_parallel_and_each_in_order,
    missing_queue_counts_as_empty,
    refused_alert_stays_on_the_queue,
    throttled_alert_pauses_one_conversation_only,
    unreadable_message_is_moved_to_the_poison_queue,
    message_made_long_by_xml_escaping_is_moved_to_the_poison_queue,
    alert_to_an_untrusted_host_is_moved_to_the_poison_queue,
    alert_to_a_missing_conversation_is_moved_to_the_poison_queue,
    expired_alert_is_not_delivered,
    alert_that_is_not_due_stays_hidden,
    envelope_of_a_newer_version_is_moved_to_the_poison_queue,
    message_of_another_program_is_delivered,
    messages_behind_a_throttled_message_keep_the_order,
);

/// Makes an envelope (one alert as JSON, for the queue). The envelope's serviceUrl leads to the fake
/// Connector of this stage.
pub(crate) fn envelope(stage: &Stage, id: &str, conversation: &str, text: &str) -> Value {
    let address = json!({
        "id": "1", "channelId": "msteams", "serviceUrl": "http://127.0.0.1:1/amer/", "user": {"id": "29:u"},
        "bot": {"id": "28:b"}, "conversation": {"id": conversation, "tenantId": TENANT},
    });
    json!({
        "version": 1, "id": id, "text": text, "enqueuedAt": "2026-11-23T22:00:00Z",
        "address": at_service(&address, stage.connector.authority()),
    })
}

fn conversations_are_delivered_in_parallel_and_each_in_order(world: &World) {
    const CONVERSATIONS: usize = 12;
    const EACH: usize = 8;
    let stage = Script::new(world).variable("pace", "0").start();
    stage
        .connector
        .on(|received| received.is_alert().then(|| Reply::created("x").after(Duration::from_millis(50))));
    for index in 0..EACH {
        for conversation in 0..CONVERSATIONS {
            stage.say(&message(&format!("a:{conversation}"), &index.to_string(), &format!("{index}")));
        }
    }
    let counts = stage.poll();
    assert_eq!(counts["delivered"], CONVERSATIONS * EACH, "{counts}");
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for alert in stage.connector.received().into_iter().filter(|received| received.is_alert()) {
        seen.entry(alert.conversation().unwrap()).or_default().push(alert.text().to_owned());
    }
    let in_order: Vec<String> = (0..EACH).map(|index| format!("Alert: {index}")).collect();
    assert_eq!(seen.len(), CONVERSATIONS);
    for (conversation, texts) in seen {
        assert_eq!(texts, in_order, "{conversation}");
    }
    assert!(
        stage.connector.most_at_once() > 4,
        "expected more than 4 requests at a time, found {}",
        stage.connector.most_at_once()
    );
    assert_eq!(stage.queue.count(), 0);
}

fn missing_queue_counts_as_empty(world: &World) {
    let stage = Stage::start(world);
    let counts = stage.poll();
    assert_eq!((&counts["polls"], &counts["received"]), (&1.into(), &0.into()), "{counts}");
    assert!(!stage.queue.exists(), "a run must not create the queue");
}

fn refused_alert_stays_on_the_queue(world: &World) {
    for (status, field) in [(503, "retried"), (500, "possiblyDelivered"), (429, "throttled")] {
        let stage = Stage::start(world);
        stage.queue.put_json(&envelope(&stage, &format!("refused-{status}"), "a:1", "hello"));
        stage.connector.on(move |_| Some(Reply::error(status, "Scripted").header("retry-after", "60")));
        let counts = stage.poll();
        assert_eq!((&counts[field], &counts["delivered"]), (&1.into(), &0.into()), "{status}: {counts}");
        assert_eq!(stage.queue.count(), 1, "{status}: expected that the message stays on the queue");
        assert!(stage.queue.texts().is_empty(), "{status}: expected that the message is hidden");
        assert_eq!(stage.queue.poison().count(), 0);
        // The next run starts at once. The message is hidden, so the run sends nothing.
        let sent = stage.connector.received().len();
        stage.poll();
        assert_eq!(stage.connector.received().len(), sent);
    }
}

fn throttled_alert_pauses_one_conversation_only(world: &World) {
    let stage = Stage::start(world);
    for (id, conversation) in [
        ("1", "a:throttled"),
        ("2", "a:working"),
        ("3", "a:throttled"),
        ("4", "a:working"),
        ("5", "a:throttled"),
    ] {
        stage.queue.put_json(&envelope(&stage, id, conversation, id));
    }
    stage.connector.on(|received| {
        let is_throttled = received.conversation().as_deref() == Some("a:throttled");
        is_throttled.then(|| Reply::error(429, "Throttled").header("retry-after", "120"))
    });
    let counts = stage.poll();
    assert_eq!(
        (&counts["throttled"], &counts["delivered"], &counts["hiddenBehind"]),
        (&1.into(), &2.into(), &2.into()),
        "{counts}"
    );
    let texts: Vec<_> =
        stage.connector.received().iter().map(|received| received.text().to_owned()).collect();
    assert_eq!(texts.iter().filter(|text| *text == "Alert: 1").count(), 1, "{texts:?}");
    assert!(!texts.contains(&"Alert: 3".into()) && !texts.contains(&"Alert: 5".into()), "{texts:?}");
    assert_eq!(stage.queue.count(), 3);
}

fn messages_behind_a_throttled_message_keep_the_order(world: &World) {
    let stage = Stage::start(world);
    for index in 0..4 {
        stage.queue.put_json(&envelope(&stage, &format!("order-{index}"), "a:order", &index.to_string()));
    }
    let first = std::sync::atomic::AtomicBool::new(true);
    stage.connector.on(move |_| {
        let throttle = first.swap(false, std::sync::atomic::Ordering::SeqCst);
        throttle.then(|| Reply::error(429, "Throttled").header("retry-after", "1"))
    });
    end_to_end::waiting::eventually("four alerts", || {
        stage.poll();
        (stage.connector.received().len() >= 5).then_some(())
    });
    let texts: Vec<_> =
        stage.connector.received().iter().map(|received| received.text().to_owned()).collect();
    assert_eq!(texts, ["Alert: 0", "Alert: 0", "Alert: 1", "Alert: 2", "Alert: 3"]);
}

fn unreadable_message_is_moved_to_the_poison_queue(world: &World) {
    let stage = Stage::start(world);
    let garbage = ["hello", "eyJub3QiOiJhbiBlbnZlbG9wZSJ9", "////", "{\"version\":1}", "<xml/>"];
    stage.queue.put_json(&envelope(&stage, "good-1", "a:1", "first"));
    for text in garbage {
        stage.queue.put(text);
    }
    stage.queue.put_json(&envelope(&stage, "good-2", "a:2", "second"));
    let counts = stage.poll();
    assert_eq!(
        (&counts["delivered"], &counts["poisonedBy"]["unreadable"]),
        (&2.into(), &5.into()),
        "{counts}"
    );
    let mut poisoned = stage.queue.poison().texts();
    poisoned.sort();
    let mut expected = garbage.map(str::to_owned);
    expected.sort();
    assert_eq!(poisoned, expected, "expected that the poison queue has the texts byte for byte");
    assert_eq!(stage.queue.count(), 0);
}

/// Each of 13 queue messages has a text of 64 KiB, mostly `&`. In the XML of a response, the queue service
/// writes `&amp;` for `&`, so each text has about 320 KiB there. A response with all 13 texts is longer than
/// 4 MiB. The poller must accept such a long response. Otherwise, the run could not read these messages.
fn message_made_long_by_xml_escaping_is_moved_to_the_poison_queue(world: &World) {
    const UNREADABLE: usize = 13;
    const GOOD: usize = 5;
    let stage = Stage::start(world);
    let mut unreadable: Vec<String> =
        (0..UNREADABLE).map(|index| format!("{index:02}{}", "&".repeat(65_534))).collect();
    unreadable.iter().for_each(|text| stage.queue.put(text));
    for index in 0..GOOD {
        stage.queue.put_json(&envelope(&stage, &format!("good-{index}"), &format!("a:{index}"), "hello"));
    }
    let counts = stage.poll();
    assert_eq!(
        (&counts["delivered"], &counts["poisonedBy"]["unreadable"]),
        (&GOOD.into(), &UNREADABLE.into()),
        "{counts}"
    );
    assert_eq!(
        counts["received"],
        UNREADABLE + GOOD,
        "expected the run to receive each message once, found {counts}"
    );
    let mut poisoned = stage.queue.poison().texts();
    poisoned.sort();
    unreadable.sort();
    assert!(poisoned == unreadable, "expected that the poison queue has the texts byte for byte");
    assert_eq!(stage.queue.count(), 0);
}

fn alert_to_an_untrusted_host_is_moved_to_the_poison_queue(world: &World) {
    let stage = Stage::start(world);
    for (index, host) in [
        "https://smba.trafficmanager.net/amer/",
        "http://10.0.0.1/",
        "https://evil.example/",
        "http://localhost@evil.example/",
    ]
    .iter()
    .enumerate()
    {
        let mut planted = envelope(&stage, &format!("planted-{index}"), "a:1", "hello");
        planted["address"]["serviceUrl"] = (*host).into();
        stage.queue.put_json(&planted);
    }
    let counts = stage.poll();
    assert_eq!(counts["poisonedBy"]["untrustedHost"], 4, "{counts}");
    for poisoned in stage.queue.poison().envelopes() {
        assert_eq!(poisoned["failure"]["outcome"], "untrustedHost", "{poisoned}");
    }
    stage.connector.expect_silence();
}

fn alert_to_a_missing_conversation_is_moved_to_the_poison_queue(world: &World) {
    let stage = Stage::start(world);
    stage.connector.on(|received| {
        let gone = received.conversation().as_deref() == Some("a:gone");
        gone.then(|| Reply::error(404, "ConversationNotFound"))
    });
    stage.queue.put_json(&envelope(&stage, "gone-1", "a:gone", "hello"));
    stage.queue.put_json(&envelope(&stage, "gone-2", "a:there", "hello"));
    let counts = stage.poll();
    assert_eq!(
        (&counts["delivered"], &counts["poisonedBy"]["destinationGone"]),
        (&1.into(), &1.into()),
        "{counts}"
    );
    let poisoned = stage.queue.poison().envelopes().remove(0);
    let failure = &poisoned["failure"];
    assert_eq!(poisoned["id"], "gone-1");
    assert_eq!(
        (&failure["outcome"], &failure["status"]),
        (&"destinationGone".into(), &404.into()),
        "{failure}"
    );
    assert_eq!(failure["reason"], "404 ConversationNotFound");
    assert_eq!(failure["attempts"], 1);
    assert!(failure["at"].is_string());
    assert_eq!(stage.queue.count(), 0);
}

fn expired_alert_is_not_delivered(world: &World) {
    let stage = Stage::start(world);
    let mut expired = envelope(&stage, "expired", "a:1", "too late");
    expired["expires"] = "2020-01-01T00:00:00Z".into();
    stage.queue.put_json(&expired);
    let counts = stage.poll();
    assert_eq!(counts["expired"], 1, "{counts}");
    stage.connector.expect_silence();
    assert_eq!((stage.queue.count(), stage.queue.poison().count()), (0, 0), "expected empty queues");
}

fn alert_that_is_not_due_stays_hidden(world: &World) {
    let stage = Stage::start(world);
    let mut early = envelope(&stage, "early", "a:1", "not yet");
    early["notBefore"] = "2099-01-01T00:00:00Z".into();
    stage.queue.put_json(&early);
    let counts = stage.poll();
    assert_eq!(counts["notDue"], 1, "{counts}");
    stage.connector.expect_silence();
    assert_eq!(
        (stage.queue.count(), stage.queue.texts().len()),
        (1, 0),
        "expected one message on the queue, and no visible message"
    );
}

fn envelope_of_a_newer_version_is_moved_to_the_poison_queue(world: &World) {
    let stage = Stage::start(world);
    let mut newer = envelope(&stage, "newer", "a:1", "hello");
    newer["version"] = 2.into();
    stage.queue.put_json(&newer);
    stage.poll();
    assert_eq!(
        decode(&stage.queue.poison().texts()[0]),
        newer,
        "expected that the message is unchanged, so that a newer poller can read it"
    );
    assert!(stage.events("alert.poisoned")[0]["reason"].as_str().unwrap().contains("expected 1, found 2"));
}

fn message_of_another_program_is_delivered(world: &World) {
    let stage = Stage::start(world);
    // The queue message is plain JSON, not base64. It has a field that the poller does not know.
    let mut foreign = envelope(&stage, "foreign", "a:1", "from elsewhere");
    foreign["address"]["somethingNew"] = json!({"x": 1});
    stage.queue.put(&foreign.to_string());
    assert_eq!(stage.poll()["delivered"], 1);
    assert_eq!(stage.connector.wait_for(1)[0].text(), "Alert: from elsewhere");
}
