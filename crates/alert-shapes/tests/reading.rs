//! Tests of errors, handshakes and limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use alert_shapes::{
    MAX_EVENTS, MAX_KEY_BYTES, Reading, Shape, ShapeError, ShapedAlert, State, cloud_events_options,
};
use serde_json::{Value, json};

use support::{check, read_request};

fn json_of(body: &Value, named_shape: Option<Shape>) -> Result<Reading, ShapeError> {
    let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    read_request(&headers, body.to_string().as_bytes(), named_shape)
}

fn alert(body: &Value) -> ShapedAlert {
    match json_of(body, None) {
        Ok(Reading::Alerts(alerts)) if alerts.len() == 1 => {
            check(&alerts[0]).unwrap();
            alerts.into_iter().next().unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn payload_without_a_member_that_its_shape_needs_is_an_error_that_names_the_member() {
    for (shape, member) in [
        (Shape::Alertmanager, "alerts"),
        (Shape::Grafana, "alerts"),
        (Shape::AzureMonitor, "data.essentials"),
        (Shape::AdaptiveCard, "attachments"),
        (Shape::GitHub, "header X-GitHub-Event"),
        (Shape::CloudEvents, "type"),
        (Shape::EventGrid, "eventType"),
        (Shape::Plain, "text"),
    ] {
        let error = json_of(&json!({"hello": "world"}), Some(shape)).unwrap_err();
        assert_eq!(error, ShapeError::Missing { shape, member });
        assert!(
            error.to_string().starts_with(&format!("{member}: missing, and {shape} needs it; ")),
            "{error}"
        );
    }
}

#[test]
fn payload_without_a_text_is_an_error() {
    for (body, shape) in [
        (json!({"@type": "MessageCard", "sections": []}), Shape::MessageCard),
        (json!({"text": "<at></at>"}), Shape::Plain),
        (json!({"blocks": [{"type": "divider"}]}), Shape::Slack),
        (json!({"type": "AdaptiveCard", "body": []}), Shape::AdaptiveCard),
    ] {
        assert_eq!(json_of(&body, None), Err(ShapeError::Empty { shape }), "{body}");
    }
}

#[test]
fn shape_is_found_by_the_name_of_the_shape() {
    for shape in Shape::ALL {
        assert_eq!(Shape::named(shape.name()), Some(shape));
    }
    assert_eq!(Shape::named("auto"), None);
}

#[test]
fn batch_with_too_many_events_is_an_error() {
    let event = json!({"specversion": "1.0", "type": "t", "source": "s", "id": "1"});
    assert!(
        matches!(json_of(&json!(vec![&event; MAX_EVENTS]), None), Ok(Reading::Alerts(alerts)) if alerts.len() == MAX_EVENTS)
    );
    let found = MAX_EVENTS + 1;
    assert_eq!(json_of(&json!(vec![event; found]), None), Err(ShapeError::TooMany { found }));
    let event = json!({"eventType": "t", "id": "1"});
    assert_eq!(json_of(&json!(vec![event; found]), None), Err(ShapeError::TooMany { found }));
}

#[test]
fn body_that_is_not_utf8_is_an_error_with_the_index_of_the_first_wrong_byte() {
    assert_eq!(read_request(&BTreeMap::new(), b"abc\xff", None), Err(ShapeError::NotUtf8 { at: 3 }));
}

#[test]
fn deeply_nested_json_is_an_error_without_a_stack_overflow() {
    let body = "[".repeat(100_000);
    assert!(matches!(read_request(&BTreeMap::new(), body.as_bytes(), None), Err(ShapeError::NotJson { .. })));
}

#[test]
fn binary_event_whose_data_is_no_text_shows_the_number_of_bytes() {
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "s"),
        ("ce-type", "t"),
        ("content-type", "image/png"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let Ok(Reading::Alerts(alerts)) = read_request(&headers, b"\x89PNG\xff", None) else {
        panic!("no alert")
    };
    assert!(alerts[0].card.to_string().contains("5 bytes of image/png"));
}

#[test]
fn long_key_is_cut_and_stays_unique() {
    let group = |end: &str| json!({"groupKey": format!("{{}}:{{{}{end}}}", "a".repeat(400)), "status": "firing", "alerts": []});
    let (first, second) = (alert(&group("1")).key.unwrap(), alert(&group("2")).key.unwrap());
    assert!(first.len() <= MAX_KEY_BYTES && first != second, "{first}");
    assert_eq!(alert(&group("1")).key.unwrap(), first);
}

#[test]
fn status_and_severity_of_a_group_give_state_tone_and_importance() {
    let group = |status: &str, severity: &str| {
        json!({"groupKey": "g", "status": status, "commonLabels": {"severity": severity},
               "alerts": [{"status": "resolved", "labels": {"alertname": "A"}}, {"status": status, "labels": {}}]})
    };
    let style = |alert: &ShapedAlert| alert.card["body"][0]["style"].as_str().unwrap().to_owned();
    for (status, severity, state, tone, is_high) in [
        ("firing", "critical", State::Firing, "attention", true),
        ("firing", "error", State::Firing, "attention", false),
        ("firing", "warning", State::Firing, "warning", false),
        ("firing", "info", State::Firing, "accent", false),
        ("resolved", "critical", State::Resolved, "good", false),
    ] {
        let alert = alert(&group(status, severity));
        let found = (alert.state, style(&alert), alert.importance_high);
        assert_eq!(found, (state, tone.to_owned(), is_high), "{status} {severity}");
    }
}

#[test]
fn big_group_shows_ten_alerts_and_the_number_of_hidden_alerts() {
    let alerts: Vec<_> = (0..200)
        .map(|n| json!({"status": "firing", "labels": {"instance": format!("i{n}"), "x": "y".repeat(90)}}))
        .collect();
    let card =
        alert(&json!({"groupKey": "g", "status": "firing", "alerts": alerts, "truncatedAlerts": 5})).card;
    let items = card["body"].as_array().unwrap().iter().filter(|block| block["separator"] == true).count();
    assert_eq!(items, 10);
    assert!(card.to_string().contains("… and 195 more alerts"), "{card}");
}

#[test]
fn long_text_is_cut_and_the_card_says_how_many_characters_are_missing() {
    let card = alert(&json!({"text": "word ".repeat(40_000)})).card;
    let text = card["body"][0]["text"].as_str().unwrap();
    let missing: usize =
        text.rsplit_once("… (").unwrap().1.trim_end_matches(" more characters)").parse().unwrap();
    let shown = text.rsplit_once('…').unwrap().0.chars().count();
    assert!(missing + shown >= 199_990 && missing + shown <= 200_000, "{missing} {shown}");
}

#[test]
fn response_to_an_options_request_allows_the_origin_in_the_request() {
    let ask = |headers: &'static [(&'static str, &'static str)]| {
        cloud_events_options(|name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    };
    let headers = |response: alert_shapes::OptionsResponse| response.headers;
    let response = headers(ask(&[("webhook-request-origin", "eventemitter.example.com")]).unwrap());
    assert_eq!(
        response,
        [("allow", "POST".to_owned()), ("webhook-allowed-origin", "eventemitter.example.com".to_owned())]
    );
    let response =
        headers(ask(&[("webhook-request-origin", "a.example"), ("webhook-request-rate", "1000")]).unwrap());
    assert_eq!(response[2], ("webhook-allowed-rate", "120".to_owned()));
    assert_eq!(ask(&[]), None);
    assert_eq!(ask(&[("webhook-request-origin", "a\r\nx: y")]), None);
}

#[test]
fn button_whose_address_is_no_web_address_is_left_out() {
    for (address, is_kept) in [
        ("https://example.com/a?b=c#d", true),
        ("HTTP://example.com:8080", true),
        ("http://[::1]:9090/", true),
        ("//example.com", false),
        ("javascript:alert(1)", false),
        ("data:image/png;base64,AA", false),
        ("https://", false),
        ("https://user:secret@example.com", false),
        ("https://exa mple.com", false),
        ("https://example.com\\@evil.example", false),
        ("msteams://teams.microsoft.com/l", false),
        ("https:example.com", false),
    ] {
        let card = alert(&json!({"@type": "MessageCard", "text": "a", "potentialAction": [
            {"@type": "OpenUri", "name": "b", "targets": [{"os": "default", "uri": address}]}]}));
        assert_eq!(card.card["actions"].is_array(), is_kept, "{address}");
        assert_eq!(card.left_out.is_empty(), is_kept, "{address}");
    }
}

#[test]
fn big_payload_fits_into_a_card_that_says_how_many_parts_are_missing() {
    let long = "\"quoted\" \\ and é\n".repeat(150);
    let facts: Vec<_> =
        (0..50).map(|n| json!({"name": format!("n{n}"), "title": "t", "value": long})).collect();
    let repeat = |value: Value| json!(vec![value; 40]);
    for body in [
        json!({"@type": "MessageCard", "text": long, "sections": repeat(json!({"text": long, "facts": facts}))}),
        json!({"text": long, "attachments": repeat(json!({"color": "good", "text": long, "fields": facts}))}),
        json!({"type": "AdaptiveCard", "body": repeat(json!({"type": "TextBlock", "text": long}))}),
        json!({"type": "AdaptiveCard", "body": repeat(json!({"type": "FactSet", "facts": facts}))}),
    ] {
        // The function `alert` also checks the size of the card.
        let card = alert(&body).card.to_string();
        assert!(card.contains(" more part"), "{card}");
        assert!(card.len() > 12_000, "only {} bytes are used", card.len());
    }
}

#[test]
fn images_and_buttons_beyond_the_maximum_number_are_counted_as_left_out() {
    let images: Vec<_> = (0..7).map(|index| json!({"image": format!("https://x/{index}")})).collect();
    let open = |index: i32| json!({"@type": "OpenUri", "name": "b", "targets": [{"os": "default", "uri": format!("https://x/{index}")}]});
    let buttons: Vec<_> = (0..22).map(open).collect();
    let button = |index: i32| json!({"type": "button", "text": "b", "url": format!("https://x/{index}")});
    let slack: Vec<_> = (0..51).map(button).collect();
    for (body, expected) in [
        (json!({"@type": "MessageCard", "text": "x", "sections": [{"images": images}]}), "2 more images"),
        (json!({"@type": "MessageCard", "text": "x", "potentialAction": buttons}), "2 more buttons"),
        (
            json!({"text": "x", "attachments": [{"color": "good", "text": "x", "actions": slack}]}),
            "1 more buttons",
        ),
    ] {
        let left_out = alert(&body).left_out;
        assert!(left_out.iter().any(|name| name == expected), "{expected}: {left_out:?}");
    }
}
