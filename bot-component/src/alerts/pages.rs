//! Tests of API calls that alert the many subscribers of a tag. A *tag* is a name to which conversations
//! subscribe. The bot splits the subscribers into *pages* of at most 100 conversations. If pages are left at
//! the end of an API call, the response has a member `next`. The caller sends the call again with this
//! `next`, and the bot continues at the next page.

mod lookups;
mod noted;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use bytes::Bytes;
use http::Request;
use platform::testing::{FakeHost, response, run};
use platform::{Clock, Deadline};
use serde_json::{Map, Value, json};
use state::{ConversationKey, Sign, Tag};
use storage_table::testing::FakeTables;

use super::handle;
use crate::settings::{BotSettings, CallerSettings};

const KEY: &str = "an-alert-key-for-tests";

/// An API key that is restricted to one tenant, and the entry of this key in the variable `alertkeys` (the
/// list of API keys).
const OF_FOREIGN: (&str, &str) = (
    "pbk_0123456789abcdef0123456789abcdef",
    "ci:send+tenant=foreign:4344e8cb2e757661e80e17eb183a63ba2e58848f07a1f58f8f8be8764abd9f4c",
);

/// A bot with subscribers. A test can make the queue and the table service refuse calls.
struct Bot {
    host: FakeHost,
    settings: BotSettings,
    service: Rc<RefCell<FakeTables>>,
    /// How many further messages the queue accepts.
    room: Rc<Cell<usize>>,
    /// How many further storage calls the table service accepts.
    patience: Rc<Cell<usize>>,
}

impl Bot {
    fn new() -> Self {
        Self::with(&[("authmode", "anonymous")])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        let host = FakeHost::with_settings([
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", "bot-queue"),
            ("kick", "off"),
            ("alertkey", KEY),
            ("alertkeys", OF_FOREIGN.1),
            ("microsoftappid", "app"),
            ("microsoftapppassword", "secret"),
            ("servicehosts", "http://127.0.0.1:9200"),
        ]);
        for (name, value) in variables {
            host.settings.borrow_mut().insert((*name).into(), (*value).into());
        }
        let settings = BotSettings::read(&host, CallerSettings::read(&host).unwrap()).unwrap();
        let (room, patience) = (Rc::new(Cell::new(usize::MAX)), Rc::new(Cell::new(usize::MAX)));
        let service = Rc::new(RefCell::new(FakeTables::default()));
        let now = host.now();
        let (puts, calls, tables) = (room.clone(), patience.clone(), service.clone());
        host.answers(move |request| {
            let spend = |left: &Cell<usize>| left.replace(left.get().saturating_sub(1)) > 0;
            if request.uri().port_u16() == Some(10_001) {
                return Some(Ok(response(if spend(&puts) { 201 } else { 403 }, "")));
            }
            let answer = tables.borrow_mut().response(request, now);
            Some(Ok(answer.filter(|_| spend(&calls)).unwrap_or_else(|| response(403, ""))))
        });
        Self { host, settings, service, room, patience }
    }

    fn conversations(&self) -> state::Conversations<'_, FakeHost> {
        self.settings.conversations(&self.host, Deadline::after(&self.host, Duration::from_secs(10)))
    }

    /// Stores a conversation that subscribes to these tags. Returns the conversation key.
    fn add(&self, reference: &ConversationReference, tags: &[&str]) -> String {
        let key = ConversationKey::of(reference);
        run(self.conversations().record_activity(reference, Sign::Message, None)).unwrap();
        for tag in tags {
            run(self.conversations().tag(&key, &Tag::parse(tag).unwrap())).unwrap();
        }
        key.as_str().to_owned()
    }

    /// Stores one conversation for each number. Each conversation subscribes to these tags. Returns the
    /// conversation keys.
    fn crowd(&self, numbers: std::ops::Range<usize>, tags: &[&str]) -> BTreeSet<String> {
        numbers.map(|number| self.add(&reference(&format!("c{number}"), "x"), tags)).collect()
    }

    /// Does the same as `crowd` for one tag, but writes the rows into the fake table service without storage
    /// calls. For a thousand conversations, `crowd` makes thousands of storage calls, which takes minutes.
    fn big_crowd(&self, numbers: std::ops::Range<usize>, tag: &str) -> BTreeSet<String> {
        const TABLE: &str = "proactivebotconversations";
        let first = self.add(&reference("template", "x"), &[]);
        let mut service = self.service.borrow_mut();
        let template = service.entities(TABLE)[&(format!("c{}", &first[..1]), first)].clone();
        let mut store = |partition: &str, row: &str, properties| {
            service.store(TABLE, partition, row, properties, self.host.now());
        };
        let plant = |number: usize| {
            let key = ConversationKey::of(&reference(&format!("c{number}"), "x")).as_str().to_owned();
            let mut properties = template.clone();
            properties.remove("op");
            let address = properties["address"].as_str().unwrap().replace("template", &format!("c{number}"));
            properties.insert("address".into(), address.into());
            let shard = format!("c{}", &key[..1]);
            store(&shard, &key, properties);
            store(&shard, &format!("{key}.t.{tag}"), Map::new());
            store(&format!("t..{tag}"), &key, Map::new());
            key
        };
        numbers.map(plant).collect()
    }

    fn alert(&self, body: &Value) -> (u16, Value) {
        self.alert_with(KEY, body)
    }

    fn alert_with(&self, key: &str, body: &Value) -> (u16, Value) {
        let request = Request::post("/api/alerts").header("authorization", format!("Bearer {key}"));
        let request = request.header("host", "localhost").header("content-type", "application/json");
        let answer = match run(handle(&self.host, request.body(Bytes::from(body.to_string())).unwrap())) {
            Ok(answered) => answered.into_reply(&self.host).response,
            Err(rejection) => rejection.log_and_respond(&self.host),
        };
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    #[track_caller]
    fn accepted(&self, body: &Value) -> Value {
        let (status, answer) = self.alert(body);
        assert_eq!(status, 202, "{answer}");
        answer
    }

    /// Makes the API call. As long as the response has a `next`, repeats the call with this `next`. Returns
    /// the alerts of all responses, and the number of API calls.
    #[track_caller]
    fn all(&self, body: &Value) -> (Vec<Value>, usize) {
        let (mut body, mut alerts) = (body.clone(), Vec::new());
        for calls in 1.. {
            let answer = self.accepted(&body);
            alerts.extend(answer["alerts"].as_array().unwrap().clone());
            match answer.get("next") {
                Some(next) => body["next"] = next.clone(),
                None => return (alerts, calls),
            }
        }
        unreachable!()
    }

    /// The number of GET requests to the table service so far.
    fn reads(&self) -> usize {
        let sent = self.host.sent.borrow();
        let is_read = |request: &&Request<Bytes>| {
            request.uri().port_u16() == Some(10_002) && request.method() == http::Method::GET
        };
        sent.iter().filter(is_read).count()
    }

    /// The number of requests to the queue service so far. Each of these requests is a Put Message.
    fn puts(&self) -> usize {
        self.host.sent.borrow().iter().filter(|request| request.uri().port_u16() == Some(10_001)).count()
    }
}

fn reference(id: &str, channel_id: &str) -> ConversationReference {
    in_tenant(id, channel_id, "t")
}

fn in_tenant(id: &str, channel_id: &str, tenant: &str) -> ConversationReference {
    let json = json!({
        "channelId": channel_id, "serviceUrl": "http://127.0.0.1:9200/", "user": {"id": id},
        "conversation": {"id": id, "tenantId": tenant}, "serviceUrlVerified": true,
    });
    ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
}

#[track_caller]
fn conversations(alerts: &[Value]) -> BTreeSet<String> {
    let keys: BTreeSet<String> =
        alerts.iter().map(|alert| alert["conversation"].as_str().unwrap().to_owned()).collect();
    assert_eq!(keys.len(), alerts.len(), "expected one alert for each conversation");
    keys
}

#[test]
fn tag_with_1100_subscribers_takes_two_calls() {
    let bot = Bot::new();
    let crowd = bot.big_crowd(0..1100, "crowd");
    let body = json!({"to": {"tag": "crowd"}, "text": "hello", "idempotencyKey": "k"});
    let first = bot.accepted(&body);
    assert_eq!((first["alerts"].as_array().unwrap().len(), bot.puts()), (1000, 1000), "alerts, Puts");
    let mut rest = body.clone();
    rest["next"] = first["next"].clone();
    let second = bot.accepted(&rest);
    assert_eq!(
        (second["alerts"].as_array().unwrap().len(), second.get("next"), bot.puts()),
        (100, None, 1100),
        "alerts, `next`, Puts"
    );
    let all = [first["alerts"].as_array().unwrap().clone(), second["alerts"].as_array().unwrap().clone()];
    assert_eq!(conversations(&all.concat()), crowd);
    // A repeated call gets the same alerts, although a hundred more conversations have subscribed in between.
    bot.big_crowd(1100..1200, "crowd");
    assert_eq!(bot.accepted(&body), first);
    assert_eq!(bot.accepted(&rest), second);
    rest["text"] = "other words".into();
    assert_eq!(bot.alert(&rest).0, 422);
}

#[test]
fn failed_page_has_the_same_conversations_when_repeated_after_new_subscriptions() {
    let bot = Bot::new();
    let crowd = bot.crowd(0..150, &["crowd"]);
    let body = json!({"to": {"tag": "crowd"}, "text": "hello", "idempotencyKey": "k"});
    // The queue refuses every Put of the first page.
    bot.room.set(0);
    let (status, answer) = bot.alert(&body);
    assert_eq!((status, answer["alerts"].as_array().unwrap().len()), (503, 100), "status, alerts");
    let failed = conversations(answer["alerts"].as_array().unwrap());
    bot.crowd(150..300, &["crowd"]);
    bot.room.set(usize::MAX);
    let again = bot.accepted(&body);
    let again = again["alerts"].as_array().unwrap();
    assert!(again.iter().all(|alert| alert["status"] == "queued"), "{again:?}");
    assert_eq!(conversations(&again[..100]), failed, "the first page is the same");
    let all = conversations(again);
    assert!(crowd.is_subset(&all), "expected an alert for everyone who subscribed before the first call");
    assert_eq!(bot.host.events("queue.put.failed").len() + again.len(), bot.puts());
}

#[test]
fn response_to_a_call_that_fails_on_a_later_page_has_next_and_the_alerts_so_far() {
    let bot = Bot::new();
    let crowd = bot.crowd(0..250, &["crowd"]);
    let body = json!({"to": {"tag": "crowd"}, "text": "hello"});
    // The queue refuses the second half of the second page. So the bot does not begin the third page.
    bot.room.set(150);
    let (status, answer) = bot.alert(&body);
    let alerts = answer["alerts"].as_array().unwrap();
    let failed = alerts.iter().filter(|alert| alert["status"] == "failed").count();
    assert_eq!((status, alerts.len(), failed), (503, 200, 50), "status, alerts, failed: {}", answer["error"]);
    bot.room.set(usize::MAX);
    let mut rest = body.clone();
    rest["next"] = answer["next"].clone();
    let rest = bot.accepted(&rest);
    assert_eq!(rest.get("next"), None);
    let all = [alerts.as_slice(), rest["alerts"].as_array().unwrap()].concat();
    assert_eq!(conversations(&all), crowd);
    // Now the table service fails after some storage calls. If the failure is on the first page, the bot
    // refuses the whole API call. If the failure is on a later page, the response lists the alerts of the
    // finished pages, and has `next`.
    let mut interrupted = 0;
    for calls in (0..60).step_by(3) {
        bot.patience.set(calls);
        let (status, answer) = bot.alert(&body);
        bot.patience.set(usize::MAX);
        if status == 503 {
            assert_eq!(answer["error"]["code"], "StateUnavailable", "{answer}");
            continue;
        }
        let mut alerts = answer["alerts"].as_array().unwrap().clone();
        if let Some(next) = answer.get("next") {
            interrupted += 1;
            let mut rest = body.clone();
            rest["next"] = next.clone();
            alerts.extend(bot.all(&rest).0);
        }
        assert_eq!(conversations(&alerts), crowd, "after {calls} calls");
    }
    assert!(interrupted > 0 && !bot.host.events("alerts.interrupted").is_empty());
}

#[test]
fn conversation_named_by_several_elements_is_alerted_once() {
    let bot = Bot::new();
    let (both, one) = (bot.crowd(0..130, &["a", "b"]), bot.crowd(130..260, &["b"]));
    let by_name = bot.add(&reference("named", "x"), &["a", "b"]);
    let mut unknown = reference("unknown", "x").to_json();
    unknown["bot"] = json!({"id": "b"});
    let to =
        json!([{"tag": "a"}, {"conversation": by_name}, {"tag": "b"}, {"tag": "a"}, {"address": unknown}]);
    let (alerts, calls) = bot.all(&json!({"to": to, "text": "hello"}));
    let mut expected: BTreeSet<_> = both.union(&one).cloned().collect();
    expected.insert(by_name);
    expected.insert(ConversationKey::of(&reference("unknown", "x")).as_str().to_owned());
    assert_eq!((conversations(&alerts), calls), (expected, 1), "alerts, calls");
}

#[test]
fn wrong_next_or_a_tag_without_subscribers_is_an_error_before_anything_is_queued() {
    let bot = Bot::new();
    bot.crowd(0..150, &["crowd"]);
    for (to, path) in [
        (json!([{"tag": "crowd"}, {"tag": "nobody"}]), "to[1]"),
        (json!([{"tag": "nobody"}, {"tag": "crowd"}]), "to[0]"),
        (json!({"tag": "nobody"}), "to"),
    ] {
        let (status, answer) = bot.alert(&json!({"to": to, "text": "hello"}));
        let message = answer["error"]["message"].as_str().unwrap();
        let expected = format!("{path}: the bot knows no conversation for this target; ");
        assert!(status == 404 && message.starts_with(&expected), "{status} {message}");
    }
    assert_eq!(bot.puts(), 0);
    for next in ["", "0", "x", "1.", "-1.", "+0.", "0.x", "00000.", &format!("2.{}", "0".repeat(32))] {
        let (status, answer) = bot.alert(&json!({"to": {"tag": "crowd"}, "text": "hello", "next": next}));
        assert_eq!((status, &answer["error"]["code"]), (400, &"BadArgument".into()), "{next}");
        assert!(answer["error"]["message"].as_str().unwrap().starts_with("next: "), "{answer}");
    }
    assert_eq!(bot.puts(), 0);
}

#[test]
fn alert_that_is_too_large_for_a_subscriber_reaches_the_remaining_subscribers() {
    let bot = Bot::new();
    let others = bot.crowd(0..3, &["crowd"]);
    let long = bot.add(&reference(&"x".repeat(5000), "x"), &["crowd"]);
    let body = |length: usize| json!({"to": {"tag": "crowd"}, "text": "x".repeat(length)});
    let alerts = bot.accepted(&body(44_000))["alerts"].as_array().unwrap().clone();
    for alert in &alerts {
        let expected = if alert["conversation"] == long.as_str() { "tooLarge" } else { "queued" };
        assert_eq!(alert["status"], expected);
    }
    assert_eq!((alerts.len(), bot.puts()), (4, others.len()), "alerts, Puts");
    assert_eq!(bot.alert(&body(49_000)).0, 413, "the alert is too large for every subscriber");
    let named = json!({"to": {"conversation": long}, "text": "x".repeat(44_000)});
    assert_eq!(bot.alert(&named).0, 413);
}

#[test]
fn alert_to_a_tag_reaches_only_the_named_tenant() {
    let single = [("microsoftapptenantid", "own"), ("tenants", "any")];
    let multi = [("microsoftapptype", "MultiTenant"), ("tenants", "")];
    for (variables, is_single) in [(single, true), (multi, false)] {
        let bot = Bot::with(&[&[("authmode", "required")][..], &variables].concat());
        let own = bot.add(&in_tenant("1", "msteams", "OWN"), &["x"]);
        let foreign = bot.add(&in_tenant("2", "msteams", "foreign"), &["x"]);
        // On Web Chat, the client chooses the tenant, and Web Chat does not verify the tenant. So this
        // conversation counts as a conversation without a tenant (`none`).
        let visitor = bot.add(&in_tenant("3", "webchat", "foreign"), &["x"]);
        let alert = |to: Value| {
            let (status, answer) = bot.alert(&json!({"to": to, "text": "hello"}));
            match status {
                202 => Ok(conversations(answer["alerts"].as_array().unwrap())),
                _ => Err((status, answer["error"]["message"].as_str().unwrap().to_owned())),
            }
        };
        let set = |keys: &[&String]| Ok(keys.iter().map(|key| (*key).clone()).collect());
        assert_eq!(alert(json!({"tag": "x", "tenant": "own"})), set(&[&own]));
        assert_eq!(alert(json!({"tag": "x", "tenant": "Foreign"})), set(&[&foreign]));
        assert_eq!(alert(json!({"tag": "x", "tenant": "none"})), set(&[&visitor]));
        let both = json!([{"tag": "x", "tenant": "own"}, {"tag": "x", "tenant": "foreign"}]);
        assert_eq!(alert(both), set(&[&own, &foreign]));
        let unnamed = alert(json!({"tag": "x"}));
        if is_single {
            assert_eq!(unnamed, set(&[&own, &visitor]));
        } else {
            let (status, message) = unnamed.expect_err("a bot for many tenants needs a named tenant");
            assert!(status == 400 && message.starts_with("to.tenant: "), "{message}");
        }
        let nobody = alert(json!({"tag": "x", "tenant": "nobody"})).expect_err("nobody");
        assert_eq!(nobody.0, 404);
        // An API key with `tenant=foreign` reaches only the subscribers in the tenant `foreign`.
        let of_foreign = |to: Value| {
            let (status, answer) = bot.alert_with(OF_FOREIGN.0, &json!({"to": to, "text": "hello"}));
            (status, answer["alerts"].as_array().map(|alerts| conversations(alerts)))
        };
        let expected = (202, Some(BTreeSet::from([foreign.clone()])));
        assert_eq!(of_foreign(json!({"tag": "x"})), expected);
        assert_eq!(of_foreign(json!({"tag": "x", "tenant": "FOREIGN"})), expected);
        for other in ["own", "none"] {
            assert_eq!(of_foreign(json!({"tag": "x", "tenant": other})).0, 403, "{other}");
        }
    }
}
