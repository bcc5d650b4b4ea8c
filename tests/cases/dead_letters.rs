//! Dead letters: the messages in the poison queue, which the poller could not deliver. Operators list dead
//! letters, drop dead letters, and *replay* dead letters (put them on the bot's queue again).

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use chrono::{TimeDelta, Utc};
use dev::back_end::BackEnd;
use dev::dead_letters::{DeadLetters, Selection};
use end_to_end::alerts::{self, ALERT_KEY, alert, call, known, queued, to_conversation};
use end_to_end::connector::Reply;
use end_to_end::faulty_tables::{Fault, FaultyTables};
use end_to_end::queue::decode;
use end_to_end::stage::{Script, Stage};
use end_to_end::suite::World;
use end_to_end::table::Table;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};
use storage_table::{Entity, Key, Operation};

end_to_end::cases!(
    dead_alert_is_listed_and_delivered_once_by_a_replay,
    replay_to_a_conversation_that_was_missing_is_delivered,
    replay_keeps_the_order_and_starts_the_poller,
    replays_at_the_same_time_deliver_each_alert_once,
    replay_of_a_changed_or_expired_message_is_refused,
    replayed_alert_that_fails_again_is_a_new_dead_letter,
    replay_that_a_table_failure_interrupts_can_be_repeated,
    dead_letter_without_a_row_in_the_table_is_shown_and_replayed,
    dropped_dead_letter_is_deleted_and_the_alert_stays_dead_in_the_ledger,
    forgotten_conversation_has_no_dead_letter,
    page_of_a_list_of_ten_thousand_dead_letters_costs_one_table_call,
    call_about_dead_letters_needs_the_scope_operate,
    client_of_cargo_dev_dead_can_list_show_replay_and_drop_dead_letters,
);

/// The HTTP status of the fake Connector's responses to alerts. With 201, the fake accepts the alerts.
struct AlertResponses(Arc<AtomicU16>);

impl AlertResponses {
    fn of(stage: &Stage, status: u16, code: &'static str) -> Self {
        let now = Arc::new(AtomicU16::new(status));
        let current = Arc::clone(&now);
        stage.connector.on(move |received| {
            let status = current.load(Ordering::SeqCst);
            (received.is_alert() && status != 201).then(|| Reply::error(status, code))
        });
        Self(now)
    }

    fn accept(&self) {
        self.0.store(201, Ordering::SeqCst);
    }
}

fn sealing(world: &World) -> Script<'_> {
    alerts::script(world).variable("sealkey", "a seal key for tests")
}

/// Sends one alert for each text to a conversation. Expects that the poller moves all of these alerts to the
/// poison queue. Returns the ids of the alerts.
fn dead(stage: &Stage, key: &str, texts: &[&str]) -> Vec<String> {
    let ids: Vec<_> = texts.iter().map(|text| queued(stage, &to_conversation(key, text))).collect();
    let counts = stage.poll();
    assert_eq!(counts["poisoned"], texts.len(), "{counts}");
    ids
}

fn list(stage: &Stage, query: &str) -> Value {
    call(stage, "GET", &format!("/api/dead{query}"), &Value::Null).expect_status(200).json()
}

fn ids_of(list: &Value) -> Vec<String> {
    list["dead"].as_array().unwrap().iter().map(|dead| dead["id"].as_str().unwrap().to_owned()).collect()
}

fn replay(stage: &Stage, body: &Value) -> Value {
    call(stage, "POST", "/api/dead/replay", body).expect_status(200).json()
}

fn reasons(response: &Value) -> Vec<&str> {
    response["refused"].as_array().unwrap().iter().map(|refused| refused["why"].as_str().unwrap()).collect()
}

/// The texts of the alerts that the Connector received.
fn alerted(stage: &Stage) -> Vec<String> {
    let received = stage.connector.received();
    received.iter().filter(|received| received.is_alert()).map(|alert| alert.text().to_owned()).collect()
}

fn record(world: &World, stage: &Stage, id: &str) -> Entity {
    let table = Table::new(&world.azurite().connection_string(), &format!("{}ledger", stage.table_prefix));
    table.entities().into_iter().find(|entity| entity.key.row == id).expect("a record")
}

fn dead_alert_is_listed_and_delivered_once_by_a_replay(world: &World) {
    let stage = sealing(world).start();
    let key = known(&stage, "a:1", "hello");
    let connector = AlertResponses::of(&stage, 400, "BadSyntax");
    let ids = dead(&stage, &key, &["pizza"]);
    let response = list(&stage, "");
    assert_eq!((&response["messages"], response.get("next")), (&1.into(), None), "{response}");
    let letter = &response["dead"][0];
    for (member, expected) in [
        ("alert", json!(ids[0])),
        ("outcome", "permanent".into()),
        ("status", 400.into()),
        ("conversation", json!(key)),
        ("attempts", 1.into()),
        ("replayable", true.into()),
    ] {
        assert_eq!(letter[member], expected, "{member}: {letter}");
    }
    assert!(letter["reason"].as_str().unwrap().contains("BadSyntax"), "{letter}");
    assert!(
        !response.to_string().contains("pizza"),
        "expected no text in a list without `text=true`, found {response}"
    );
    assert_eq!(list(&stage, "?text=true")["dead"][0]["text"], "pizza");
    assert_eq!(list(&stage, "?outcome=destinationGone")["dead"], json!([]));
    assert_eq!(ids_of(&list(&stage, &format!("?outcome=permanent&conversation={key}"))).len(), 1);
    call(&stage, "GET", "/api/dead?after=x", &Value::Null).expect_error(400, "BadArgument");

    connector.accept();
    stage.connector.forget();
    let body = json!({"ids": ids_of(&response)});
    let replayed = replay(&stage, &body);
    assert_eq!(replayed, json!({"replayed": ids_of(&response), "refused": [], "more": false}));
    assert_eq!(record(world, &stage, &ids[0]).str("status"), Some("queued"));
    assert_eq!(reasons(&replay(&stage, &body)), ["unknown"]);
    let counts = stage.poll();
    assert_eq!(counts["delivered"], 1, "{counts}");
    assert_eq!(reasons(&replay(&stage, &body)), ["unknown"]);
    assert_eq!(stage.poll()["delivered"], 0);
    assert_eq!(alerted(&stage), ["Alert: pizza"]);
    let record = record(world, &stage, &ids[0]);
    assert_eq!(
        (record.str("status"), record.str("reason")),
        (Some("delivered"), Some("replayed by alertkey"))
    );
    assert_eq!(list(&stage, "?text=true"), json!({"messages": 0, "dead": []}));
    let line = stage.wait_for_events("dead.replayed", 1).remove(0);
    assert_eq!((&line["key"], &line["alerts"]), (&"alertkey".into(), &json!(ids)), "{line}");
    assert!(!stage.lines().iter().any(|line| line.contains("pizza")), "the alert's text is in the log");
}

fn replay_to_a_conversation_that_was_missing_is_delivered(world: &World) {
    let stage = sealing(world).start();
    let key = known(&stage, "a:1", "hello");
    let connector = AlertResponses::of(&stage, 404, "ConversationNotFound");
    dead(&stage, &key, &["pizza"]);
    let response = list(&stage, "");
    assert_eq!(response["dead"][0]["outcome"], "destinationGone", "{response}");
    connector.accept();
    stage.connector.forget();
    assert_eq!(replay(&stage, &json!({"outcome": "destinationGone"}))["replayed"], json!(ids_of(&response)));
    assert_eq!(stage.poll()["delivered"], 1);
    assert_eq!(alerted(&stage), ["Alert: pizza"]);
    // After the 404, the poller paused the conversation. During a pause, the bot puts no new alerts for this
    // conversation on the queue. The replay has ignored the pause, and has not ended the pause. The pause
    // ends when the person writes, or after a day.
    let response = alert(&stage, &to_conversation(&key, "another")).expect_status(202).json();
    assert_eq!(response["alerts"][0]["status"], "paused");
}

/// With `kick=on`, the bot calls the poller after a replay. So this case does not call the poller.
fn replay_keeps_the_order_and_starts_the_poller(world: &World) {
    let stage = sealing(world).variable("kick", "on").start();
    let connector = AlertResponses::of(&stage, 400, "BadSyntax");
    let key = known(&stage, "a:1", "hello");
    let texts: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    for text in &texts {
        queued(&stage, &to_conversation(&key, text));
    }
    eventually("40 dead letters", || (list(&stage, "")["messages"] == 40).then_some(()));
    eventually("an empty queue", || (stage.queue.count() == 0).then_some(()));
    connector.accept();
    stage.connector.forget();
    let replayed = replay(&stage, &json!({"all": true}));
    assert_eq!((replayed["replayed"].as_array().unwrap().len(), &replayed["more"]), (40, &false.into()));
    let expected: Vec<_> = texts.iter().map(|text| format!("Alert: {text}")).collect();
    eventually("40 alerts", || (alerted(&stage).len() >= 40).then_some(()));
    assert_eq!(alerted(&stage), expected);
}

fn replays_at_the_same_time_deliver_each_alert_once(world: &World) {
    let stage = sealing(world).start();
    let connector = AlertResponses::of(&stage, 400, "BadSyntax");
    let keys = ["a:1", "a:2", "a:3"].map(|conversation| known(&stage, conversation, "hello"));
    let mut texts = Vec::new();
    for key in &keys {
        for number in 0..8 {
            texts.push(format!("Alert: {} {number}", &key[..4]));
            queued(&stage, &to_conversation(key, &texts.last().unwrap()["Alert: ".len()..]));
        }
    }
    assert_eq!(stage.poll()["poisoned"], 24);
    connector.accept();
    stage.connector.forget();
    let ids = ids_of(&list(&stage, "?limit=100"));
    let bodies = [json!({"ids": ids}), json!({"all": true}), json!({"ids": ids})];
    std::thread::scope(|scope| {
        for body in &bodies {
            scope.spawn(|| replay(&stage, body));
        }
    });
    // While a replay processes a dead letter, the dead letter is hidden from the other replays. So a replay
    // can end before all dead letters are replayed. By now, the three replays have ended, and the remaining
    // dead letters are visible again.
    replay(&stage, &json!({"all": true}));
    while stage.poll()["received"] != 0 {}
    let mut found = alerted(&stage);
    found.sort();
    texts.sort();
    assert_eq!(found, texts);
    assert_eq!(list(&stage, "?text=true"), json!({"messages": 0, "dead": []}));
}

fn replay_of_a_changed_or_expired_message_is_refused(world: &World) {
    let stage = sealing(world).start();
    let connector = AlertResponses::of(&stage, 400, "BadSyntax");
    let key = known(&stage, "a:1", "hello");
    queued(&stage, &to_conversation(&key, "changed on the queue"));
    let mut changed = decode(&stage.queue.take_all().remove(0));
    changed["text"] = "pay me".into();
    stage.queue.put_json(&changed);
    let mut expiring = to_conversation(&key, "expiring");
    expiring["expires"] = (Utc::now() + TimeDelta::seconds(4)).to_rfc3339().into();
    queued(&stage, &expiring);
    queued(&stage, &to_conversation(&key, "changed on the poison queue"));
    stage.queue.put("no envelope");
    assert_eq!(stage.poll()["poisoned"], 4);
    connector.accept();
    stage.connector.forget();
    let poison = stage.queue.poison();
    for text in poison.take_all() {
        match end_to_end::queue::envelope_of(&text) {
            Some(mut envelope) if envelope["text"] == "changed on the poison queue" => {
                envelope["text"] = "pay me twice".into();
                poison.put_json(&envelope);
            }
            _ => poison.put(&text),
        }
    }
    let all = list(&stage, "");
    let replayable = |outcome: &str| {
        let letter =
            all["dead"].as_array().unwrap().iter().find(|letter| letter["outcome"] == outcome).cloned();
        letter.unwrap()["replayable"].clone()
    };
    assert_eq!((replayable("sealBroken"), replayable("unreadable")), (false.into(), false.into()), "{all}");
    let ids = ids_of(&all);
    eventually("the expired alert to be listed as not replayable", || {
        let dead = list(&stage, "")["dead"].take();
        let is_replayable = |letter: &Value| letter["replayable"] == true;
        // The list still shows one dead letter as replayable: the message that was changed on the poison
        // queue. The bot detects such a change only at the replay.
        (dead.as_array().unwrap().iter().filter(|letter| is_replayable(letter)).count() == 1).then_some(())
    });
    let response = replay(&stage, &json!({"ids": ids}));
    assert_eq!(response["replayed"], json!([]), "{response}");
    let mut found = reasons(&response);
    found.sort_unstable();
    assert_eq!(found, ["expired", "tampered", "tampered", "unreadable"]);
    let again = replay(&stage, &json!({"all": true}));
    assert_eq!((&again["replayed"], reasons(&again).len()), (&json!([]), 4), "{again}");
    assert_eq!(stage.poll()["received"], 0);
    for id in ids {
        call(&stage, "DELETE", &format!("/api/dead/{id}"), &Value::Null).expect_status(204);
    }
    assert_eq!(list(&stage, "?text=true"), json!({"messages": 0, "dead": []}));
    assert!(alerted(&stage).is_empty());
}

fn replayed_alert_that_fails_again_is_a_new_dead_letter(world: &World) {
    let stage = sealing(world).start();
    let connector = AlertResponses::of(&stage, 400, "BadSyntax");
    let key = known(&stage, "a:1", "hello");
    let ids = dead(&stage, &key, &["pizza"]);
    let first = ids_of(&list(&stage, ""));
    replay(&stage, &json!({"all": true}));
    assert_eq!(stage.poll()["poisoned"], 1);
    let second = ids_of(&list(&stage, ""));
    assert!(second.len() == 1 && second != first, "{first:?}, {second:?}");
    assert_eq!(record(world, &stage, &ids[0]).str("status"), Some("dead"));
    assert_eq!(reasons(&replay(&stage, &json!({"ids": first}))), ["unknown"]);
    connector.accept();
    stage.connector.forget();
    assert_eq!(replay(&stage, &json!({"ids": second}))["replayed"], json!(second));
    assert_eq!(stage.poll()["delivered"], 1);
    assert_eq!(alerted(&stage), ["Alert: pizza"]);
}

fn replay_that_a_table_failure_interrupts_can_be_repeated(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = sealing(world).tables_at(tables.authority()).start();
    let connector = AlertResponses::of(&stage, 400, "BadSyntax");
    let key = known(&stage, "a:1", "hello");
    let ids = dead(&stage, &key, &["one", "two", "three"]);
    connector.accept();
    stage.connector.forget();
    // Every call that changes the second alert's record in the ledger (the bot's table of alerts) fails.
    let failing = ids[1].clone();
    tables.fail(move |call| {
        (call.method == "PATCH" && call.path.contains(&failing)).then_some(Fault::Status(503))
    });
    let response = replay(&stage, &json!({"all": true}));
    assert_eq!(
        (response["replayed"].as_array().unwrap().len(), &response["more"]),
        (1, &true.into()),
        "{response}"
    );
    tables.fail(|_| Some(Fault::Status(503)));
    call(&stage, "POST", "/api/dead/replay", &json!({"all": true})).expect_error(503, "StateUnavailable");
    tables.fail_nothing();
    let mut replayed = 0;
    eventually("the replay of the other two alerts", || {
        replayed += replay(&stage, &json!({"all": true}))["replayed"].as_array().unwrap().len();
        (replayed == 2).then_some(())
    });
    while stage.poll()["received"] != 0 {}
    assert_eq!(alerted(&stage), ["Alert: one", "Alert: two", "Alert: three"]);
    assert_eq!(list(&stage, "?text=true"), json!({"messages": 0, "dead": []}));
}

/// When a run moves a message to the poison queue, the run also writes a row with the reason into the table
/// `<prefix>runs`. In this case, the table service refuses this write.
fn dead_letter_without_a_row_in_the_table_is_shown_and_replayed(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = sealing(world).tables_at(tables.authority()).start();
    let connector = AlertResponses::of(&stage, 400, "BadSyntax");
    let key = known(&stage, "a:1", "hello");
    tables.fail(|call| call.path.contains(".dead'").then_some(Fault::Status(403)));
    let ids = dead(&stage, &key, &["pizza", "pasta"]);
    stage.wait_for_events("dead.not-listed", 1);
    tables.fail_nothing();
    connector.accept();
    stage.connector.forget();
    assert_eq!(list(&stage, ""), json!({"messages": 2, "dead": []}));
    let shown = list(&stage, "?text=true");
    let letters = shown["dead"].as_array().unwrap();
    let pizza = letters.iter().find(|letter| letter["text"] == "pizza").unwrap();
    assert_eq!((&pizza["alert"], &pizza["outcome"]), (&json!(ids[0]), &"permanent".into()), "{pizza}");
    assert!(pizza["id"].as_str().unwrap().starts_with("m."), "{pizza}");
    let response = replay(&stage, &json!({"ids": [pizza["id"]]}));
    assert_eq!(response["replayed"].as_array().unwrap().len(), 1, "{response}");
    assert_eq!(replay(&stage, &json!({"all": true}))["replayed"].as_array().unwrap().len(), 1);
    assert_eq!(stage.poll()["delivered"], 2);
    assert_eq!(alerted(&stage), ["Alert: pizza", "Alert: pasta"]);
    assert_eq!(list(&stage, "?text=true"), json!({"messages": 0, "dead": []}));
}

fn dropped_dead_letter_is_deleted_and_the_alert_stays_dead_in_the_ledger(world: &World) {
    let stage = sealing(world).start();
    let connector = AlertResponses::of(&stage, 400, "BadSyntax");
    let key = known(&stage, "a:1", "hello");
    let ids = dead(&stage, &key, &["dropped", "kept"]);
    let all = list(&stage, "");
    let letter =
        all["dead"].as_array().unwrap().iter().find(|letter| letter["alert"] == json!(ids[0])).unwrap();
    let path = format!("/api/dead/{}", letter["id"].as_str().unwrap());
    call(&stage, "DELETE", &path, &Value::Null).expect_status(204);
    call(&stage, "DELETE", &path, &Value::Null).expect_error(404, "DeadLetterNotFound");
    let record = record(world, &stage, &ids[0]);
    assert_eq!(record.str("status"), Some("dead"));
    assert!(record.str("reason").unwrap().starts_with("dropped by alertkey; permanent: "), "{record:?}");
    connector.accept();
    stage.connector.forget();
    assert_eq!(replay(&stage, &json!({"all": true}))["replayed"].as_array().unwrap().len(), 1);
    assert_eq!(stage.poll()["delivered"], 1);
    assert_eq!(alerted(&stage), ["Alert: kept"]);
    assert_eq!(stage.wait_for_events("dead.dropped", 1)[0]["key"], "alertkey");
}

fn forgotten_conversation_has_no_dead_letter(world: &World) {
    let stage = sealing(world).start();
    AlertResponses::of(&stage, 400, "BadSyntax");
    let keys = ["a:1", "a:2"].map(|conversation| known(&stage, conversation, "hello"));
    dead(&stage, &keys[0], &["one", "two"]);
    dead(&stage, &keys[1], &["other"]);
    call(&stage, "DELETE", &format!("/api/targets/{}", keys[0]), &Value::Null).expect_status(200);
    let left = list(&stage, "");
    assert_eq!((&left["messages"], &left["dead"][0]["conversation"]), (&1.into(), &json!(keys[1])), "{left}");
    assert_eq!(ids_of(&left).len(), 1);
}

fn page_of_a_list_of_ten_thousand_dead_letters_costs_one_table_call(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = sealing(world).tables_at(tables.authority()).start();
    let key = known(&stage, "a:1", "hello");
    AlertResponses::of(&stage, 400, "BadSyntax");
    dead(&stage, &key, &["pizza"]);
    let table = Table::new(&world.azurite().connection_string(), &format!("{}runs", stage.table_prefix));
    let row = table.entities().into_iter().find(|entity| entity.key.partition.ends_with(".dead")).unwrap();
    let rows: Vec<Entity> = (0..10_000)
        .map(|number| {
            let time = 98_204_000_000_000_i64 + number;
            let key = Key::new(&row.key.partition, format!("{time}.planted-{number}"));
            let now = Utc::now().timestamp_millis();
            Entity::new(key)
                .with("outcome", "planted")
                .with_int64("diedAt", now)
                .with_int64("enqueuedAt", now)
        })
        .collect();
    table.with(async |client| {
        for chunk in rows.chunks(100) {
            let operations: Vec<_> = chunk.iter().map(Operation::Insert).collect();
            client.batch(&operations).await.unwrap();
        }
    });
    let calls = || tables.calls_and_faults().0;
    let (mut seen, mut query) = (0, "?limit=100".to_owned());
    for _ in 0..3 {
        let before = calls();
        let page = list(&stage, &query);
        assert_eq!(calls() - before, 1, "expected one call to the tables for each page");
        seen += ids_of(&page).len();
        query = format!("?limit=100&after={}", page["next"].as_str().unwrap());
    }
    assert_eq!(seen, 300);
    let before = calls();
    list(&stage, "?outcome=permanent&limit=5");
    assert!(calls() - before <= 4, "expected at most 4 calls to the tables, found {}", calls() - before);
}

fn call_about_dead_letters_needs_the_scope_operate(world: &World) {
    const SENDER: (&str, &str) = (
        "pbk_0123456789abcdef0123456789abcdef",
        "ci:send+cancel+list:4344e8cb2e757661e80e17eb183a63ba2e58848f07a1f58f8f8be8764abd9f4c",
    );
    let stage = alerts::script(world).variable("alertkeys", SENDER.1).start();
    let bearer = format!("Bearer {}", SENDER.0);
    for (method, path, body) in [
        ("GET", "/api/dead?text=true", Value::Null),
        ("POST", "/api/dead/replay", json!({"all": true})),
        ("POST", "/api/dead/drop", json!({"all": true})),
        ("DELETE", "/api/dead/m.x", Value::Null),
    ] {
        alerts::call_with(&stage, method, path, &bearer, &body).expect_error(403, "ScopeMissing");
        alerts::call_with(&stage, method, path, "", &body).expect_error(401, "Unauthorized");
        let status = alerts::call_with(&stage, method, path, &format!("Bearer {ALERT_KEY}"), &body).status;
        assert!(matches!(status, 200 | 404), "{method} {path}: {status}");
    }
}

fn client_of_cargo_dev_dead_can_list_show_replay_and_drop_dead_letters(world: &World) {
    let stage = sealing(world).start();
    let connector = AlertResponses::of(&stage, 400, "BadSyntax");
    let key = known(&stage, "a:1", "hello");
    let alerts = dead(&stage, &key, &["one", "two", "three"]);
    stage.queue.put("no envelope");
    assert_eq!(stage.poll()["poisoned"], 1);
    connector.accept();
    stage.connector.forget();
    let letters =
        DeadLetters::new(BackEnd::at_address(stage.url("").trim_end_matches('/'), ALERT_KEY).unwrap());
    let page = letters.page(&[("outcome", "permanent")]).unwrap();
    assert_eq!((page.messages, page.letters.len()), (4, 3));
    let id_of = |alert: &str| {
        let letter = page.letters.iter().find(|letter| letter["alert"] == alert).unwrap();
        letter["id"].as_str().unwrap().to_owned()
    };
    let ids: Vec<String> = alerts.iter().map(|alert| id_of(alert)).collect();
    assert_eq!(letters.find(&ids[0]).unwrap()["text"], "one");
    let third = Selection { ids: vec![ids[2].clone()], ..Selection::default() };
    assert_eq!(letters.drop(&third).unwrap().ids, [ids[2].clone()].into());
    let again = letters.drop(&third).unwrap();
    assert!(again.ids.is_empty() && again.refused[0].1.contains("dead letter"), "{again:?}");
    assert!(letters.find(&ids[2]).is_err());
    let by_ids = Selection { ids: vec![ids[0].clone(), ids[2].clone()], ..Selection::default() };
    let replayed = letters.replay(&by_ids).unwrap();
    assert_eq!((replayed.ids.len(), replayed.refused[0].0.as_str()), (1, ids[2].as_str()), "{replayed:?}");
    let all = letters.replay(&Selection::default()).unwrap();
    assert_eq!((all.ids.len(), all.refused.len(), all.is_unfinished), (1, 1, false), "{all:?}");
    assert_eq!(stage.poll()["delivered"], 2);
    assert_eq!(alerted(&stage), ["Alert: one", "Alert: two"]);
    let unreadable = Selection { outcome: Some("unreadable".into()), ..Selection::default() };
    assert_eq!(letters.drop(&unreadable).unwrap().ids.len(), 1);
    assert_eq!(list(&stage, "?text=true"), json!({"messages": 0, "dead": []}));
}
