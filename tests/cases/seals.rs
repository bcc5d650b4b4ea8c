//! Tests of *seals*. An *envelope* is one alert as JSON, for the queue. The bot adds a seal to each envelope:
//! an HMAC over all other members. By the seal, the poller recognises that the bot wrote the envelope, and
//! that no program has changed it.

use end_to_end::activity::message;
use end_to_end::queue::decode;
use end_to_end::stage::{Script, Stage};
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    sealed_message_of_the_bot_is_delivered,
    changed_sealed_message_is_moved_to_the_poison_queue,
    variable_unsealed_decides_whether_an_unsealed_message_is_delivered,
    unsealed_copy_does_not_replace_the_sealed_alert,
    refusal_of_unsealed_messages_is_a_misconfiguration_if_the_seal_key_is_missing,
    short_seal_key_is_refused,
);

type Change = fn(&mut Value);

const KEY: &str = "a seal key for tests";

fn sealing(world: &World) -> Script<'_> {
    Script::new(world).variable("sealkey", KEY)
}

/// Makes the bot put an alert on the queue. Removes the sealed envelope of this alert from the queue, and
/// returns the envelope.
fn sealed(stage: &Stage) -> Value {
    stage.say(&message("a:1", "1", "hello"));
    let sealed = decode(&stage.queue.take_all().remove(0));
    assert_eq!(
        sealed["seal"].as_str().map(str::len),
        Some(43),
        "expected a seal of 32 bytes in base64url, found {sealed}"
    );
    assert!(
        sealed["address"].get("serviceUrlVerified").is_none(),
        "expected no serviceUrlVerified, because no token has verified the address, found {sealed}"
    );
    sealed
}

fn sealed_message_of_the_bot_is_delivered(world: &World) {
    let stage = sealing(world).variable("unsealed", "refuse").start();
    stage.say(&message("a:1", "0", "hello"));
    assert_eq!(stage.poll()["delivered"], 1);
    // The JSON of this queue message has additional spaces and line breaks, but its members and values are
    // the same. The seal covers only the members and values, so the poller accepts the seal.
    let spaced = serde_json::to_string_pretty(&sealed(&stage)).unwrap();
    stage.queue.put(&spaced);
    assert_eq!(stage.poll()["delivered"], 1);
}

fn changed_sealed_message_is_moved_to_the_poison_queue(world: &World) {
    for unsealed in ["allow", "refuse"] {
        let stage = sealing(world).variable("unsealed", unsealed).start();
        let original = sealed(&stage);
        let seen = stage.connector.received().len();
        let changes: [(&str, Change); 6] = [
            ("text", |envelope| envelope["text"] = "pay me".into()),
            ("conversation", |envelope| envelope["address"]["conversation"]["id"] = "a:2".into()),
            ("serviceUrl", |envelope| envelope["address"]["serviceUrl"] = "http://localhost:1/".into()),
            ("serviceUrlVerified", |envelope| envelope["address"]["serviceUrlVerified"] = true.into()),
            ("something new", |envelope| envelope["planted"] = json!({"x": 1})),
            ("the seal", |envelope| envelope["seal"] = "A".repeat(43).into()),
        ];
        for (what, change) in &changes {
            let mut changed = original.clone();
            change(&mut changed);
            stage.queue.put_json(&changed);
            let counts = stage.poll();
            assert_eq!(counts["poisonedBy"]["sealBroken"], 1, "{what}: {counts}");
            assert_eq!(
                stage.queue.poison().take_all().iter().map(|text| decode(text)).collect::<Vec<_>>(),
                [changed]
            );
        }
        assert_eq!(stage.connector.received().len(), seen, "expected that no changed message is delivered");
        let poisoned = stage.wait_for_events("alert.poisoned", changes.len());
        assert!(poisoned[0]["reason"].as_str().unwrap().contains("seal: broken"), "{poisoned:?}");
    }
}

fn variable_unsealed_decides_whether_an_unsealed_message_is_delivered(world: &World) {
    for (unsealed, delivered, poisoned) in [("allow", 1, 0), ("refuse", 0, 1)] {
        let stage = sealing(world).variable("unsealed", unsealed).start();
        let mut unsealed_one = sealed(&stage);
        unsealed_one.as_object_mut().unwrap().remove("seal");
        unsealed_one["id"] = "of-another-program".into();
        stage.queue.put_json(&unsealed_one);
        // With both values of `unsealed`, the poller moves a message for an untrusted server to the poison
        // queue, with the reason `untrustedHost`.
        let mut untrusted = unsealed_one.clone();
        untrusted["id"] = "to-an-untrusted-host".into();
        untrusted["address"]["serviceUrl"] = "https://evil.example/".into();
        stage.queue.put_json(&untrusted);
        let counts = stage.poll();
        assert_eq!(counts["delivered"], delivered, "{unsealed}: {counts}");
        let by = &counts["poisonedBy"];
        assert_eq!(by["unsealed"].as_u64().unwrap_or_default(), poisoned, "{unsealed}: {counts}");
        assert_eq!(by["untrustedHost"], 1, "{unsealed}: {counts}");
        for failed in stage.queue.poison().envelopes() {
            assert!(
                failed.get("seal").is_none(),
                "the poller must not seal a message of another program: {failed}"
            );
            assert!(failed["failure"]["reason"].is_string(), "{failed}");
        }
    }
}

/// Another program puts an envelope without a seal on the queue. This envelope has the id of the bot's alert
/// and another text. It is in front of the bot's sealed envelope. The poller must still deliver the bot's
/// alert.
fn unsealed_copy_does_not_replace_the_sealed_alert(world: &World) {
    let stage = sealing(world).start();
    let original = sealed(&stage);
    let seen = stage.connector.received().len();
    let mut forged = original.clone();
    forged.as_object_mut().unwrap().remove("seal");
    forged["text"] = "something else".into();
    stage.queue.put_json(&forged);
    stage.queue.put_json(&original);
    assert_eq!(stage.poll()["delivered"], 2);
    assert_eq!(stage.connector.wait_for(seen + 2).pop().unwrap().text(), "Alert: hello");
    // Now the forged envelope gets a broken seal. The poller moves this envelope to the poison queue, and
    // does not treat it as a duplicate of the bot's alert.
    forged["seal"] = "A".repeat(43).into();
    stage.queue.put_json(&original);
    stage.queue.put_json(&forged);
    let counts = stage.poll();
    assert_eq!(
        (&counts["delivered"], &counts["poisonedBy"]["sealBroken"]),
        (&1.into(), &1.into()),
        "{counts}"
    );
    // One run dequeues the bot's envelope twice. The run counts the second envelope, the duplicate, as
    // `alreadySent`.
    stage.queue.put_json(&original);
    stage.queue.put_json(&original);
    assert_eq!(stage.poll()["alreadySent"], 1);
}

fn refusal_of_unsealed_messages_is_a_misconfiguration_if_the_seal_key_is_missing(world: &World) {
    let stage = Script::new(world).variable("unsealed", "refuse").start();
    stage.try_poll().expect_error(500, "Misconfigured");
    let run = stage.wait_for_events("drain", 1).remove(0);
    assert!(run["error"].as_str().unwrap().contains("sealkey"), "{run}");
}

fn short_seal_key_is_refused(world: &World) {
    let stage = Script::new(world).variable("sealkey", "hunter2").start();
    stage.try_poll().expect_error(500, "Misconfigured");
    stage.post(&stage.connector.host(&message("a:1", "1", "hello"))).expect_error(500, "Misconfigured");
    for event in ["drain", "request.rejected"] {
        let line = stage.wait_for_events(event, 1).remove(0).to_string();
        assert!(line.contains("sealkey"), "{line}");
    }
    assert!(!stage.host_log().contains("hunter2"), "the seal key is in the log");
}
