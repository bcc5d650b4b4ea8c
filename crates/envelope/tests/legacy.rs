//! Tests that read queue messages of older bots, such as the bots of Microsoft's 2017 templates. For each
//! message, the folder `golden/legacy/` has two files: the message (`.json`), and the expected envelope of
//! version 1 (`.v1.json`). An *envelope* is an alert as JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use envelope::{Arrival, DecodeError, Envelope, EnvelopeId, SealKey, SealState, Shape};
use serde_json::{Map, Value, json};

macro_rules! golden {
    ($name:literal, $shape:ident) => {
        (
            $name,
            Shape::$shape,
            include_str!(concat!("golden/legacy/", $name, ".json")),
            include_str!(concat!("golden/legacy/", $name, ".v1.json")),
        )
    };
}

const GOLDEN: [(&str, Shape, &str, &str); 7] = [
    golden!("node", Node),
    golden!("node-3.2", Node),
    golden!("node-agent", Node),
    golden!("csharp-relates-to", RelatesTo),
    golden!("csharp-resumption-cookie", ResumptionCookie),
    golden!("continue-conversation", ContinueConversation),
    golden!("continue-conversation-relates-to", ContinueConversation),
];

/// The id and the time of the carrier: the queue, or a trigger activity. A *trigger activity* brings a
/// message directly to the bot. The message is in the `value` of the activity (the *trigger value*). The
/// reader uses the id and the time of the carrier, because messages of older bots contain no id and no time.
fn arrival() -> Arrival {
    Arrival { id: EnvelopeId::from_text("the-carrier-names-it"), at: "2017-02-02T16:38:41Z".parse().unwrap() }
}

fn read(text: &str) -> Result<Envelope, DecodeError> {
    Envelope::decode(text, None, arrival()).map(|(envelope, _)| envelope)
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn written(envelope: &Envelope) -> Value {
    serde_json::from_slice(&STANDARD.decode(envelope.encode(None).unwrap()).unwrap()).unwrap()
}

/// Applies `change` to each JSON key.
fn with_keys(value: &Value, change: fn(&str) -> String) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (change(key), with_keys(value, change)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

#[test]
fn message_of_an_older_bot_becomes_the_expected_envelope_of_version_1() {
    for (name, shape, json, version_1) in GOLDEN {
        for text in [
            json.to_owned(),
            format!("\u{FEFF}{json}\r\n"),
            STANDARD.encode(json),
            STANDARD.encode(format!("\u{FEFF}{json}")),
        ] {
            let envelope = read(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
            assert_eq!(envelope.shape, shape, "{name}");
            assert_eq!(written(&envelope), parse(version_1), "{name}");
        }
    }
}

#[test]
fn case_of_a_json_key_does_not_matter() {
    let pascal = |key: &str| key[..1].to_ascii_uppercase() + &key[1..];
    for (name, _, json, _) in GOLDEN {
        // The test changes the case of every JSON key. The reader restores the case of known keys, but not of
        // unknown keys. So the comparison would fail if the reader copied an unknown key into the envelope.
        // The reader copies all keys of an account (`user`, `bot`), so the accounts in the files have only
        // known keys. One file has the unknown key `dialog`, but not in an account, so the reader drops this
        // key.
        let (known, upper) = (parse(json), with_keys(&parse(json), str::to_ascii_uppercase));
        let expected = read(&known.to_string()).unwrap();
        for changed in [upper, with_keys(&known, pascal), with_keys(&known, str::to_ascii_lowercase)] {
            assert_eq!(read(&changed.to_string()).as_ref(), Ok(&expected), "{name}: {changed}");
        }
    }
    let both = r#"{"ADDRESS":1,"address":{"channelId":"x","serviceUrl":"https://x/","conversation":{"id":"c"}},"Text":"no","text":"yes"}"#;
    assert_eq!(read(both).unwrap().text, "yes", "the right spelling wins");
}

#[test]
fn service_url_of_teams_without_a_path_gets_the_path_of_teams_and_every_other_url_stays() {
    for (channel, service_url, expected) in [
        ("msteams", "https://smba.trafficmanager.net", "https://smba.trafficmanager.net/teams/"),
        ("msteams", "https://smba.trafficmanager.net/", "https://smba.trafficmanager.net/teams/"),
        ("msteams", "https://SMBA.trafficmanager.net", "https://smba.trafficmanager.net/teams/"),
        ("msteams", "https://smba.trafficmanager.net/amer/", "https://smba.trafficmanager.net/amer/"),
        (
            "msteams",
            "https://smba.trafficmanager.net.evil.example",
            "https://smba.trafficmanager.net.evil.example",
        ),
        ("msteams", "http://smba.trafficmanager.net", "http://smba.trafficmanager.net"),
        ("skype", "https://smba.trafficmanager.net", "https://smba.trafficmanager.net"),
        ("slack", "https://slack.botframework.com", "https://slack.botframework.com"),
    ] {
        let mut json = parse(GOLDEN[1].2);
        json["address"]["channelId"] = channel.into();
        json["address"]["serviceUrl"] = service_url.into();
        assert_eq!(read(&json.to_string()).unwrap().address.service_url, expected, "{channel} {service_url}");
    }
}

#[test]
fn text_of_a_continue_conversation_event_is_in_its_value_or_else_in_its_member_text() {
    for (value, text, expected) in [
        (json!("a"), json!("b"), Some("a")),
        (json!({"text": "a"}), json!("b"), Some("a")),
        (json!(null), json!("b"), Some("b")),
        (json!({"dialog": 1}), json!("b"), Some("b")),
        (json!(7), json!("b"), Some("b")),
        (json!(7), json!(null), None),
        (json!(""), json!(null), None),
        (json!({"dialog": 1}), json!(null), None),
    ] {
        let mut json = parse(GOLDEN[5].2);
        json["value"] = value;
        json["text"] = text;
        let envelope = read(&json.to_string());
        match expected {
            Some(expected) => assert_eq!(envelope.unwrap().text, expected, "{json}"),
            None => assert!(
                envelope.expect_err("an event without a text is refused").to_string().starts_with("value: "),
                "{json}"
            ),
        }
    }
}

#[test]
fn message_without_a_usable_address_or_text_gives_the_reason() {
    const UNKNOWN: &str = "message: expected an envelope of version 1, or an older shape";
    let gzip = STANDARD.encode([0x1f, 0x8b, 8, 0, 0]);
    let cookie = |cookie: Value| json!({"ResumptionCookie": cookie, "Text": "x"}).to_string();
    let cases = [
        ("{}".to_owned(), UNKNOWN),
        (json!({"text": "x"}).to_string(), UNKNOWN),
        (json!({"type": "message", "text": "x"}).to_string(), UNKNOWN),
        (json!({"type": "event", "name": "other", "value": "x"}).to_string(), UNKNOWN),
        (json!({"seal": "x", "address": {}, "text": "x"}).to_string(), "version: expected a whole number"),
        (gzip.clone(), "address: the ResumptionCookie is compressed"),
        (cookie(gzip.into()), "address: the ResumptionCookie is compressed"),
        (
            cookie(json!({
                "userId": "u", "userName": "n", "userAddress": "a", "userChannelId": "c", "botId": "b",
                "botUserId": "bu", "conversationId": "c", "language": "en",
            })),
            "address: the ResumptionCookie is of the oldest kind, which has no serviceUrl",
        ),
        (
            cookie(json!({"Address": {"BotId": "b", "ChannelId": "c", "UserId": "u", "ConversationId": "x"}})),
            "address: the ResumptionCookie is of the oldest kind, which has no serviceUrl",
        ),
        (
            json!({"address": {"channelId": "x", "conversation": {"id": "c"}}, "text": "x"}).to_string(),
            "address.serviceUrl: expected a non-empty string",
        ),
        (
            json!({"RelatesTo": {"channelId": "x", "serviceUrl": "https://x/", "conversation": {}}, "Text": "x"})
                .to_string(),
            "relatesTo.conversation.id: expected a non-empty string",
        ),
        (
            json!({"address": {"channelId": "x", "serviceUrl": "https://x/", "conversation": {"id": "c"}}}).to_string(),
            "text: expected a non-empty string",
        ),
        (json!({"address": "x", "text": "x"}).to_string(), "address: expected an object"),
    ];
    for (text, expected) in cases {
        let error = read(&text).expect_err(&text).to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn field_that_only_version_1_has_is_dropped_from_an_older_message() {
    let mut json = parse(GOLDEN[0].2);
    for (name, value) in [
        ("expires", json!("x")),
        ("notBefore", json!("2099-01-01T00:00:00Z")),
        ("id", json!("mine")),
        ("onUncertain", json!(1)),
    ] {
        json[name] = value;
    }
    assert_eq!(written(&read(&json.to_string()).unwrap()), parse(GOLDEN[0].3));
}

#[test]
fn older_message_that_is_written_again_is_version_1_without_a_seal() {
    let key = SealKey::new([7; 32]);
    for (name, _, json, _) in GOLDEN {
        let (mut envelope, state) = Envelope::decode(json, Some(&key), arrival()).unwrap();
        assert_eq!(state, SealState::Missing, "{name}");
        envelope.delivery.tries = 1;
        let other = Arrival { id: EnvelopeId::from_text("another-dequeue"), ..arrival() };
        let (again, state) = Envelope::decode(&envelope.encode(None).unwrap(), Some(&key), other).unwrap();
        assert_eq!((again.shape, state), (Shape::Version1, SealState::Missing), "{name}");
        assert_eq!(again, Envelope { shape: Shape::Version1, ..envelope }, "{name}");
    }
}

#[test]
fn trigger_value_with_a_message_of_any_shape_is_read() {
    let key = SealKey::new([7; 32]);
    for (name, _, json, _) in GOLDEN {
        let expected = read(json).unwrap();
        let object = parse(json);
        for value in [
            object.clone(),
            json!(json),
            json!(STANDARD.encode(json)),
            json!({"Source": "Azure Functions (C#)!", "Message": json}),
            json!({"source": "x", "message": object}),
            expected.trigger_value(&STANDARD.encode(json)),
        ] {
            let (read, state) = Envelope::decode_trigger(&value, Some(&key), arrival()).unwrap();
            assert_eq!((&read, state), (&expected, SealState::Missing), "{name}: {value}");
        }
    }
}

#[test]
fn trigger_value_keeps_the_id_and_the_seal_of_the_envelope() {
    let key = SealKey::new([7; 32]);
    let envelope = read(GOLDEN[0].2).unwrap();
    let sealed = envelope.encode(Some(&key)).unwrap();
    let elsewhere = || Arrival { id: EnvelopeId::from_text("the-trigger-s-own"), ..arrival() };
    let carried = envelope.trigger_value(&sealed);
    let (read, state) = Envelope::decode_trigger(&carried, Some(&key), elsewhere()).unwrap();
    assert_eq!((read.id, state), (envelope.id.clone(), SealState::Valid));
    // The message of the older bot contains no id, so the reader takes the id from the trigger value.
    let carried = envelope.trigger_value(GOLDEN[0].2);
    assert_eq!((&carried["address"], &carried["text"]), (&envelope.address.to_json(), &json!(envelope.text)));
    let (read, _) = Envelope::decode_trigger(&carried, Some(&key), elsewhere()).unwrap();
    assert_eq!(read.id, envelope.id);
    let unnamed = json!({"Source": "x", "Message": GOLDEN[0].2});
    assert_eq!(
        Envelope::decode_trigger(&unnamed, None, elsewhere()).unwrap().0.id.as_str(),
        "the-trigger-s-own"
    );
}

#[test]
fn trigger_value_without_an_envelope_gives_the_reason() {
    for (value, expected) in [
        (json!(null), DecodeError::NotJson),
        (json!(7), DecodeError::NotJson),
        (json!([]), DecodeError::NotJson),
        (json!("hello"), DecodeError::NotJson),
        (json!({}), DecodeError::UnknownShape),
        (json!({"Source": "x", "Message": 7}), DecodeError::NotJson),
        (json!({"Source": "x", "Message": null}), DecodeError::UnknownShape),
        (json!({"Message": {"Message": GOLDEN[0].2}}), DecodeError::UnknownShape),
    ] {
        assert_eq!(Envelope::decode_trigger(&value, None, arrival()), Err(expected), "{value}");
    }
}
