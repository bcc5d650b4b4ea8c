//! Tests of the *wrappings*: the encodings around the JSON of a queue message. The JSON is an *envelope* (an
//! alert). The reader decodes each encoding, and no encoding makes a broken *seal* (the HMAC of the message)
//! valid.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use envelope::testing::WRAPPINGS;
use envelope::{Arrival, DecodeError, Envelope, EnvelopeId, SealKey, SealState, json_of};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

const GOLDEN: [&str; 5] = [
    include_str!("golden/v1-minimal.json"),
    include_str!("golden/v1-full.json"),
    include_str!("golden/legacy/node.json"),
    include_str!("golden/legacy/csharp-relates-to.json"),
    include_str!("golden/legacy/csharp-resumption-cookie.json"),
];

/// The *carrier* of a message is the queue, or a *trigger activity*: an activity that has the message in its
/// `value` (the *trigger value*). This function returns the id and the time that the carrier gives to a
/// message. The reader uses them for messages of older bots, which contain no id and no time.
fn arrival() -> Arrival {
    Arrival { id: EnvelopeId::from_text("the-carrier-names-it"), at: "2017-02-02T16:38:41Z".parse().unwrap() }
}

fn key() -> SealKey {
    SealKey::new([7; 32])
}

fn read(text: &str) -> Result<(Envelope, SealState), DecodeError> {
    Envelope::decode(text, Some(&key()), arrival())
}

/// The JSON of an envelope, sealed.
fn sealed(envelope: &Envelope) -> String {
    json_of(&envelope.encode(Some(&key())).unwrap()).unwrap().into_owned()
}

#[test]
fn message_is_read_in_every_wrapping() {
    for json in GOLDEN {
        let expected = read(json);
        assert!(expected.is_ok(), "{json}");
        for (name, wrap) in WRAPPINGS {
            // The white space changes the length of the JSON, and so the padding of the base64.
            for white_space in ["", " ", "\n\n"] {
                let text = wrap(&format!("{json}{white_space}"));
                assert_eq!(read(&text), expected, "{name}: {text}");
            }
        }
    }
}

#[test]
fn trigger_value_has_plain_json_for_every_wrapping() {
    let envelope = read(GOLDEN[1]).unwrap().0;
    let json = sealed(&envelope);
    for (name, wrap) in WRAPPINGS {
        let value = envelope.trigger_value(&wrap(&json));
        assert_eq!(value["Message"].as_str().map(str::trim), Some(json.as_str()), "{name}");
        let (read, seal) = Envelope::decode_trigger(&value, Some(&key()), arrival()).unwrap();
        assert_eq!((&read, seal), (&envelope, SealState::Valid), "{name}");
    }
}

#[test]
fn seal_is_checked_in_every_wrapping() {
    let envelope = read(GOLDEN[1]).unwrap().0;
    let json = sealed(&envelope);
    let without: String = {
        let mut value: Value = serde_json::from_str(&json).unwrap();
        value.as_object_mut().unwrap().remove("seal");
        value.to_string()
    };
    for (name, wrap) in WRAPPINGS {
        for (what, json, expected) in [
            ("as it was", json.clone(), SealState::Valid),
            ("another text", json.replace("pizza", "pasta"), SealState::Broken),
            ("one member more", json.replacen('{', r#"{"planted":1,"#, 1), SealState::Broken),
            ("no seal", without.clone(), SealState::Missing),
        ] {
            assert_eq!(read(&wrap(&json)).unwrap().1, expected, "{name}: {what}");
        }
        // Messages of older bots have no `version` and no `seal`. This envelope has lost its `version`, but
        // has a seal. So the reader refuses the envelope, and does not read it as a message of an older bot.
        let aged = json.replace(r#""version":1"#, r#""versio":1"#);
        assert!(matches!(read(&wrap(&aged)), Err(DecodeError::Field(_))), "{name}");
    }
}

#[test]
fn text_without_an_envelope_is_refused_with_the_reason() {
    let json = GOLDEN[2];
    let (once, twice) = (STANDARD.encode(json), STANDARD.encode(STANDARD.encode(json)));
    let cases = [
        ("base64 three times", STANDARD.encode(&twice)),
        ("two JSON strings around", Value::from(Value::from(json).to_string()).to_string()),
        ("a character that is in no alphabet", once.replacen('e', "*", 1)),
        ("a letter after the padding", format!("{once}A=A")),
        ("padding in the middle", once.replacen('J', "=", 1)),
        ("half a unit of UTF-16", STANDARD.encode(b"\xff\xfe{\0}\0 ")),
        ("UTF-16 that is something else", STANDARD.encode(b"\xff\xfe{}")),
        ("no UTF-8", STANDARD.encode(b"{\"text\":\"\xff\"}")),
        ("a quote that does not end", format!("\"{once}")),
        ("Python's bytes that do not end", format!("b'{once}")),
        ("a list", "[]".into()),
        ("an empty string", r#""""#.into()),
        ("white space", " \r\n\t".into()),
        ("nothing", String::new()),
    ];
    for (name, text) in cases {
        assert_eq!(read(&text), Err(DecodeError::NotJson), "{name}: {text}");
    }
    let gzip = [0x1f, 0x8b, 8, 0, 0];
    for text in [STANDARD.encode(gzip), STANDARD.encode(STANDARD.encode(gzip))] {
        assert!(matches!(read(&text), Err(DecodeError::NotAddressable(_))), "{text}");
    }
}

#[test]
fn half_a_character_of_utf_16_becomes_the_replacement_character() {
    let units = [0xFEFF, u16::from(b'{'), 0xD83C, u16::from(b'}')];
    let text = STANDARD.encode(units.map(u16::to_le_bytes).concat());
    assert_eq!(json_of(&text).as_deref(), Ok("{\u{FFFD}}"));
}

prop_compose! {
    fn any_envelope()(
        text in any::<String>(), name in any::<String>(), summary in any::<String>(), members in any::<Vec<(String, String)>>(),
    ) -> Envelope {
        let mut envelope = read(GOLDEN[0]).unwrap().0;
        envelope.text = text;
        envelope.activity.insert("summary".into(), summary.into());
        envelope.rest = members.into_iter().map(|(name, value)| (format!("x-{name}"), value.into())).collect();
        envelope.rest.insert("x-name".into(), name.into());
        envelope
    }
}

proptest! {
    // The number of cases is smaller than the default, because each case reads the envelope in every
    // wrapping.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_envelope_survives_every_wrapping(envelope in any_envelope()) {
        let json = sealed(&envelope);
        for (name, wrap) in WRAPPINGS {
            prop_assert_eq!(read(&wrap(&json)), Ok((envelope.clone(), SealState::Valid)), "{}", name);
        }
    }
}

proptest! {
    #[test]
    fn garbage_never_panics_and_never_has_a_valid_seal(
        text in any::<String>(), bytes in any::<Vec<u8>>(), (_, wrap) in select(&WRAPPINGS[..]),
    ) {
        let once = STANDARD.encode(&bytes);
        for text in [wrap(&text), STANDARD.encode(&once), once.chars().rev().collect(), once, text] {
            prop_assert_ne!(read(&text).map(|(_, seal)| seal), Ok(SealState::Valid));
        }
    }

    #[test]
    fn message_that_is_cut_anywhere_never_panics(
        json in select(&GOLDEN[..]), (_, wrap) in select(&WRAPPINGS[..]), from in 0..200_usize, length in 0..2000_usize,
    ) {
        let cut: String = wrap(json).chars().skip(from).take(length).collect();
        _ = read(&cut);
        _ = json_of(&cut);
    }
}
