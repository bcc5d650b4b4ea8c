//! Fuzz target (a test with random input): reads the input as the body of a post to a webhook address. The
//! target tries every *shape*. A shape is the format of one kind of sender, such as Alertmanager.
#![no_main]

use alert_shapes::{Incoming, MAX_CARD_BYTES, MAX_KEY_BYTES, Reading, Shape, read};
use libfuzzer_sys::fuzz_target;

const TYPES: [Option<&str>; 6] = [
    None,
    Some("application/json"),
    Some("text/plain"),
    Some("application/x-www-form-urlencoded"),
    Some("application/cloudevents+json"),
    Some("application/cloudevents-batch+json"),
];
const EVENTS: [&str; 6] = ["push", "pull_request", "workflow_run", "check_run", "release", "star"];

// The first byte chooses the headers and the content type. The second byte chooses a shape or `None`. With
// `None`, `read` has to recognise the shape. The other bytes are the body.
fuzz_target!(|data: &[u8]| {
    let [header_byte, shape_byte, body @ ..] = data else { return };
    let header = |name: &str| match (header_byte / 16, name) {
        (1, "x-github-event") => Some(EVENTS[usize::from(*header_byte) % EVENTS.len()]),
        (2, "aeg-event-type") => Some("Notification"),
        (3, "ce-specversion" | "ce-id" | "ce-type") => Some("1.0"),
        (3, "ce-source") => Some("%3Cat%3Ea%3C/at%3E"),
        _ => None,
    };
    let content_type = TYPES[usize::from(*header_byte % 16) % TYPES.len()];
    let incoming = Incoming { content_type, header: &header, body, json: platform::json_of };
    let named_shape = Shape::ALL.get(usize::from(*shape_byte) % 32).copied();
    let Ok(Reading::Alerts(alerts)) = read(&incoming, named_shape) else { return };
    assert!(!alerts.is_empty());
    for alert in alerts {
        let card = alert.card.to_string();
        assert!(card.len() <= MAX_CARD_BYTES);
        assert!(!alert.summary.trim().is_empty());
        let keys = [alert.key, alert.idempotency_key];
        assert!(keys.into_iter().flatten().all(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES));
        let shown = (card + &alert.summary).to_ascii_lowercase();
        for refused in
            ["<at>", "</at>", "](javascript:", "](data:", "\"url\":\"javascript:", "\"url\":\"data:"]
        {
            assert!(!shown.contains(refused), "{refused} in {shown}");
        }
    }
});
