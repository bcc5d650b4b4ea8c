//! Envelopes of format version 1. An *envelope* is an alert as JSON in a queue message. The poller must read
//! the envelopes of older and newer bots. An older poller must be able to read the envelopes of this bot.
//!
//! The *golden* files of `crates/envelope` are sample envelopes. These files must never change, because
//! queues can already hold envelopes in the format of these files.

use end_to_end::activity::{at_service, message};
use end_to_end::connector::Reply;
use end_to_end::queue::{decode, envelope_of};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use serde_json::Value;

end_to_end::cases!(
    golden_envelopes_are_delivered,
    unknown_fields_survive_a_retry_and_the_poison_queue,
    envelope_of_the_bot_has_the_golden_fields,
);

fn golden(stage: &Stage, name: &str) -> Value {
    let path = dev::workspace::root().join(format!("crates/envelope/tests/golden/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut envelope: Value = serde_json::from_str(&text).unwrap();
    envelope["address"] = at_service(&envelope["address"], stage.connector.authority());
    // Some golden files have fixed times in `notBefore` and `expires`. Without `notBefore`, the alert is due
    // at once. Without `expires`, the alert has no expiry.
    let object = envelope.as_object_mut().unwrap();
    object.remove("notBefore");
    object.remove("expires");
    envelope
}

fn golden_envelopes_are_delivered(world: &World) {
    let stage = Stage::start(world);
    for name in ["v1-minimal", "v1-full"] {
        let envelope = golden(&stage, name);
        stage.queue.put_json(&envelope);
        assert_eq!(stage.poll()["delivered"], 1, "{name}");
        let alert = stage.connector.received().pop().unwrap();
        assert_eq!(alert.text(), format!("Alert: {}", envelope["text"].as_str().unwrap()), "{name}");
        assert_eq!(
            alert.conversation().as_deref(),
            envelope["address"]["conversation"]["id"].as_str(),
            "{name}"
        );
    }
}

/// During a roll-out, an older poller handles the queue messages of a newer bot. In this case, `someday` is a
/// field that only the newer bot knows.
fn unknown_fields_survive_a_retry_and_the_poison_queue(world: &World) {
    let stage = Stage::start(world);
    let mut newer = golden(&stage, "v1-minimal");
    newer["someday"] = serde_json::json!({"deep": [1, 2.5, null], "text": "ü"});
    newer["address"]["someday"] = true.into();
    stage.queue.put_json(&newer);
    stage.connector.on(|_| Some(Reply::error(429, "Throttled").header("retry-after", "1")));
    assert_eq!(stage.poll()["throttled"], 1);
    let again =
        end_to_end::waiting::eventually("the hidden message to become visible", || stage.queue.texts().pop());
    let again = envelope_of(&again).unwrap();
    assert_eq!(again["delivery"]["throttled"], 1);
    for field in ["id", "address", "text", "enqueuedAt", "someday", "version"] {
        assert_eq!(again[field], newer[field], "{field}");
    }
    stage.connector.on(|_| Some(Reply::error(404, "ConversationNotFound")));
    assert_eq!(stage.poll()["poisoned"], 1);
    let poisoned = decode(&stage.queue.poison().texts()[0]);
    assert_eq!(poisoned["failure"]["outcome"], "destinationGone");
    for field in ["id", "address", "text", "enqueuedAt", "someday", "version"] {
        assert_eq!(poisoned[field], newer[field], "{field}");
    }
}

/// The envelope of the bot must have each field of the golden file `v1-minimal`, because an older poller
/// needs these fields. Each field must have a value of the same type as in the golden file.
fn envelope_of_the_bot_has_the_golden_fields(world: &World) {
    let stage = Stage::start(world);
    stage.say(&message("a:1", "1", "hello"));
    let written = stage.queue.envelopes().remove(0);
    let golden = golden(&stage, "v1-minimal");
    for (field, value) in golden.as_object().unwrap() {
        let same_type = std::mem::discriminant(&written[field]) == std::mem::discriminant(value);
        assert!(same_type, "{field}: expected the type of {value}, found {}", written[field]);
    }
    assert_eq!(written["version"], 1);
}
