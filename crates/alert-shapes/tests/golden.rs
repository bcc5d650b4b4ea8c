//! Reads the example requests of senders in `tests/golden`. Compares the results with the golden files (the
//! files with the expected results) in the same folder. With `UPDATE_GOLDEN=1`, the test writes the golden
//! files again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;

use alert_shapes::{Reading, Shape, ShapedAlert, State};
use serde_json::{Value, json};

use support::{check, folder, goldens};

fn shown(alert: &ShapedAlert) -> Value {
    let state = match alert.state {
        State::Firing => "firing",
        State::Resolved => "resolved",
        State::None => "none",
    };
    json!({
        "summary": alert.summary, "state": state, "key": alert.key, "idempotencyKey": alert.idempotency_key,
        "importanceHigh": alert.importance_high, "leftOut": alert.left_out, "card": alert.card,
    })
}

#[test]
fn payloads_of_senders_become_the_expected_alerts() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let requests = goldens();
    assert!(requests.len() >= 40, "{} payloads", requests.len());
    for (name, request) in requests {
        let result = match request.read(None) {
            Ok(Reading::Alerts(alerts)) => {
                assert!(!alerts.is_empty(), "{name}");
                for alert in &alerts {
                    check(alert).unwrap_or_else(|problem| panic!("{name}: {problem}"));
                }
                json!({"alerts": alerts.iter().map(shown).collect::<Vec<_>>()})
            }
            Ok(Reading::Handshake { body }) => json!({"handshake": body}),
            Err(error) => json!({"error": error.to_string()}),
        };
        let path = folder().join(format!("{name}.expected.json"));
        if update {
            fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&result).unwrap())).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let expected: Value = serde_json::from_str(&expected).unwrap_or_default();
        assert_eq!(result, expected, "{name}: the golden file differs; UPDATE_GOLDEN=1 writes it again");
    }
}

#[test]
fn shape_of_every_example_payload_is_recognised() {
    for shape in Shape::ALL {
        let prefix = format!("{}-", shape.name());
        let own: Vec<_> = goldens().into_iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
        assert!(!own.is_empty(), "no payload of {shape}");
        for (name, request) in own {
            assert_eq!(request.read(None), request.read(Some(shape)), "{name}");
        }
    }
}
