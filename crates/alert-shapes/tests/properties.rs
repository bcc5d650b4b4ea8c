//! Property tests: the crate reads random bodies, and each resulting alert must obey the rules of
//! `support::check`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use alert_shapes::{Reading, Shape};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use support::{Request, check, goldens, read_request};

/// Names and texts that the readers look for, and texts that must not reach a card, such as mentions and
/// dangerous links.
const WORDS: &[&str] = &[
    "text",
    "title",
    "message",
    "summary",
    "@type",
    "MessageCard",
    "sections",
    "facts",
    "name",
    "value",
    "potentialAction",
    "OpenUri",
    "targets",
    "uri",
    "type",
    "AdaptiveCard",
    "attachments",
    "contentType",
    "content",
    "body",
    "items",
    "url",
    "application/vnd.microsoft.card.adaptive",
    "TextBlock",
    "Container",
    "ColumnSet",
    "columns",
    "Column",
    "Image",
    "actions",
    "Action.OpenUrl",
    "Action.ShowCard",
    "card",
    "selectAction",
    "FactSet",
    "RichTextBlock",
    "inlines",
    "Table",
    "rows",
    "cells",
    "alerts",
    "status",
    "firing",
    "resolved",
    "labels",
    "annotations",
    "groupKey",
    "groupLabels",
    "commonLabels",
    "commonAnnotations",
    "startsAt",
    "2026-11-27T09:12:31Z",
    "orgId",
    "values",
    "blocks",
    "elements",
    "fields",
    "color",
    "schemaId",
    "azureMonitorCommonAlertSchema",
    "data",
    "essentials",
    "alertContext",
    "condition",
    "allOf",
    "specversion",
    "1.0",
    "id",
    "source",
    "eventType",
    "<at>Kim</at>",
    "[a](javascript:x)",
    "<javascript:x>",
    "[a](data:x)",
    "![a](data:,x)",
    "<<at>at>",
    "]<at>(javascript:x)",
    "[x]: javascript:x",
    "https://example.com/?a=(b)",
    "http://",
    "javascript:alert(1)",
    "data:image/png;base64,AA",
    "<a href=\"javascript:x\">",
    "*b*",
    "&lt;at&gt;x&lt;/at&gt;",
    "<@U1|x>",
    "<!here>",
    "\u{0}\u{1}\u{202e}",
    "\\\\\\\"",
    "é€😀",
    "<",
    "](",
    "`",
    "\n",
];

static GOLDENS: LazyLock<Vec<(String, Request)>> = LazyLock::new(goldens);

fn word() -> impl Strategy<Value = String> {
    let one = || prop_oneof![prop::sample::select(WORDS).prop_map(str::to_owned), ".{0,12}"];
    prop_oneof![4 => one(), 2 => vec(one(), 2..6).prop_map(|words| words.concat()), 1 => (one(), 1..4_000_usize).prop_map(|(word, times)| word.repeat(times))]
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(WORDS).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 96, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            btree_map(key(), inner, 0..8).prop_map(|map| json!(map))
        ]
    })
}

fn shape() -> impl Strategy<Value = Option<Shape>> {
    prop::option::of(prop::sample::select(&Shape::ALL[..]))
}

/// Replaces the value at a path. Each index in the path chooses a child. If a value on the path has no
/// children, the function replaces this value.
fn mutate(value: &mut Value, path: &[prop::sample::Index], new: Value) {
    let mut place = value;
    for index in path {
        let length = match &*place {
            Value::Array(elements) => elements.len(),
            Value::Object(members) => members.len(),
            _ => 0,
        };
        if length == 0 {
            break;
        }
        let at = index.index(length);
        place = match place {
            Value::Array(elements) => &mut elements[at],
            Value::Object(members) => members.values_mut().nth(at).unwrap(),
            _ => unreachable!("only arrays and objects have a length"),
        };
    }
    *place = new;
}

/// Reads a request, and checks each alert. The check passes if the crate returns an error or a handshake
/// instead of alerts.
fn check_alerts(
    headers: &BTreeMap<String, String>,
    body: &[u8],
    named_shape: Option<Shape>,
) -> Result<(), TestCaseError> {
    if let Ok(Reading::Alerts(alerts)) = read_request(headers, body, named_shape) {
        prop_assert!(!alerts.is_empty());
        for alert in alerts {
            check(&alert).map_err(|problem| TestCaseError::fail(format!("{problem}: {}", alert.card)))?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_json_makes_a_harmless_card_or_an_error(value in value(), named_shape in shape(), event in prop::option::of(key())) {
        let mut headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
        headers.extend(event.map(|event| ("x-github-event".to_owned(), event)));
        check_alerts(&headers, value.to_string().as_bytes(), named_shape)?;
    }

    #[test]
    fn any_bytes_make_a_harmless_card_or_an_error(body in vec(any::<u8>(), 0..300), named_shape in shape(), form in any::<bool>()) {
        let kind = if form { "application/x-www-form-urlencoded" } else { "text/plain" };
        let headers = BTreeMap::from([("content-type".to_owned(), kind.to_owned())]);
        check_alerts(&headers, &body, named_shape)?;
    }

    #[test]
    fn any_text_makes_a_harmless_card_or_an_error(text in word(), kind in prop::sample::select(vec!["text", "title", "fallback", "summary"])) {
        let headers = BTreeMap::new();
        for body in [
            json!({ kind: text, "text": text }),
            json!({"@type": "MessageCard", kind: text, "sections": [{"activityTitle": text, "facts": [{"name": text, "value": text}]}]}),
            json!({"attachments": [{"color": "good", kind: text, "text": text}]}),
            json!({"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": text}, {"type": "Image", "url": text}]}),
        ] {
            check_alerts(&headers, body.to_string().as_bytes(), None)?;
        }
    }

    #[test]
    fn changed_payload_makes_a_harmless_card_or_an_error(
        which in any::<prop::sample::Index>(),
        changes in vec((vec(any::<prop::sample::Index>(), 1..7), value()), 1..4),
        named_shape in shape(),
    ) {
        let (_, Request { headers, body }) = &GOLDENS[which.index(GOLDENS.len())];
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
        for (path, new) in changes {
            mutate(&mut value, &path, new);
        }
        check_alerts(headers, value.to_string().as_bytes(), named_shape)?;
        check_alerts(headers, value.to_string().as_bytes(), None)?;
    }
}

/// Most bodies have about 256 KiB. If the time of a reader grew with the square of the body's size, this test
/// would run for minutes.
#[test]
fn large_body_that_repeats_one_pattern_is_read_in_time_and_its_card_keeps_the_limits() {
    let most = 256 * 1024;
    let fill = |unit: &str| unit.repeat(most / unit.len());
    let plain = BTreeMap::from([("content-type".to_owned(), "text/plain".to_owned())]);
    let json = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    let mut bodies = Vec::new();
    for unit in [
        "<",
        "[",
        "](",
        "[a](x",
        "<at>",
        "<a ",
        "<<at>at>",
        "]:",
        "*",
        "a b ",
        "&lt;",
        "<a href=",
        "[a](javascript:1)",
        "\n",
    ] {
        bodies.push((&plain, fill(unit)));
        for member in ["text", "title", "summary"] {
            bodies.push((&json, json!({"@type": "MessageCard", member: fill(unit)}).to_string()));
            bodies.push((&json, json!({"attachments": [{"color": "good", member: fill(unit)}]}).to_string()));
        }
        bodies.push((
            &json,
            json!({"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": fill(unit)}]}).to_string(),
        ));
    }
    let array = |element: &str| format!("[{}]", vec![element; most / (element.len() + 1)].join(","));
    for (before, element, after) in [
        (r#"{"type":"AdaptiveCard","body":"#, r#"{"type":"TextBlock","text":"a"}"#, "}"),
        (r#"{"type":"AdaptiveCard","body":"#, r#"{"type":"Input.Text","label":"a"}"#, "}"),
        (
            r#"{"type":"AdaptiveCard","body":[{"type":"FactSet","facts":"#,
            r#"{"title":"a","value":"b"}"#,
            "}]}",
        ),
        (r#"{"@type":"MessageCard","text":"a","sections":"#, r#"{"text":"a"}"#, "}"),
        (
            r#"{"@type":"MessageCard","text":"a","potentialAction":"#,
            r#"{"@type":"OpenUri","targets":[{"uri":"http://a"}]}"#,
            "}",
        ),
        (r#"{"groupKey":"a","alerts":"#, r#"{"labels":{"a":"b"}}"#, "}"),
        (r#"{"text":"a","blocks":"#, r#"{"type":"header","text":"a"}"#, "}"),
    ] {
        bodies.push((&json, format!("{before}{}{after}", array(element))));
    }
    bodies.push((&json, format!("{}1{}", r#"{"text":["#.repeat(60), "]}".repeat(60))));
    bodies.push((&json, "[".repeat(most)));
    for (headers, body) in bodies {
        if let Ok(Reading::Alerts(alerts)) = read_request(headers, body.as_bytes(), None) {
            for alert in &alerts {
                assert_eq!(check(alert), Ok(()), "{}", &body[..60]);
            }
        }
    }
}
