//! The seal: what one component wrote, the other knows; what somebody changed, nobody says.

use end_to_end::activity::message;
use end_to_end::queue::decode;
use end_to_end::stage::{Script, Stage};
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    what_the_bot_wrote_the_poller_delivers,
    whatever_was_changed_goes_to_poison,
    messages_without_a_seal_are_allowed_or_refused,
    a_copy_without_a_seal_takes_no_sealed_alert_away,
    refusing_needs_a_key,
    a_short_seal_key_is_refused,
);

type Change = fn(&mut Value);

const KEY: &str = "a seal key for tests";

fn sealing(world: &World) -> Script<'_> {
    Script::new(world).variable("sealkey", KEY)
}

/// What the bot puts on the queue when somebody says something.
fn sealed(stage: &Stage) -> Value {
    stage.say(&message("a:1", "1", "hello"));
    let sealed = decode(&stage.queue.take_all().remove(0));
    assert_eq!(sealed["seal"].as_str().map(str::len), Some(43), "base64url of 32 bytes: {sealed}");
    assert!(sealed["address"].get("serviceUrlVerified").is_none(), "nobody vouched for it: {sealed}");
    sealed
}

fn what_the_bot_wrote_the_poller_delivers(world: &World) {
    let stage = sealing(world).variable("unsealed", "refuse").start();
    stage.say(&message("a:1", "0", "hello"));
    assert_eq!(stage.poll()["delivered"], 1);
    // Byte for byte another text, but the same envelope: the seal is over what it says.
    let spaced = serde_json::to_string_pretty(&sealed(&stage)).unwrap();
    stage.queue.put(&spaced);
    assert_eq!(stage.poll()["delivered"], 1);
}

fn whatever_was_changed_goes_to_poison(world: &World) {
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
        assert_eq!(stage.connector.received().len(), seen, "nothing of it was said");
        let poisoned = stage.wait_for_events("alert.poisoned", changes.len());
        assert!(poisoned[0]["reason"].as_str().unwrap().contains("seal is broken"), "{poisoned:?}");
    }
}

fn messages_without_a_seal_are_allowed_or_refused(world: &World) {
    for (unsealed, delivered, poisoned) in [("allow", 1, 0), ("refuse", 0, 1)] {
        let stage = sealing(world).variable("unsealed", unsealed).start();
        let mut unsealed_one = sealed(&stage);
        unsealed_one.as_object_mut().unwrap().remove("seal");
        unsealed_one["id"] = "another-producer-s".into();
        stage.queue.put_json(&unsealed_one);
        // Another producer's message to a host that nobody trusts gets nowhere, whatever the setting.
        let mut stranger_s = unsealed_one.clone();
        stranger_s["id"] = "a-stranger-s".into();
        stranger_s["address"]["serviceUrl"] = "https://evil.example/".into();
        stage.queue.put_json(&stranger_s);
        let counts = stage.poll();
        assert_eq!(counts["delivered"], delivered, "{unsealed}: {counts}");
        let by = &counts["poisonedBy"];
        assert_eq!(by["unsealed"].as_u64().unwrap_or_default(), poisoned, "{unsealed}: {counts}");
        assert_eq!(by["untrustedHost"], 1, "{unsealed}: {counts}");
        for failed in stage.queue.poison().envelopes() {
            assert!(failed.get("seal").is_none(), "our seal would vouch for it: {failed}");
            assert!(failed["failure"]["reason"].is_string(), "{failed}");
        }
    }
}

/// Somebody who can write to the queue knows an alert's id, and puts a message of that id before it.
fn a_copy_without_a_seal_takes_no_sealed_alert_away(world: &World) {
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
    // Neither does one with a broken seal pass for a double, and go away unseen.
    forged["seal"] = "A".repeat(43).into();
    stage.queue.put_json(&original);
    stage.queue.put_json(&forged);
    let counts = stage.poll();
    assert_eq!(
        (&counts["delivered"], &counts["poisonedBy"]["sealBroken"]),
        (&1.into(), &1.into()),
        "{counts}"
    );
    // A true double still goes away.
    stage.queue.put_json(&original);
    stage.queue.put_json(&original);
    assert_eq!(stage.poll()["alreadySent"], 1);
}

fn refusing_needs_a_key(world: &World) {
    let stage = Script::new(world).variable("unsealed", "refuse").start();
    stage.try_poll().expect_error(500, "Misconfigured");
    let run = stage.wait_for_events("drain", 1).remove(0);
    assert!(run["error"].as_str().unwrap().contains("sealkey"), "{run}");
}

fn a_short_seal_key_is_refused(world: &World) {
    let stage = Script::new(world).variable("sealkey", "hunter2").start();
    stage.try_poll().expect_error(500, "Misconfigured");
    stage.post(&stage.connector.host(&message("a:1", "1", "hello"))).expect_error(500, "Misconfigured");
    for event in ["drain", "request.rejected"] {
        let line = stage.wait_for_events(event, 1).remove(0).to_string();
        assert!(line.contains("sealkey"), "{line}");
    }
    assert!(!stage.host_log().contains("hunter2"), "the key is in the log");
}
