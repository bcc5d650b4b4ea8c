//! The routes by which an operator watches the running bot: `GET /api/status` and `GET /metrics`. Both routes
//! show *figures* (counts of alerts). The figures are in a record of the table `runs`. Each run of the poller
//! adds the counts of this run to the figures.

use dev::named_key::{NamedKey, Purpose};
use end_to_end::alerts::{self, call, call_with, key_of, known, queued, to_conversation};
use end_to_end::closed_port::ClosedPort;
use end_to_end::connector::Reply;
use end_to_end::faulty_queue::FaultyQueue;
use end_to_end::faulty_tables::{Fault, FaultyTables, Plan};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::table::Table;
use serde_json::{Value, json};
use storage_table::{Entity, Key};

end_to_end::cases!(
    status_and_metrics_make_the_same_number_of_calls_with_0_and_with_300_messages,
    status_after_deliveries_shows_figures_that_add_up,
    unreadable_part_of_the_status_is_null_and_has_a_reason,
    status_without_the_storage_account_is_answered_503,
    only_an_api_key_with_the_scope_watch_or_operate_reads_the_figures,
);

/// Each route, and the maximum number of outbound calls for one request to the route. At present, the two
/// routes make the same number of calls.
const ROUTES: [(&str, usize); 2] = [("/api/status", 12), ("/metrics", 20)];

/// Stores figures in the table `runs`, as a run of the poller does. The partition key of the record is the
/// name of the main queue.
#[track_caller]
pub(crate) fn store_figures(world: &World, stage: &Stage, figures: &Value) {
    let entity = Entity::new(Key::new(stage.queue.name(), "run")).with("figures", figures.to_string());
    let table = format!("{}runs", stage.table_prefix);
    Table::new(&world.azurite().connection_string(), &table).put(&entity.with("run", ""));
}

#[track_caller]
fn status(stage: &Stage) -> Value {
    call(stage, "GET", "/api/status", &Value::Null).expect_status(200).json()
}

#[track_caller]
fn metrics(stage: &Stage) -> String {
    let response = call(stage, "GET", "/metrics", &Value::Null).expect_status(200);
    assert_eq!(response.header("cache-control"), "no-store");
    String::from_utf8(response.body.to_vec()).unwrap()
}

/// The value of a sample in OpenMetrics text. `name` includes the labels of the sample.
#[track_caller]
fn sample(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("expected {name}, found\n{metrics}")).parse().unwrap()
}

fn status_and_metrics_make_the_same_number_of_calls_with_0_and_with_300_messages(world: &World) {
    let azurite = world.azurite();
    let queues = FaultyQueue::start(&azurite.queue_authority(), |_, _| Plan::default());
    let tables = FaultyTables::start(&azurite.table_authority());
    let script = alerts::script(world).queue_at(queues.authority()).tables_at(tables.authority());
    let stage = script.start();
    let calls = || queues.calls_and_faults().0 + tables.calls_and_faults().0;
    let mut costs = Vec::new();
    for messages in [0, 300] {
        for _ in 0..messages {
            stage.queue.put("x");
            stage.queue.poison().put("x");
        }
        for (path, most) in ROUTES {
            let before = calls();
            call(&stage, "GET", path, &Value::Null).expect_status(200);
            let made = calls() - before;
            assert!(
                made <= most,
                "{path}: expected at most {most} calls with {messages} messages, found {made}"
            );
            costs.push(made);
        }
        let status = status(&stage);
        assert_eq!(
            (&status["queue"]["messages"], &status["dead"]["messages"]),
            (&messages.into(), &messages.into())
        );
        assert_eq!(status["queue"]["oldestSeconds"].is_number(), messages > 0, "{status}");
        assert_eq!(
            sample(&metrics(&stage), "proactivebot_queue_messages{queue=\"poison\"}"),
            f64::from(messages)
        );
    }
    assert_eq!(
        costs, [costs[0]; 4],
        "expected the same number of calls for both routes, with 0 and with 300 messages"
    );
}

fn status_after_deliveries_shows_figures_that_add_up(world: &World) {
    let stage = alerts::stage(world);
    let new = status(&stage);
    assert_eq!(
        (&new["lastRun"], &new["problems"], &new["totals"]["accepted"]),
        (&Value::Null, &json!([]), &json!(0))
    );
    known(&stage, "a:1", "hello");
    known(&stage, "a:2", "hello");
    stage.poll();
    let before = status(&stage)["totals"]["accepted"].as_u64().unwrap();
    stage.connector.on(|received| {
        (received.conversation()? == "a:2").then(|| Reply::error(404, "ConversationNotFound"))
    });
    for conversation in ["a:1", "a:1", "a:2"] {
        queued(&stage, &to_conversation(&key_of("msteams", conversation), "hello"));
    }
    assert_eq!(status(&stage)["queue"]["messages"], 3);
    let run = stage.poll();
    assert_eq!((&run["delivered"], &run["poisoned"]), (&json!(2), &json!(1)), "{run}");
    let status = status(&stage);
    let totals = &status["totals"];
    assert_eq!(totals["accepted"].as_u64(), Some(before + 3), "{status}");
    assert_eq!(
        (&totals["delivered"], &totals["dead"]),
        (&json!(2), &json!({"destinationGone": 1})),
        "{status}"
    );
    let last_run = &status["lastRun"];
    assert_eq!(
        (&last_run["id"], &last_run["delivered"], last_run.get("failure")),
        (&run["run"], &json!(2), None)
    );
    for time in ["lastSuccessAt", "lastDeliveryAt", "now"] {
        assert!(status[time].as_str().is_some_and(|time| time.ends_with('Z')), "{time}: {status}");
    }
    let paused = status["pausedConversations"].as_array().unwrap();
    assert_eq!((paused.len(), &paused[0]["conversation"]), (1, &json!(key_of("msteams", "a:2"))));
    let problems: Vec<_> =
        status["problems"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let has = |begin: &str| problems.iter().any(|problem| problem.starts_with(begin));
    assert!(problems.len() == 2 && has("conversations: ") && has("poison queue: "), "{problems:?}");

    let metrics = metrics(&stage);
    let ended: f64 = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("proactivebot_alerts_ended_total{")?.split_once("} "))
        .map(|(_, count)| count.parse::<f64>().unwrap())
        .sum();
    let waiting = sample(&metrics, "proactivebot_queue_messages{queue=\"main\"}");
    assert_eq!(sample(&metrics, "proactivebot_alerts_accepted_total"), ended + waiting, "{metrics}");
    assert_eq!(sample(&metrics, "proactivebot_delivery_delay_seconds_count"), 2.0);
    assert!(
        !metrics.contains("hello") && !status.to_string().contains("hello"),
        "expected that neither route shows the text of an alert"
    );
}

fn unreadable_part_of_the_status_is_null_and_has_a_reason(world: &World) {
    let azurite = world.azurite();
    let tables = FaultyTables::start(&azurite.table_authority());
    let stage = alerts::script(world).tables_at(tables.authority()).start();
    stage.queue.put("x");
    tables.fail(|_| Some(Fault::Status(503)));
    let troubled = status(&stage);
    assert_eq!(
        (&troubled["totals"], &troubled["queue"]["messages"]),
        (&Value::Null, &json!(1)),
        "{troubled}"
    );
    assert!(troubled["problems"][0].as_str().unwrap().starts_with("tables: "), "{troubled}");
    let shown = metrics(&stage);
    assert_eq!(sample(&shown, "proactivebot_storage_up{service=\"table\"}"), 0.0);
    assert!(
        !shown.contains("proactivebot_alerts_accepted"),
        "expected no sample for an unknown count, found {shown}"
    );
    tables.fail_nothing();
    let recovered = status(&stage);
    assert!(recovered["totals"].is_object(), "{recovered}");
}

fn status_without_the_storage_account_is_answered_503(world: &World) {
    let (queue, tables) = (ClosedPort::reserve(), ClosedPort::reserve());
    let stage = alerts::script(world).unreachable_queue(&queue).unreachable_tables(&tables).start();
    for (path, _) in ROUTES {
        call(&stage, "GET", path, &Value::Null).expect_error(503, "StateUnavailable");
    }
    let events = stage.wait_for_events("status.not-read", 4);
    assert!(
        events.iter().all(|event| event["level"] == "error" && event["reason"].is_string()),
        "{events:?}"
    );
}

fn only_an_api_key_with_the_scope_watch_or_operate_reads_the_figures(world: &World) {
    let key = |name: &str, scopes: &[&str]| {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        NamedKey::random(&Purpose { name: name.into(), scopes, ..Purpose::default() }).unwrap()
    };
    let (sender, operator) = (key("ci", &["send", "cancel", "list", "address"]), key("ops", &["operate"]));
    let watcher = key("prometheus", &["watch"]);
    let entries = [sender.entry(), operator.entry(), watcher.entry()].join(",");
    let stage = alerts::script(world).variable("alertkeys", &entries).start();
    for (path, _) in ROUTES {
        let get = |authorization: &str| call_with(&stage, "GET", path, authorization, &Value::Null);
        get(&format!("Bearer {}", operator.key())).expect_status(200);
        get(&format!("Bearer {}", watcher.key())).expect_status(200);
        get(&format!("Bearer {}", sender.key())).expect_error(403, "ScopeMissing");
        get("").expect_error(401, "Unauthorized");
        get(&format!("Basic {}", operator.key())).expect_error(401, "Unauthorized");
        let in_query = format!("{path}?key={}", operator.key());
        call_with(&stage, "GET", &in_query, "", &Value::Null).expect_error(401, "Unauthorized");
        let post = call_with(&stage, "POST", path, &format!("Bearer {}", operator.key()), &Value::Null);
        assert_eq!(post.expect_error(405, "MethodNotAllowed").header("allow"), "GET");
    }
    let stage = Stage::start(world);
    for (path, _) in ROUTES {
        call(&stage, "GET", path, &Value::Null).expect_error(404, "NotFound");
    }
}
