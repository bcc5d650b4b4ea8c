//! Reads the status of one alert (`GET /api/alerts/{id}`), and the list of alerts (`GET /api/alerts`). The
//! bot reads both from the *ledger*, the table with a record of each alert.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use dev::named_key::{NamedKey, Purpose};
use end_to_end::activity::message;
use end_to_end::alerts::{self, call, call_with, known, queued, to_conversation};
use end_to_end::faulty_tables::{Fault, FaultyTables, Note};
use end_to_end::stage::{Script, Stage, TENANT};
use end_to_end::suite::World;
use end_to_end::table::Table;
use end_to_end::waiting::eventually;
use end_to_end::web::WholeResponse;
use http::Method;
use serde_json::{Value, json};

end_to_end::cases!(
    status_shows_each_step_of_an_alert,
    call_with_wait_is_answered_when_the_status_changes,
    alert_is_shown_only_to_api_keys_with_the_senders_name_and_to_operators,
    list_of_hundreds_of_alerts_is_read_page_by_page_with_few_calls,
    list_is_filtered_by_status_tag_and_time,
    status_word_that_a_newer_version_recorded_is_shown_unchanged,
    cancelled_alert_without_a_recorded_outcome_is_shown_as_cancelled_and_uncertain,
    alert_without_an_outcome_after_50_hours_is_overdue,
    list_and_status_are_answered_503_while_the_ledger_fails,
);

fn get(stage: &Stage, path: &str) -> Value {
    call(stage, "GET", path, &Value::Null).expect_status(200).json()
}

fn status(stage: &Stage, id: &str) -> Value {
    get(stage, &format!("/api/alerts/{id}"))
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap_or_default().parse().unwrap_or_else(|_| panic!("expected a time, found {value}"))
}

fn ids(page: &Value) -> Vec<String> {
    let alerts = page["alerts"].as_array().unwrap();
    alerts.iter().map(|alert| alert["id"].as_str().unwrap().to_owned()).collect()
}

fn ledger(world: &World, stage: &Stage) -> Table {
    Table::new(&world.azurite().connection_string(), &format!("{}ledger", stage.table_prefix))
}

/// Sets `properties` in the ledger's record of an alert. A number in `properties` is a time in milliseconds
/// since 1970. Every other value is a text.
fn change_record(world: &World, stage: &Stage, id: &str, properties: &[(&str, Value)]) {
    let table = ledger(world, stage);
    let mut record = table.entities().into_iter().find(|entity| entity.key.row == id).expect("a record");
    let times: Vec<String> = record.properties.keys().filter(|name| name.ends_with("At")).cloned().collect();
    // The table service returns an Int64 as a string, and does not return the type. So this loop sets the
    // type again.
    for name in times {
        let time = record.int(&name).unwrap();
        record.int64(&name, time);
    }
    for (name, value) in properties {
        match value.as_i64() {
            Some(time) => record.int64(name, time),
            None => _ = record.properties.insert((*name).to_owned(), value.clone()),
        }
    }
    table.put(&record);
}

fn ago(hours: i64) -> Value {
    (Utc::now() - TimeDelta::hours(hours)).timestamp_millis().into()
}

fn status_shows_each_step_of_an_alert(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "subscribe news");
    let id = queued(&stage, &json!({"to": [{"tag": "News"}], "text": "hello"}));
    let shown = status(&stage, &id);
    let expected = json!({
        "id": id, "status": "queued", "conversation": key, "sender": "alertkey", "tag": "news",
        "acceptedAt": shown["acceptedAt"], "keptUntil": shown["keptUntil"],
    });
    assert_eq!(shown, expected);
    assert_eq!(time(&shown["keptUntil"]) - time(&shown["acceptedAt"]), TimeDelta::days(7));
    assert!(shown["acceptedAt"].as_str().unwrap().ends_with('Z'), "{shown}");
    assert_eq!(stage.poll()["delivered"], 1);
    let shown = status(&stage, &id);
    assert_eq!((&shown["status"], &shown["tag"]), (&"delivered".into(), &"news".into()), "{shown}");
    assert!(
        shown["activityId"].is_string() && time(&shown["changedAt"]) >= time(&shown["acceptedAt"]),
        "{shown}"
    );

    let mut later = to_conversation(&key, "later");
    later["delay"] = "PT1H".into();
    let later = queued(&stage, &later);
    let shown = status(&stage, &later);
    // The hour begins when the bot reads the body. Shortly afterwards, the bot accepts the alert.
    let wait = time(&shown["dueAt"]) - time(&shown["acceptedAt"]);
    assert!((TimeDelta::minutes(59)..=TimeDelta::hours(1)).contains(&wait), "{shown}");
    call(&stage, "DELETE", &format!("/api/alerts/{later}"), &Value::Null).expect_status(202);
    assert_eq!(status(&stage, &later)["status"], "cancelling");

    // The person sends `stop` before the poller dequeues the alert. So the poller does not send the alert.
    let stopped = queued(&stage, &to_conversation(&key, "unwanted"));
    stage.say(&message("a:1", "2", "stop"));
    assert_eq!(stage.poll()["stopped"], 1);
    assert_eq!(status(&stage, &stopped)["status"], "stopped");

    for unknown in ["0a260123456789abcdef0123456789ab", "ffffffffffffffffffffffffffffffff", "x", "", "a/b"] {
        let path = format!("/api/alerts/{unknown}");
        call(&stage, "GET", &path, &Value::Null).expect_error(404, "AlertNotFound");
    }
    for query in ["wait=0", "wait=31", "wait=soon", "until=1"] {
        let path = format!("/api/alerts/{id}?{query}");
        call(&stage, "GET", &path, &Value::Null).expect_error(400, "BadArgument");
    }
    stage.connector.forget();
}

fn call_with_wait_is_answered_when_the_status_changes(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = alerts::script(world).tables_at(tables.authority()).start();
    let key = known(&stage, "a:1", "hello");
    let id = queued(&stage, &to_conversation(&key, "hello"));
    assert_eq!(get(&stage, &format!("/api/alerts/{id}?wait=1"))["status"], "queued");
    let reads = || {
        let is_read = |note: &&Note| note.method == Method::GET && note.path.contains(&id);
        tables.notes().iter().filter(is_read).count()
    };
    let before = reads();
    let shown = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| get(&stage, &format!("/api/alerts/{id}?wait=30")));
        // A call that does not wait reads the alert's record once. So a second read shows that the call above
        // waits.
        eventually("a second read of the record", || (reads() > before + 1).then_some(()));
        assert_eq!(stage.poll()["delivered"], 1);
        waiting.join().unwrap()
    });
    assert_eq!(shown["status"], "delivered");
    let before = reads();
    assert_eq!(get(&stage, &format!("/api/alerts/{id}?wait=30")), shown);
    assert_eq!(reads() - before, 1, "expected one read, because a final status does not change");
    stage.connector.forget();
}

fn key(name: &str, scopes: &str, change: impl FnOnce(&mut Purpose)) -> NamedKey {
    let scopes = scopes.split(',').map(str::to_owned).collect();
    let mut purpose = Purpose { name: name.into(), scopes, ..Purpose::default() };
    change(&mut purpose);
    NamedKey::random(&purpose).unwrap()
}

/// The *sender* of an alert is the name of the API key that sent the alert. Several API keys can have the
/// same name.
fn alert_is_shown_only_to_api_keys_with_the_senders_name_and_to_operators(world: &World) {
    let ci = key("ci", "send", |_| {});
    let new_ci = key("ci", "list", |_| {});
    let shop = key("shop", "send,cancel,list", |_| {});
    let tenant = key("tenant", "send,list", |purpose| purpose.tenant = Some(TENANT.into()));
    let address = key("address", "address", |_| {});
    let operator = key("ops", "operate", |_| {});
    let all = [&ci, &new_ci, &shop, &tenant, &address, &operator];
    let entries: Vec<_> = all.iter().map(|key| key.entry()).collect();
    let stage = Script::new(world).variable("alertkeys", &entries.join(",")).start();
    stage.say(&message("a:1", "1", "of a person"));
    stage.queue.take_all();
    stage.connector.forget();
    let conversation = alerts::key_of("msteams", "a:1");
    let ask = |key: &NamedKey, method: &str, path: &str, body: &Value| -> WholeResponse {
        call_with(&stage, method, path, &format!("Bearer {}", key.key()), body)
    };
    let response =
        ask(&ci, "POST", "/api/alerts", &to_conversation(&conversation, "hello")).expect_status(202);
    let id = ids(&response.json()).remove(0);
    let all = ask(&operator, "GET", "/api/alerts", &Value::Null).expect_status(200).json();
    assert_eq!(
        all["alerts"].as_array().unwrap().len(),
        2,
        "expected the alert of the API key `ci` and the alert of the person, found {all}"
    );
    let of_person = &all["alerts"][1];
    assert!(of_person.get("sender").is_none() && of_person["conversation"] == conversation, "{of_person}");
    for (key, sees) in
        [(&ci, true), (&new_ci, true), (&operator, true), (&shop, false), (&tenant, false), (&address, false)]
    {
        let response = ask(key, "GET", &format!("/api/alerts/{id}"), &Value::Null);
        let person_response =
            ask(key, "GET", &format!("/api/alerts/{}", of_person["id"].as_str().unwrap()), &Value::Null);
        if sees {
            assert_eq!(response.expect_status(200).json()["sender"], "ci");
        } else {
            response.expect_error(404, "AlertNotFound");
        }
        if key.key() == operator.key() {
            person_response.expect_status(200);
        } else {
            person_response.expect_error(404, "AlertNotFound");
        }
        let list = ask(key, "GET", "/api/alerts", &Value::Null);
        if key.key() == address.key() {
            list.expect_error(403, "ScopeMissing");
            continue;
        }
        let listed = ids(&list.expect_status(200).json());
        assert_eq!(listed.contains(&id), sees, "{listed:?}");
        assert!(key.key() == operator.key() || listed.len() == usize::from(sees), "{listed:?}");
    }
    stage.connector.forget();
}

fn list_of_hundreds_of_alerts_is_read_page_by_page_with_few_calls(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = alerts::script(world).tables_at(tables.authority()).start();
    let service_url = stage.connector.host(&message("a:1", "1", ""))["serviceUrl"].clone();
    let mut sent = BTreeSet::new();
    for (call, conversations) in [100, 99, 1, 100, 3, 1, 1, 1].into_iter().enumerate() {
        let address = |number: usize| {
            let conversation = json!({"id": format!("a:{call}-{number}")});
            json!({"address": {"channelId": "msteams", "serviceUrl": service_url, "conversation": conversation}})
        };
        let to: Vec<Value> = (0..conversations).map(address).collect();
        let body = json!({"to": to, "text": "hello", "idempotencyKey": format!("call-{call}")});
        for _ in 0..2 {
            let response = alerts::alert(&stage, &body).expect_status(202).json();
            sent.extend(ids(&response));
        }
    }
    assert_eq!(sent.len(), 306);
    let mut orders = Vec::new();
    for limit in [100, 37] {
        let (mut path, mut listed) = (format!("/api/alerts?limit={limit}"), Vec::new());
        loop {
            let before = tables.notes().len();
            let page = get(&stage, &path);
            let calls = tables.notes().len() - before;
            assert!(calls <= 30, "{path}: expected at most 30 calls, found {calls}");
            let alerts = page["alerts"].as_array().unwrap();
            assert!(alerts.len() <= limit, "{page}");
            listed.extend(alerts.iter().map(|alert| (time(&alert["acceptedAt"]), alert["id"].clone())));
            let Some(next) = page.get("next") else { break };
            path = format!("/api/alerts?limit={limit}&after={}", next.as_str().unwrap());
        }
        assert!(listed.is_sorted_by(|(a, _), (b, _)| a >= b), "expected that the newest alerts come first");
        orders.push(listed.into_iter().map(|(_, id)| id.as_str().unwrap().to_owned()).collect::<Vec<_>>());
    }
    assert_eq!(orders[0], orders[1]);
    assert_eq!(orders[0].len(), sent.len(), "expected each alert once, although each call came twice");
    assert_eq!(orders[0].iter().cloned().collect::<BTreeSet<_>>(), sent);
    let next = get(&stage, "/api/alerts?limit=1")["next"].as_str().unwrap().to_owned();
    for changed in [
        format!("limit=1&after=1{}", &next[1..]),
        format!("limit=1&after={next}0"),
        format!("status=dead&after={next}"),
        "after=".into(),
        "after=%F0%9F%8D%95".into(),
        "limit=0".into(),
        "limit=101".into(),
        "status=gone".into(),
    ] {
        let response = call(&stage, "GET", &format!("/api/alerts?{changed}"), &Value::Null);
        response.expect_error(400, "BadArgument");
    }
}

fn list_is_filtered_by_status_tag_and_time(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "subscribe news");
    let first = queued(&stage, &json!({"to": {"tag": "news"}, "text": "first"}));
    assert_eq!(stage.poll()["delivered"], 1);
    let second = queued(&stage, &to_conversation(&key, "second"));
    let accepted = status(&stage, &second)["acceptedAt"].as_str().unwrap().to_owned();
    let third = queued(&stage, &json!({"to": [{"conversation": key}, {"tag": "news"}], "text": "third"}));
    for (query, expected) in [
        ("", vec![&third, &second, &first]),
        ("status=queued", vec![&third, &second]),
        ("status=delivered", vec![&first]),
        ("status=dead", vec![]),
        ("tag=NEWS", vec![&first]),
        ("tag=news&status=queued", vec![]),
        ("since=2099-01-01T00:00:00Z", vec![]),
        (&format!("since={accepted}"), vec![&third, &second]),
    ] {
        let (mut path, mut found) = (format!("/api/alerts?{query}"), Vec::new());
        // The list also has the alert that the bot made from the person's message in `known`. That alert has
        // no sender, so `retain` removes it below.
        loop {
            let page = get(&stage, &path);
            found.extend(page["alerts"].as_array().unwrap().clone());
            let Some(next) = page.get("next") else { break };
            path = format!("/api/alerts?{query}&after={}", next.as_str().unwrap());
        }
        found.retain(|alert| alert.get("sender").is_some());
        let found: Vec<_> = found.iter().map(|alert| alert["id"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{query}");
    }
    stage.connector.forget();
}

fn status_word_that_a_newer_version_recorded_is_shown_unchanged(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let id = queued(&stage, &to_conversation(&key, "hello"));
    change_record(world, &stage, &id, &[("status", "answered".into()), ("version", json!("9"))]);
    assert_eq!(status(&stage, &id)["status"], "answered");
    assert_eq!(get(&stage, "/api/alerts?limit=1")["alerts"][0]["status"], "answered");
}

/// The case deletes the alert's queue message, so no run (one execution of the poller) records an outcome.
/// The bot then cannot know whether a run has sent the alert, and has failed to record the delivery.
///
/// The case cancels the alert twice. If the queue were empty at the second cancellation, no run could still
/// drop the alert. Then the bot would assume that a run had delivered the alert before the first
/// cancellation. So the case leaves another alert on the queue.
fn cancelled_alert_without_a_recorded_outcome_is_shown_as_cancelled_and_uncertain(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let sent = queued(&stage, &to_conversation(&key, "sent"));
    stage.queue.take_all();
    let mut later = to_conversation(&key, "later");
    later["delay"] = "PT1H".into();
    queued(&stage, &later);
    let cancel =
        || call(&stage, "DELETE", &format!("/api/alerts/{sent}"), &Value::Null).expect_status(202).json();
    assert_eq!(cancel(), json!({"id": sent, "status": "cancelling"}));
    assert_eq!(status(&stage, &sent)["status"], "cancelling");
    change_record(
        world,
        &stage,
        &sent,
        &[("acceptedAt", ago(3)), ("cancelledAt", ago(3)), ("dueAt", ago(3))],
    );
    let shown = status(&stage, &sent);
    assert_eq!((&shown["status"], &shown["uncertain"]), (&"cancelled".into(), &true.into()), "{shown}");
    assert!(shown["reason"].as_str().unwrap().contains("perhaps a run has sent"), "{shown}");
    assert_eq!(cancel(), json!({"id": sent, "status": "cancelled", "uncertain": true}));
}

fn alert_without_an_outcome_after_50_hours_is_overdue(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    let id = queued(&stage, &to_conversation(&key, "hello"));
    change_record(world, &stage, &id, &[("acceptedAt", ago(50)), ("dueAt", ago(50))]);
    let shown = status(&stage, &id);
    assert_eq!(shown["status"], "overdue", "{shown}");
    assert!(shown["reason"].as_str().unwrap().contains("poller"), "{shown}");
    // The poller runs late, and delivers the alert.
    assert_eq!(stage.poll()["delivered"], 1);
    assert_eq!(status(&stage, &id)["status"], "delivered");
    stage.connector.forget();
}

fn list_and_status_are_answered_503_while_the_ledger_fails(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = alerts::script(world).tables_at(tables.authority()).start();
    let key = known(&stage, "a:1", "hello");
    let id = queued(&stage, &to_conversation(&key, "hello"));
    tables.fail(|call| call.table().ends_with("ledger").then_some(Fault::Status(503)));
    for path in ["/api/alerts".to_owned(), format!("/api/alerts/{id}")] {
        call(&stage, "GET", &path, &Value::Null).expect_error(503, "StateUnavailable");
    }
    tables.fail_nothing();
    assert_eq!(ids(&get(&stage, "/api/alerts?limit=1")), [id.as_str()]);
}
