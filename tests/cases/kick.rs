//! The kick: after an alert is queued and the answer is out, the bot calls the poller. Delivery never rests on it.

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
    kick_delivers_without_a_scheduler_and_without_a_poll_key,
    kick_works_with_credentials,
    kick_follows_an_alert_by_api,
    burst_of_messages_begins_a_handful_of_runs,
    kick_that_finds_no_working_poller_changes_nothing,
    kick_while_a_run_is_at_work_is_taken_in_by_that_run,
    kick_is_off_where_it_is_switched_off,
    store_that_fails_on_every_call_changes_nothing_for_the_person,
);

const GUEST: &str = "target/wasm32-wasip2/release/bench_guest.wasm";

/// The default stage, with kicks.
fn script(world: &World) -> Script<'_> {
    Script::new(world).variable("kick", "on")
}

/// Runs that began, by the log.
fn runs_begun(stage: &Stage) -> Vec<Value> {
    stage.events("drain").into_iter().filter(|line| line["skipped"].is_null()).collect()
}

fn wait_until_delivered(stage: &Stage, text: &str) {
    eventually("the alert", || {
        stage.connector.received().iter().any(|received| received.text() == text).then_some(())
    });
}

fn kick_delivers_without_a_scheduler_and_without_a_poll_key(world: &World) {
    for poll_key in ["", "a-poll-key-for-tests"] {
        let stage = script(world).variable("pollkey", poll_key).start();
        stage.say(&message("a:1", "1", "hello"));
        wait_until_delivered(&stage, "Alert: hello");
        let run = &stage.wait_for_events("drain", 1)[0];
        assert_eq!((&run["door"], &run["delivered"]), (&"kick".into(), &1.into()), "{run}");
    }
}

fn kick_works_with_credentials(world: &World) {
    let login = Login::start(Proof::Secret);
    let issuer = OpenId::start();
    let stage = script(world).logged_in(&login).authenticated(&issuer).variable("pollkey", "").start();
    let activity = stage.connector.host(&message("a:1", "1", "hello"));
    let service_url = activity["serviceUrl"].as_str().unwrap();
    let token = TestKey::issuer().sign(&channel_claims(APP_ID, service_url, Utc::now().timestamp()));
    stage.post_as(&token, &activity).expect_status(202);
    wait_until_delivered(&stage, "Alert: hello");
    stage.wait_for_events("drain", 1);
    // Nothing of the key by which the bot called stands in the log.
    let log = stage.lines().join("\n");
    assert!(!log.contains("Bearer"), "{log}");
}

fn kick_follows_an_alert_by_api(world: &World) {
    let stage = script(world).variable("alertkey", ALERT_KEY).start();
    stage.say(&message("a:1", "1", "hello"));
    wait_until_delivered(&stage, "Alert: hello");
    let targets = call(&stage, "GET", "/api/targets", &Value::Null).expect_status(200).json();
    let to = json!({"conversation": targets["targets"][0]["conversation"]});
    // An alert that is due later gets no kick of its own.
    call(&stage, "POST", "/api/alerts", &json!({"to": to, "text": "later", "delay": "PT1H"}))
        .expect_status(202);
    let before = stage.events("drain").len();
    call(&stage, "POST", "/api/alerts", &json!({"to": to, "text": "now"})).expect_status(202);
    wait_until_delivered(&stage, "Alert: now");
    stage.wait_for_events("drain", before + 1);
    assert_eq!(stage.queue.count(), 1, "the later one waits");
}

/// In bursts over many connections at once.
fn burst_of_messages_begins_a_handful_of_runs(world: &World) {
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
    // Kicks alone: each message was delivered, or hidden behind an older one of its conversation that another run had.
    let sum = |field: &str| runs_begun(&stage).iter().filter_map(|run| run[field].as_u64()).sum::<u64>();
    eventually("a kicked run for every message", || {
        (sum("delivered") + sum("heldBack") >= MESSAGES as u64).then_some(())
    });
    let runs = runs_begun(&stage).len();
    // The scheduler's runs deliver the hidden ones.
    eventually("an empty queue", || {
        stage.poll();
        (stage.queue.count() == 0).then_some(())
    });
    assert_eq!(delivered(), MESSAGES, "each once");
    println!("kick: {MESSAGES} messages over {CONNECTIONS} connections began {runs} runs");
    assert!((1..=20).contains(&runs), "{runs} runs: {:#?}", runs_begun(&stage));
}

fn kick_that_finds_no_working_poller_changes_nothing(world: &World) {
    type Change = fn(Manifest) -> Manifest;
    let changes: [(&str, Change); 5] = [
        ("another key", |manifest| {
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
                    assert_eq!(stage.poll()["delivered"], 2, "a scheduler's run takes what kicks left");
                }
                // A host may end the bot's instance where the component is missing: then the line is the host's.
                if what != "missing" {
                    let failed = stage.wait_for_events("kick.failed", 2);
                    assert_eq!(failed.len(), 2, "{what}: one line each: {failed:?}");
                }
            });
        }
    });
}

fn kick_while_a_run_is_at_work_is_taken_in_by_that_run(world: &World) {
    let stage = script(world).start();
    // The first alert keeps the run at work.
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
    let at_work = || -> Vec<Value> {
        stage.events("drain").into_iter().filter(|run| run.get("skipped").is_none()).collect()
    };
    assert!(at_work().is_empty(), "the first run goes on");
    let runs = eventually("the end of the run", || Some(at_work()).filter(|runs| !runs.is_empty()));
    assert_eq!((runs.len(), &runs[0]["delivered"]), (1, &2.into()), "{runs:?}");
}

fn kick_is_off_where_it_is_switched_off(world: &World) {
    let stage = Script::new(world).start();
    stage.say(&message("a:1", "1", "hello"));
    assert_eq!(stage.poll()["delivered"], 1);
    let runs = stage.wait_for_events("drain", 1);
    assert!(runs.iter().all(|run| run["door"] == "http"), "{runs:?}");
}

fn store_that_fails_on_every_call_changes_nothing_for_the_person(world: &World) {
    let stage = script(world).manifest(Manifest::without_stores).start();
    for index in 0..3 {
        stage.say(&message("a:1", &index.to_string(), &format!("m{index}")));
    }
    for index in 0..3 {
        wait_until_delivered(&stage, &format!("Alert: m{index}"));
    }
    eventually("an empty queue", || (stage.queue.count() == 0).then_some(()));
    let alerts = stage.connector.received().iter().filter(|received| received.is_alert()).count();
    assert_eq!(alerts, 3, "each once");
}
