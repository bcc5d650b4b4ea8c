//! Tests of API calls that drop or list dead letters (the messages of the poison queue), and of wrong calls.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::TimeDelta;
use http::Request;
use platform::Clock;
use platform::testing::run;
use serde_json::{Value, json};
use state::ledger::Status;
use state::runs::DeadLetterId;

use super::{Bot, POISON, whys};
use crate::alerts::handle;

#[test]
fn drop_killed_at_any_call_is_finished_by_the_next_drop() {
    for calls in 0..20 {
        let bot = Bot::new();
        let (kept, died) = (bot.die("kept", |_| ()), bot.die("dropped", |_| ()));
        let path = format!("/api/dead/{}", died.letter);
        bot.calls_left.set(calls);
        let (status, _) = bot.call("DELETE", &path, &Value::Null);
        let is_finished = bot.calls_left.get() > 0;
        bot.calls_left.set(usize::MAX);
        bot.pass(61);
        let (again, _) = bot.call("DELETE", &path, &Value::Null);
        assert!(matches!((status, again), (503, 204) | (204, 404)), "{calls}: {status}, {again}");
        assert_eq!((bot.poison().len(), bot.list("")["dead"][0]["id"].clone()), (1, json!(kept.letter)));
        assert_eq!(bot.status(&died.alert), Status::Dead);
        let ledger = bot.tables.borrow().entities("proactivebotledger").clone();
        let reason = &ledger.iter().find(|((_, row), _)| *row == died.alert.as_str()).unwrap().1["reason"];
        assert_eq!(reason, "dropped by alertkey; permanent: 400 BadSyntax", "{calls}");
        // The message `kept` is visible, so the replay finds `kept`.
        assert_eq!(bot.replay(&json!({"all": true})).1["replayed"], json!([kept.letter]), "{calls}");
        if is_finished {
            return;
        }
    }
    panic!("expected a drop that ends within 20 calls");
}

#[test]
fn message_without_an_envelope_or_a_seal_is_listed_and_dropped_but_not_replayed() {
    let bot = Bot::new();
    let died = bot.die("pizza", |_| ());
    let older =
        r#"{"address":{"channelId":"x","serviceUrl":"https://x/","conversation":{"id":"a"}},"text":"older"}"#;
    for text in ["no envelope <&>", older] {
        let now = bot.host.now();
        bot.queues.borrow_mut().put(POISON, text, now);
    }
    let plain = bot.list("");
    assert_eq!((&plain["messages"], plain["dead"].as_array().unwrap().len()), (&3.into(), 1));
    assert_eq!(plain["dead"][0].get("text"), None);
    let list = bot.list("?text=true");
    let texts: BTreeSet<_> =
        list["dead"].as_array().unwrap().iter().map(|dead| dead["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["no envelope <&>", "older", "pizza"].into());
    let foreign: Vec<_> = list["dead"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|dead| dead["replayable"] == false)
        .map(|dead| dead["id"].clone())
        .collect();
    assert_eq!(foreign.len(), 2, "{list}");
    let mut refused = bot.replay(&json!({"ids": foreign})).1;
    refused["refused"].as_array_mut().unwrap().sort_by_key(|refused| refused["why"].to_string());
    assert_eq!(whys(&refused), ["unreadable", "unsealed"]);
    let (_, response) = bot.replay(&json!({"all": true}));
    assert_eq!((&response["replayed"], whys(&response).len()), (&json!([died.letter]), 2));
    for id in &foreign {
        let path = format!("/api/dead/{}", id.as_str().unwrap());
        assert_eq!(bot.call("DELETE", &path, &Value::Null).0, 204);
        assert_eq!(bot.call("DELETE", &path, &Value::Null).0, 404);
    }
    assert_eq!(bot.list("?text=true"), json!({"messages": 0, "dead": []}));
}

/// Makes a bot with one dead letter, and adds `rows` rows to the table of dead letters. The added rows have
/// no message in the poison queue. Returns the bot, and the id of the dead letter.
fn bot_with_rows(rows: i64) -> (Bot, String) {
    let bot = Bot::new();
    let letter = bot.die("x", |_| ()).letter;
    let properties = bot.tables.borrow().entities("proactivebotruns").values().next().unwrap().clone();
    let now = bot.host.now();
    for number in 0..rows {
        let id = DeadLetterId::of(&format!("m{number}"), now - TimeDelta::seconds(number));
        let mut properties = properties.clone();
        properties.remove("op");
        properties.insert("outcome".into(), if number % 1000 == 7 { "rare" } else { "often" }.into());
        bot.tables.borrow_mut().store("proactivebotruns", "bot-queue.dead", id.as_str(), properties, now);
    }
    (bot, letter)
}

#[test]
fn list_of_a_hundred_thousand_rows_costs_few_calls_a_page() {
    let (bot, _) = bot_with_rows(100_000);
    let (mut seen, mut query) = (BTreeSet::new(), "?limit=100".to_owned());
    for _ in 0..4 {
        let before = bot.host.sent.borrow().len();
        let page = bot.list(&query);
        assert_eq!(bot.host.sent.borrow().len() - before, 2, "storage calls for one page");
        seen.extend(
            page["dead"].as_array().unwrap().iter().map(|dead| dead["id"].as_str().unwrap().to_owned()),
        );
        query = format!("?limit=100&after={}", page["next"].as_str().unwrap());
    }
    assert_eq!(seen.len(), 400);
    let before = bot.host.sent.borrow().len();
    assert_eq!(bot.list("?limit=2&outcome=rare")["dead"].as_array().unwrap().len(), 2);
    assert!(bot.host.sent.borrow().len() - before <= 5, "storage calls for one page");
}

#[test]
fn list_of_three_thousand_rows_costs_few_calls_and_shows_each_row_once() {
    let (bot, letter) = bot_with_rows(3000);
    let (mut seen, mut query) = (BTreeSet::new(), "?limit=100".to_owned());
    loop {
        let before = bot.host.sent.borrow().len();
        let page = bot.list(&query);
        assert_eq!(bot.host.sent.borrow().len() - before, 2, "storage calls for one page");
        seen.extend(
            page["dead"].as_array().unwrap().iter().map(|dead| dead["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=100&after={next}"),
            None => break,
        }
    }
    assert_eq!((seen.len(), seen.contains(&letter)), (3001, true));
    let (mut found, mut query) = (0, "?limit=2&outcome=rare".to_owned());
    loop {
        let before = bot.host.sent.borrow().len();
        let page = bot.list(&query);
        assert!(bot.host.sent.borrow().len() - before <= 5, "storage calls for one page");
        found += page["dead"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=2&outcome=rare&after={next}"),
            None => break,
        }
    }
    assert_eq!(found, 3);
}

#[test]
fn wrong_call_is_refused_and_changes_nothing() {
    let bot = Bot::new();
    let died = bot.die("pizza", |_| ());
    for (method, path, body, expected) in [
        ("POST", "/api/dead/replay", json!({}), (400, "BadArgument")),
        ("POST", "/api/dead/replay", json!({"ids": vec!["m.1"; 101]}), (422, "TooManyIds")),
        ("POST", "/api/dead/replay", json!([]), (400, "BadArgument")),
        ("POST", "/api/dead/drop", json!({}), (400, "BadArgument")),
        ("POST", "/api/dead/drop", json!({"ids": vec!["m.1"; 101]}), (422, "TooManyIds")),
        ("GET", "/api/dead/drop", Value::Null, (405, "MethodNotAllowed")),
        ("GET", "/api/dead?after=x", Value::Null, (400, "BadArgument")),
        ("GET", "/api/dead/replay", Value::Null, (405, "MethodNotAllowed")),
        ("DELETE", "/api/dead/x", Value::Null, (404, "DeadLetterNotFound")),
        ("DELETE", "/api/dead/98204528799999.x", Value::Null, (404, "DeadLetterNotFound")),
        ("DELETE", "/api/dead/m.x", Value::Null, (404, "DeadLetterNotFound")),
        ("GET", "/api/dead/x", Value::Null, (405, "MethodNotAllowed")),
    ] {
        let (status, response) = bot.call(method, path, &body);
        assert_eq!(
            (status, response["error"]["code"].as_str().unwrap()),
            expected,
            "{method} {path}: {response}"
        );
    }
    assert_eq!(bot.list("")["dead"][0]["id"], died.letter);
    bot.host.settings.borrow_mut().insert("alertkey".into(), String::new());
    let key = "ci:send+cancel+list:4344e8cb2e757661e80e17eb183a63ba2e58848f07a1f58f8f8be8764abd9f4c";
    bot.host.settings.borrow_mut().insert("alertkeys".into(), key.into());
    for (method, path) in [
        ("GET", "/api/dead"),
        ("POST", "/api/dead/replay"),
        ("POST", "/api/dead/drop"),
        ("DELETE", "/api/dead/x"),
    ] {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("authorization", "Bearer pbk_0123456789abcdef0123456789abcdef");
        let response = run(handle(&*bot.host, request.body(Bytes::new()).unwrap()))
            .unwrap()
            .into_reply(&*bot.host)
            .response;
        assert_eq!(response.status(), 403, "{method} {path}");
    }
}
