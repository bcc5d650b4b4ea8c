//! The kick is a call from the bot to the poller. The kick starts a *run* (one execution of the poller). The
//! bot sends the kick after it has put an alert on the queue, and after its response to its own caller. (A
//! person's message also becomes an alert.) Delivery does not depend on the kick, because a scheduler starts
//! runs, too.

use std::time::Duration;

use bot_framework::testing::{TestKey, channel_claims};
use chrono::Utc;
use end_to_end::activity::message;
use end_to_end::alerts::{ALERT_KEY, call};
use end_to_end::login::{Login, Proof};
use end_to_end::manifest::Manifest;
use end_to_end::openid::OpenId;
use end_to_end::stage::{APP_ID, Script, Stage};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    kick_delivers_without_a_scheduler_whether_or_not_a_poll_key_is_set,
    kick_with_authmode_required_delivers_and_logs_no_key,
    kick_follows_an_alert_of_a_back_end,
    burst_of_messages_starts_at_most_twenty_runs,
    failed_kick_leaves_the_message_on_the_queue,
    message_that_arrives_during_a_run_is_delivered_by_the_same_run,
    kick_switched_off_starts_no_run,
    missing_key_value_store_does_not_affect_delivery,
);

const GUEST: &str = "target/wasm32-wasip2/release/bench_guest.wasm";

/// Prepares the default stage (a Spin host, and the services that the bot calls), but with `kick=on`.
fn script(world: &World) -> Script<'_> {
    Script::new(world).variable("kick", "on")
}

/// The log lines `drain` of all runs that were not skipped. (A run is skipped e.g. if another run is at
/// work.)
fn runs_begun(stage: &Stage) -> Vec<Value> {
    stage.events("drain").into_iter().filter(|line| line["skipped"].is_null()).collect()
}

fn wait_until_delivered(stage: &Stage, text: &str) {
    eventually("the alert", || {
        stage.connector.received().iter().any(|received| received.text() == text).then_some(())
    });
}

fn kick_delivers_without_a_scheduler_whether_or_not_a_poll_key_is_set(world: &World) {
    for poll_key in ["", "a-poll-key-for-tests"] {
        let stage = script(world).variable("pollkey", poll_key).start();
        stage.say(&message("a:1", "1", "hello"));
        wait_until_delivered(&stage, "Alert: hello");
        let run = &stage.wait_for_events("drain", 1)[0];
        assert_eq!((&run["entryPoint"], &run["delivered"]), (&"kick".into(), &1.into()), "{run}");
    }
}

fn kick_with_authmode_required_delivers_and_logs_no_key(world: &World) {
    let login = Login::start(Proof::Secret);
    let issuer = OpenId::start();
    let stage = script(world).logged_in(&login).authenticated(&issuer).variable("pollkey", "").start();
    let activity = stage.connector.host(&message("a:1", "1", "hello"));
    let service_url = activity["serviceUrl"].as_str().unwrap();
    let token = TestKey::issuer().sign(&channel_claims(APP_ID, service_url, Utc::now().timestamp()));
    stage.post_as(&token, &activity).expect_status(202);
    wait_until_delivered(&stage, "Alert: hello");
    stage.wait_for_events("drain", 1);
    // The bot called the poller with the header `Authorization: Bearer <key>`. The log must not contain this
    // header.
    let log = stage.lines().join("\n");
    assert!(!log.contains("Bearer"), "{log}");
}

fn kick_follows_an_alert_of_a_back_end(world: &World) {
    let stage = script(world).variable("alertkey", ALERT_KEY).start();
    stage.say(&message("a:1", "1", "hello"));
    wait_until_delivered(&stage, "Alert: hello");
    let targets = call(&stage, "GET", "/api/targets", &Value::Null).expect_status(200).json();
    let to = json!({"conversation": targets["targets"][0]["conversation"]});
    // The bot sends no kick for an alert that is due later.
    call(&stage, "POST", "/api/alerts", &json!({"to": to, "text": "later", "delay": "PT1H"}))
        .expect_status(202);
    let before = stage.events("drain").len();
    call(&stage, "POST", "/api/alerts", &json!({"to": to, "text": "now"})).expect_status(202);
    wait_until_delivered(&stage, "Alert: now");
    stage.wait_for_events("drain", before + 1);
    assert_eq!(stage.queue.count(), 1, "expected that the alert that is due later stays on the queue");
}

fn burst_of_messages_starts_at_most_twenty_runs(world: &World) {
    const MESSAGES: usize = 1000;
    const CONNECTIONS: usize = 16;
    let stage = script(world).variable("pace", "0").start();
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let stage = &stage;
            scope.spawn(move || {
                for index in (connection..MESSAGES).step_by(CONNECTIONS) {
                    stage.say(&message(
                        &format!("a:{}", index % 500),
                        &index.to_string(),
                        &format!("m{index}"),
                    ));
                }
            });
        }
    });
    let delivered = || stage.connector.received().iter().filter(|received| received.is_alert()).count();
    // Here, only kicks start runs. A message has to wait if an older message of the same conversation waits.
    // A run hides such a message, and counts it in `hiddenBehind`. So together, the runs deliver or hide
    // every message.
    let sum = |field: &str| runs_begun(&stage).iter().filter_map(|run| run[field].as_u64()).sum::<u64>();
    eventually("runs that together delivered or hid every message", || {
        (sum("delivered") + sum("hiddenBehind") >= MESSAGES as u64).then_some(())
    });
    let runs = runs_begun(&stage).len();
    // Now the case starts runs, as a scheduler does. These runs deliver the hidden messages.
    eventually("an empty queue", || {
        stage.poll();
        (stage.queue.count() == 0).then_some(())
    });
    assert_eq!(delivered(), MESSAGES, "expected that each message is delivered once");
    println!("kick: {MESSAGES} messages over {CONNECTIONS} connections began {runs} runs");
    assert!((1..=20).contains(&runs), "expected 1 to 20 runs, found {runs}: {:#?}", runs_begun(&stage));
}

fn failed_kick_leaves_the_message_on_the_queue(world: &World) {
    type Change = fn(Manifest) -> Manifest;
    let changes: [(&str, Change); 5] = [
        // The bot and the poller derive the key of the kick from `storageconnection`. In this row, the poller
        // has another value, so it expects another key.
        ("another key of the kick", |manifest| {
            manifest.with_variable_of("poller", "run", |text| {
                text.replace(
                    "storageconnection={{ storageconnection }}",
                    "storageconnection=UseDevelopmentStorage=true",
                )
            })
        }),
        ("misconfigured", |manifest| {
            manifest.with_variable_of("poller", "run", |text| text.replace("{{ pace }}", "fast"))
        }),
        ("hangs", |manifest| manifest.with_source_of("poller", GUEST)),
        ("missing", |manifest| manifest.without_component("poller")),
        ("not allowed", |manifest| {
            manifest.with_outbound(|hosts| {
                hosts.retain(|host| host.as_str() != Some("http://poller.spin.internal"))
            })
        }),
    ];
    std::thread::scope(|scope| {
        for (what, change) in changes {
            scope.spawn(move || {
                let stage = script(world).manifest(change).start();
                for index in 0..2 {
                    stage.say(&message("a:1", &index.to_string(), "hello"));
                }
                assert_eq!((stage.queue.count(), stage.connector.wait_for(2).len()), (2, 2), "{what}");
                if what == "not allowed" {
                    assert_eq!(
                        stage.poll()["delivered"],
                        2,
                        "expected that a run of the scheduler delivers the messages"
                    );
                }
                // If the application has no poller, the kick can make the Spin host end the bot's instance.
                // The Spin host then writes a log line, and the bot does not write `kick.failed`.
                if what != "missing" {
                    let failed = stage.wait_for_events("kick.failed", 2);
                    assert_eq!(failed.len(), 2, "{what}: expected one line for each kick, found {failed:?}");
                }
            });
        }
    });
}

fn message_that_arrives_during_a_run_is_delivered_by_the_same_run(world: &World) {
    let stage = script(world).start();
    // The Connector needs three seconds for the first alert. So the second message comes while the run is
    // still at work.
    stage.connector.on(|received| {
        let slow = received.text() == "Alert: first";
        slow.then(|| end_to_end::connector::Reply::created("1").after(Duration::from_secs(3)))
    });
    stage.say(&message("a:1", "1", "first"));
    eventually("the run to be at work", || {
        stage.connector.received().iter().any(|received| received.text() == "Alert: first").then_some(())
    });
    stage.say(&message("a:2", "2", "second"));
    wait_until_delivered(&stage, "Alert: second");
    let ended_runs = || -> Vec<Value> {
        stage.events("drain").into_iter().filter(|run| run.get("skipped").is_none()).collect()
    };
    assert!(ended_runs().is_empty(), "expected the first run to be still at work");
    let runs = eventually("the end of the run", || Some(ended_runs()).filter(|runs| !runs.is_empty()));
    assert_eq!((runs.len(), &runs[0]["delivered"]), (1, &2.into()), "{runs:?}");
}

fn kick_switched_off_starts_no_run(world: &World) {
    let stage = Script::new(world).start();
    stage.say(&message("a:1", "1", "hello"));
    assert_eq!(stage.poll()["delivered"], 1);
    let runs = stage.wait_for_events("drain", 1);
    assert!(runs.iter().all(|run| run["entryPoint"] == "http"), "{runs:?}");
}

fn missing_key_value_store_does_not_affect_delivery(world: &World) {
    let stage = script(world).manifest(Manifest::without_key_value_stores).start();
    for index in 0..3 {
        stage.say(&message("a:1", &index.to_string(), &format!("m{index}")));
    }
    for index in 0..3 {
        wait_until_delivered(&stage, &format!("Alert: m{index}"));
    }
    eventually("an empty queue", || (stage.queue.count() == 0).then_some(()));
    let alerts = stage.connector.received().iter().filter(|received| received.is_alert()).count();
    assert_eq!(alerts, 3, "expected that each alert is delivered once");
}
