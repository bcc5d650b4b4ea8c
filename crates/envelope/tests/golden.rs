//! Tests that read and write envelopes (alerts as JSON in queue messages) of version 1. The files in
//! `golden/` must never change, because queues already hold messages in the format of these files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use envelope::{
    Arrival, DecodeError, Delivery, Envelope, EnvelopeId, Failure, FailureNote, MAX_JSON_BYTES, OnUncertain,
    SealKey, SealState,
};
use serde_json::{Value, json};

const GOLDEN: [(&str, &str); 6] = [
    ("v1-minimal", include_str!("golden/v1-minimal.json")),
    ("v1-traced", include_str!("golden/v1-traced.json")),
    ("v1-full", include_str!("golden/v1-full.json")),
    ("v1-alert", include_str!("golden/v1-alert.json")),
    ("v1-creation", include_str!("golden/v1-creation.json")),
    ("v1-recurring", include_str!("golden/v1-recurring.json")),
];

fn read(text: &str) -> Result<Envelope, DecodeError> {
    Envelope::decode(text, None, arrival()).map(|(envelope, _)| envelope)
}

/// The id and the time of the carrier: the queue, or a trigger activity. A *trigger activity* brings an
/// envelope directly to the bot. An envelope of version 1 has its own id and time, so the reader must ignore
/// these values.
fn arrival() -> Arrival {
    Arrival { id: EnvelopeId::from_text("of-the-carrier"), at: "2001-01-01T00:00:00Z".parse().unwrap() }
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

#[test]
fn golden_file_that_is_read_and_written_stays_the_same() {
    for (name, json) in GOLDEN {
        for text in [
            json.to_owned(),
            format!("\u{FEFF}{json}"),
            format!("  {json}\r\n"),
            STANDARD.encode(json),
            STANDARD.encode(format!("\u{FEFF}{json}")),
        ] {
            let envelope = read(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
            let written = STANDARD.decode(envelope.encode(None).unwrap()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), parse(json), "{name}");
        }
    }
}

#[test]
fn envelope_has_its_text_and_ids_in_the_members_that_old_node_js_bots_read() {
    let envelope = read(include_str!("golden/v1-full.json")).unwrap();
    let json: Value =
        serde_json::from_slice(&STANDARD.decode(envelope.encode(None).unwrap()).unwrap()).unwrap();
    assert_eq!(json["text"], "Grüße & <b>pizza</b> 🍕");
    assert_eq!(json["address"]["conversation"]["id"], "a:1pL6i0oY3C0K8oVxA4gJ9mN2bQwErTyUiOpAsDfGhJkLz");
    assert_eq!(json["address"]["id"], "1795167064521");
}

#[test]
fn text_that_is_no_envelope_gives_the_reason() {
    let with = |change: fn(&mut Value)| {
        let mut json = parse(GOLDEN[0].1);
        change(&mut json);
        json.to_string()
    };
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "message: expected a JSON object, or base64 of a JSON object"),
        ("not base64!".into(), "message: expected a JSON object, or base64 of a JSON object"),
        (STANDARD.encode("hello"), "message: expected a JSON object, or base64 of a JSON object"),
        (STANDARD.encode(b"\xff\xfe{}"), "message: expected a JSON object, or base64 of a JSON object"),
        ("{".into(), "message: expected a JSON object, or base64 of a JSON object"),
        (r#"{"seal":"x"}"#.into(), "version: expected a whole number"),
        (
            with(|json| json["version"] = json!(2)),
            "version: expected 1, found 2; update the bot and the poller",
        ),
        (with(|json| json["version"] = json!("1")), "version: expected a whole number"),
        (with(|json| json["id"] = json!("")), "id: expected a non-empty string"),
        (with(|json| json["text"] = json!(7)), "text: expected a string"),
        (with(|json| json["activity"] = json!([])), "activity: expected an object"),
        (with(|json| json["cancellable"] = json!("yes")), "cancellable: expected true or false"),
        (
            with(|json| json["enqueuedAt"] = json!("yesterday")),
            "enqueuedAt: expected a time in the form of RFC 3339",
        ),
        (with(|json| json["address"] = json!("x")), "address: expected an object"),
        (
            with(|json| json["address"]["conversation"] = json!({})),
            "address.conversation.id: expected a non-empty string",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(&text).expect_err(&text).to_string(), expected, "{text}");
    }
    assert_eq!(read(&with(|json| json["version"] = json!(9))), Err(DecodeError::UnsupportedVersion(9)));
}

#[test]
fn envelope_that_is_one_byte_too_long_is_refused() {
    let mut envelope = read(GOLDEN[0].1).unwrap();
    (envelope.text, envelope.once) = (String::new(), true);
    let empty = STANDARD.decode(envelope.encode(None).unwrap()).unwrap().len();
    envelope.text = "x".repeat(MAX_JSON_BYTES - empty);
    assert_eq!(
        envelope.encode(None).unwrap().len(),
        64 * 1024,
        "the longest envelope has the length of the longest message of Azure"
    );
    envelope.text.push('x');
    assert_eq!(envelope.encode(None).expect_err("too large").json_bytes, MAX_JSON_BYTES + 1);
    // If a call to Put Message fails, the queue perhaps holds the envelope nevertheless. So the bot repeats
    // the call with the mark `once`, which tells the poller to deliver the envelope at most once. An envelope
    // without the mark must leave room for the mark.
    envelope.once = false;
    assert_eq!(envelope.encode(None).expect_err("too large").json_bytes, MAX_JSON_BYTES + 1);
    envelope.text.pop();
    assert!(envelope.encode(None).unwrap().len() < 64 * 1024);
    envelope.once = true;
    assert_eq!(envelope.encode(None).unwrap().len(), 64 * 1024);
}

#[test]
fn trace_that_would_make_the_envelope_too_long_is_left_out() {
    let mut envelope = read(GOLDEN[1].1).unwrap();
    assert!(envelope.traceparent.is_some() && !envelope.once);
    envelope.text = String::new();
    let empty = STANDARD.decode(envelope.encode(None).unwrap()).unwrap().len();
    // The envelope has no mark `once`, but must leave room for the mark, which has 12 bytes.
    for (more, has_trace) in [(0, true), (1, false)] {
        envelope.text = "x".repeat(MAX_JSON_BYTES - empty - 12 + more);
        let written = read(&envelope.encode(None).unwrap()).unwrap();
        assert_eq!((written.traceparent.is_some(), &written.text), (has_trace, &envelope.text), "{more}");
    }
    envelope.text = "x".repeat(MAX_JSON_BYTES);
    assert!(envelope.encode(None).is_err());
}

#[test]
fn invalid_trace_is_no_error_and_is_written_unchanged() {
    for trace in [json!("00-x"), json!(""), json!(7), json!(null), json!({"a": 1})] {
        let mut json = parse(GOLDEN[0].1);
        json["traceparent"] = trace;
        let envelope = read(&json.to_string()).unwrap();
        assert_eq!(envelope.traceparent, None);
        let written = STANDARD.decode(envelope.encode(None).unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), json);
    }
    let mut legacy = parse(GOLDEN[1].1);
    legacy.as_object_mut().unwrap().remove("version");
    assert_eq!(read(&legacy.to_string()).unwrap().traceparent, None, "an older shape has no trace");
}

#[test]
fn seal_is_valid_only_if_the_key_is_the_same_and_no_field_was_changed() {
    let (ours, theirs) = (SealKey::new([1; 32]), SealKey::new([2; 32]));
    for (_, golden) in GOLDEN {
        sealed_and_changed(&ours, &theirs, read(golden).unwrap());
    }
}

fn sealed_and_changed(ours: &SealKey, theirs: &SealKey, envelope: Envelope) {
    let (sealed, plain) = (envelope.encode(Some(ours)).unwrap(), envelope.encode(None).unwrap());
    for (text, key, expected) in [
        (&sealed, Some(ours), SealState::Valid),
        (&sealed, Some(theirs), SealState::Broken),
        (&sealed, None, SealState::Unchecked),
        (&plain, Some(ours), SealState::Missing),
        (&plain, None, SealState::Missing),
    ] {
        let (read, state) = Envelope::decode(text, key, arrival()).unwrap();
        assert_eq!((&read, state), (&envelope, expected));
    }
    // A change of any field breaks the seal. The loop leaves out `version`, because the reader refuses an
    // envelope of another version.
    let json: Value = serde_json::from_slice(&STANDARD.decode(&sealed).unwrap()).unwrap();
    for field in json.as_object().unwrap().keys().filter(|field| *field != "seal" && *field != "version") {
        let mut changed = json.clone();
        match changed[field].clone() {
            Value::String(text) if ["enqueuedAt", "notBefore", "expires"].contains(&field.as_str()) => {
                changed[field] = text.replace("2026", "2027").into()
            }
            Value::String(_) if field == "onUncertain" => changed[field] = "retry".into(),
            Value::String(_) if field == "format" => changed[field] = "plain".into(),
            Value::Array(mut values) => {
                values.pop();
                changed[field] = values.into();
            }
            Value::Bool(value) => changed[field] = (!value).into(),
            Value::String(text) => changed[field] = format!("{text}!").into(),
            Value::Object(mut object) => {
                object.insert("planted".into(), true.into());
                changed[field] = object.into();
            }
            other => panic!("{field} is {other}: add a change of this field to the test"),
        }
        assert_eq!(
            Envelope::decode(&changed.to_string(), Some(ours), arrival()).unwrap().1,
            SealState::Broken,
            "{field}"
        );
    }
}

#[test]
fn delivery_and_failure_survive_a_round_trip() {
    let mut envelope = read(GOLDEN[0].1).unwrap();
    envelope.delivery = Delivery { tries: 2, outages: 0, throttled: 3, uncertain: 1, accounted: 7 };
    envelope.on_uncertain = OnUncertain::Drop;
    envelope.not_before = envelope.enqueued_at.checked_add_days(chrono::Days::new(30));
    envelope.expires = envelope.enqueued_at.checked_add_days(chrono::Days::new(31));
    assert_eq!(read(&envelope.encode(None).unwrap()).unwrap(), envelope);
    let failure = Failure {
        id: "98204528800000.m".into(),
        outcome: "destinationGone",
        reason: "404 ConversationNotFound".into(),
        status: Some(404),
        at: envelope.enqueued_at,
        attempts: 3,
    };
    let text = envelope.encode_failed(None, &failure).unwrap();
    let json: Value = serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap();
    let expected = json!({
        "id": "98204528800000.m", "outcome": "destinationGone", "reason": "404 ConversationNotFound", "status": 404,
        "at": "2026-11-23T22:00:00.000Z", "attempts": 3,
    });
    assert_eq!(json["failure"], expected);
    let mut dead = read(&json.to_string()).unwrap();
    let note = FailureNote {
        id: Some(failure.id),
        outcome: Some(failure.outcome.into()),
        reason: Some(failure.reason),
        status: failure.status,
        at: Some(failure.at),
        attempts: failure.attempts,
    };
    assert_eq!((dead.take_failure(), dead.take_failure()), (Some(note), None));
    assert_eq!(dead, envelope);
    dead.rest.insert("failure".into(), json!({"id": 7, "status": -1, "at": "soon", "attempts": "x"}));
    assert_eq!(dead.take_failure(), Some(FailureNote::default()), "members of a wrong type are ignored");
}

#[test]
fn seal_of_an_envelope_with_a_float_stays_valid() {
    let key = SealKey::new([1; 32]);
    let mut envelope = read(GOLDEN[0].1).unwrap();
    // An inexact JSON parser reads a number such as 2.2250738585072011e-308 with one wrong bit. The wrong bit
    // would break the seal.
    for number in [
        "0.1",
        "1e-7",
        "2.2250738585072011e-308",
        "9007199254740993.0",
        "1.7976931348623157e308",
        "123456789.12345679",
    ] {
        envelope.rest = parse(&format!(r#"{{"number":{number}}}"#)).as_object().unwrap().clone();
        let text = envelope.encode(Some(&key)).unwrap();
        assert_eq!(Envelope::decode(&text, Some(&key), arrival()).unwrap().1, SealState::Valid, "{number}");
    }
}
