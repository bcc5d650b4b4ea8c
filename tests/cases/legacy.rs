//! Queue messages in the formats of older bots. Some of these bots use Microsoft's templates of 2017, in
//! Node.js or C#. Other bots use Bot Framework Composer or an SDK. The poller can read the messages of all
//! these bots. The Azure function of the Node.js template can read the messages of this project's bot.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use end_to_end::activity::{at_service, fixture, message};
use end_to_end::connector::Reply;
use end_to_end::queue::{decode, envelope_of};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use envelope::testing::WRAPPINGS;
use serde_json::{Value, json};

end_to_end::cases!(
    message_in_any_older_format_is_delivered,
    message_in_any_wrapping_is_delivered_and_an_unreadable_text_is_poisoned_unchanged,
    two_equal_queue_messages_are_two_alerts,
    message_without_a_readable_address_is_moved_to_the_poison_queue_unchanged,
    throttled_message_is_hidden_unchanged,
    message_to_a_missing_conversation_is_moved_to_the_poison_queue_unchanged,
    trusted_flag_in_a_message_is_ignored,
    message_of_the_bot_is_readable_by_the_function_of_2017,
);

/// Reads a sample queue message of `crates/envelope`. Replaces the serviceUrl with the address of the fake
/// Connector.
fn sample(stage: &Stage, name: &str) -> Value {
    let path = dev::workspace::root().join(format!("crates/envelope/tests/golden/legacy/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut json: Value = serde_json::from_str(&text).unwrap();
    let here = stage.connector.authority();
    for place in ["/address", "/RelatesTo", "/relatesTo", ""] {
        if json.pointer(place).is_some_and(|holder| holder["serviceUrl"].is_string()) {
            let holder = json.pointer_mut(place).unwrap();
            *holder = at_service(holder, here);
        }
    }
    if let Some(url) = json.pointer_mut("/ResumptionCookie/Address/ServiceUrl") {
        *url = format!("http://{here}").into();
    }
    json
}

fn message_in_any_older_format_is_delivered(world: &World) {
    let stage = Stage::start(world);
    let all = [
        ("node", "/amer/v3/conversations/a%3A1pL6i0oY3C0K8oVxA4gJ9mN2bQwErTyUiOpAsDfGhJkLz/activities"),
        ("node-3.2", "/v3/conversations/a%3A1pL6/activities"),
        ("node-agent", "/v3/conversations/7tCoXhIbX2r8mUQ4kqZ9n1-us/activities"),
        ("csharp-relates-to", "/v3/conversations/8a684db8/activities"),
        ("csharp-resumption-cookie", "/v3/conversations/B2A5%3AT2A5%3AD2A5/activities"),
        ("continue-conversation", "/emea/v3/conversations/a%3A1pL6/activities"),
        (
            "continue-conversation-relates-to",
            "/emea/v3/conversations/19%3A3b5c%40thread.tacv2%3Bmessageid%3D1795167100123/activities",
        ),
    ];
    for (name, _) in all {
        let json = sample(&stage, name);
        stage.queue.put_json(&json);
        stage.queue.put(&json.to_string());
    }
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], &counts["poisoned"]), (&14.into(), &Value::Null), "{counts}");
    let received = stage.connector.wait_for(14);
    for (name, path) in all {
        let alerts: Vec<_> = received.iter().filter(|alert| alert.path == path).collect();
        assert_eq!(
            alerts.len(),
            2,
            "{name}: expected two alerts, one from base64 and one from JSON, found {received:#?}"
        );
        let parties = (&alerts[0].body["from"]["id"], &alerts[0].body["recipient"]["id"]);
        assert!(
            alerts[0].is_alert() && parties.0.is_string() && parties.1.is_string(),
            "{name}: {alerts:#?}"
        );
    }
    let delivered = stage.wait_for_events("alert.delivered", 14);
    for (shape, count) in
        [("node", 6), ("relatesTo", 2), ("resumptionCookie", 2), ("continueConversation", 4)]
    {
        let of_shape = delivered.iter().filter(|event| event["shape"] == shape);
        assert_eq!(
            of_shape.count(),
            count,
            "expected that the log names the shape of each message, so that an operator can watch a migration: {shape}"
        );
    }
    let text = "Alert: Grüße & <b>pizza</b> 🍕";
    assert_eq!(received.iter().filter(|alert| alert.text() == text).count(), 2, "{received:#?}");
    assert_eq!(stage.queue.count(), 0);
}

fn message_in_any_wrapping_is_delivered_and_an_unreadable_text_is_poisoned_unchanged(world: &World) {
    let stage = Stage::start(world);
    // The base64 of `>` and `?` contains `+` and `/`. The standard alphabet and the URL-safe alphabet of
    // base64 differ only in these two characters.
    let (mut json, text) = (sample(&stage, "node"), "Grüße 🍕 >>>>>?????");
    for (index, (name, wrap)) in WRAPPINGS.iter().enumerate() {
        json["address"]["conversation"]["id"] = format!("a:{index}").into();
        json["text"] = format!("{name}: {text}").into();
        // With these blanks, the text has a length that needs padding in base64.
        let text = json.to_string();
        let blanks = " ".repeat((4 - text.len() % 3) % 3);
        stage.queue.put(&wrap(&(text + &blanks)));
    }
    let thrice = STANDARD.encode(STANDARD.encode(STANDARD.encode(json.to_string())));
    let mut unreadable = [thrice, " bm8g\r\nbWVzc2FnZQ==\r\n".into(), "b'{}".into(), "\u{FEFF}".into()];
    for text in &unreadable {
        stage.queue.put(text);
    }
    let counts = stage.poll();
    let received = stage.connector.received();
    for (name, _) in WRAPPINGS {
        let expected = format!("Alert: {name}: {text}");
        let times = received.iter().filter(|alert| alert.text() == expected).count();
        assert_eq!(times, 1, "{name}: {counts} {received:#?}");
    }
    assert_eq!(
        (received.len(), &counts["poisonedBy"]["unreadable"]),
        (WRAPPINGS.len(), &unreadable.len().into())
    );
    let mut poisoned = stage.queue.poison().texts();
    poisoned.sort();
    unreadable.sort();
    assert_eq!(poisoned, unreadable, "expected that the poison queue has the texts byte for byte");
}

fn two_equal_queue_messages_are_two_alerts(world: &World) {
    let stage = Stage::start(world);
    let ping = sample(&stage, "csharp-relates-to");
    stage.queue.put_json(&ping);
    stage.queue.put_json(&ping);
    assert_eq!(stage.poll()["delivered"], 2);
    stage.queue.put_json(&ping);
    assert_eq!(stage.poll()["delivered"], 1);
    stage.connector.wait_for(3);
}

fn message_without_a_readable_address_is_moved_to_the_poison_queue_unchanged(world: &World) {
    let stage = Stage::start(world);
    let oldest = json!({
        "ResumptionCookie": {
            "userId": "u", "userAddress": "a", "userChannelId": "c", "botId": "b", "conversationId": "c", "language": "en",
        },
        "Text": "ping",
    });
    let texts = [
        (STANDARD.encode(oldest.to_string()), "oldest kind, which has no serviceUrl"),
        (STANDARD.encode([0x1f, 0x8b, 8, 0, 0, 0]), "compressed"),
        (json!({"ResumptionCookie": "H4sIAAAAAAAE", "Text": "ping"}).to_string(), "compressed"),
    ];
    for (text, _) in &texts {
        stage.queue.put(text);
    }
    assert_eq!(stage.poll()["poisonedBy"]["unreadable"], 3);
    let poison = stage.queue.poison();
    let (mut expected, mut found) = (texts.clone().map(|(text, _)| text), poison.texts());
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "expected that the poison queue has the texts byte for byte");
    let reasons: Vec<_> = stage.wait_for_events("alert.poisoned", 3);
    for (_, reason) in texts {
        let names_it = |event: &Value| event["reason"].as_str().is_some_and(|text| text.contains(reason));
        assert!(reasons.iter().any(names_it), "{reason}: {reasons:#?}");
    }
    stage.connector.expect_silence();
}

fn throttled_message_is_hidden_unchanged(world: &World) {
    let stage = Stage::start(world);
    let first = std::sync::atomic::AtomicBool::new(true);
    stage.connector.on(move |_| {
        let throttle = first.swap(false, std::sync::atomic::Ordering::SeqCst);
        throttle.then(|| Reply::error(429, "Throttled").header("retry-after", "1"))
    });
    let relates_to = sample(&stage, "csharp-relates-to");
    stage.queue.put_json(&relates_to);
    assert_eq!(stage.poll()["throttled"], 1);
    let text = eventually("the message to be visible again", || stage.queue.texts().pop());
    assert_eq!(
        envelope_of(&text),
        Some(relates_to),
        "expected that the hidden message is unchanged, so that the tools of the older bot can read it"
    );
    assert_eq!(stage.poll()["delivered"], 1);
    stage.connector.wait_for(2);
}

fn message_to_a_missing_conversation_is_moved_to_the_poison_queue_unchanged(world: &World) {
    let stage = Stage::start(world);
    stage.connector.on(|_| Some(Reply::error(404, "ConversationNotFound")));
    let text = STANDARD.encode(sample(&stage, "node").to_string());
    stage.queue.put(&text);
    assert_eq!(stage.poll()["poisonedBy"]["destinationGone"], 1);
    assert_eq!(stage.queue.poison().texts(), [text]);
}

fn trusted_flag_in_a_message_is_ignored(world: &World) {
    let stage = Stage::start(world);
    let mut planted = sample(&stage, "csharp-relates-to");
    planted["RelatesTo"]["serviceUrl"] = "https://evil.example/".into();
    assert_eq!(planted["IsTrustedServiceUrl"], true);
    let mut cookie = sample(&stage, "csharp-resumption-cookie");
    cookie["ResumptionCookie"]["Address"]["ServiceUrl"] = "https://evil.example/".into();
    stage.queue.put_json(&planted);
    stage.queue.put_json(&cookie);
    assert_eq!(stage.poll()["poisonedBy"]["untrustedHost"], 2);
    let poisoned: Vec<_> = stage.queue.poison().texts().iter().map(|text| decode(text)).collect();
    assert!(
        poisoned.contains(&planted) && poisoned.contains(&cookie),
        "expected both messages unchanged in the poison queue, found {poisoned:#?}"
    );
    stage.connector.expect_silence();
}

/// In the Node.js template of 2017, an Azure function decodes the queue message (base64 of JSON), and passes
/// `address` and `text` to the template's bot. The template's bot passes the address to the SDK botbuilder 3,
/// which reads the fields below.
fn message_of_the_bot_is_readable_by_the_function_of_2017(world: &World) {
    let stage = Stage::start(world);
    for (name, activity) in [
        ("teams", message("a:1", "1795167064521", "Grüße & <b>pizza</b> 🍕")),
        ("webchat", fixture("webchat.json")),
    ] {
        let activity = stage.connector.host(&activity);
        stage.post(&activity).expect_status(202);
        let text = stage.queue.take_all().remove(0);
        let json = String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
        assert!(
            !json.starts_with('\u{FEFF}'),
            "the envelope begins with a byte order mark, which JSON.parse of Node.js refuses"
        );
        let my_queue_item: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(my_queue_item["text"], activity["text"], "{name}");
        let address = &my_queue_item["address"];
        for (ours, theirs) in [
            ("/id", "/id"),
            ("/channelId", "/channelId"),
            ("/serviceUrl", "/serviceUrl"),
            ("/conversation/id", "/conversation/id"),
            ("/user/id", "/from/id"),
            ("/bot/id", "/recipient/id"),
        ] {
            let (ours, theirs) = (address.pointer(ours), activity.pointer(theirs));
            assert!(ours.is_some_and(Value::is_string) && ours == theirs, "{name}: {ours:?}, {theirs:?}");
        }
    }
}
