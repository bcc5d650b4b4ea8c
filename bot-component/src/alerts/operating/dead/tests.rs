//! Tests of the routes for dead letters (the messages of the poison queue), with fakes of the queue service
//! and the table service. Some tests kill the bot after 0, 1, 2 or more outbound calls.

mod copies;
mod drop_and_list;
mod drop_many;
mod queues;
mod records;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use bytes::Bytes;
use chrono::TimeDelta;
use envelope::{Arrival, Envelope, EnvelopeId, Failure, SealState};
use http::Request;
use platform::testing::{FakeHost, response, run};
use platform::{Clock, Deadline, TransportError};
use serde_json::{Value, json};
use state::ledger::{AlertId, CallId, Ledger, NewAlert, Origin, Period, RecordKey, Status, Transition};
use state::runs::{DeadLetter, DeadLetterId, DeadLetters, digest_of};
use state::{ConversationKey, Sign, StateError};
use storage_table::testing::FakeTables;

use crate::alerts::handle;
use crate::rejection::AlertRejection;
use crate::settings::{BotSettings, CallerSettings};
use queues::FakeQueues;

const KEY: &str = "an-alert-key-for-tests";
const QUEUE: &str = "bot-queue";
const POISON: &str = "bot-queue-poison";

/// A bot that seals its messages (adds an HMAC to each), with fakes of the queue service and the table
/// service.
struct Bot {
    host: Rc<FakeHost>,
    settings: BotSettings,
    queues: Rc<RefCell<FakeQueues>>,
    tables: Rc<RefCell<FakeTables>>,
    /// How many further outbound calls reach the fakes. Later calls fail, as if the bot were killed.
    calls_left: Rc<Cell<usize>>,
    /// How many further storage calls the table service carries out. The response to each later call is 503.
    table_calls_left: Rc<Cell<usize>>,
    /// The texts of the alerts that people have got, in the order of delivery.
    shown: RefCell<Vec<String>>,
}

impl Bot {
    fn new() -> Self {
        let host = Rc::new(FakeHost::with_settings([
            ("authmode", "anonymous"),
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", QUEUE),
            ("kick", "off"),
            ("alertkey", KEY),
            ("sealkey", "a seal key for tests"),
        ]));
        let settings = BotSettings::read(&*host, CallerSettings::read(&*host).unwrap()).unwrap();
        let (queues, tables) =
            (Rc::new(RefCell::new(FakeQueues::default())), Rc::new(RefCell::new(FakeTables::default())));
        let (calls_left, table_calls_left) = (Rc::new(Cell::new(usize::MAX)), Rc::new(Cell::new(usize::MAX)));
        let (clock, queue, table) = (Rc::downgrade(&host), queues.clone(), tables.clone());
        let (left, table_left) = (calls_left.clone(), table_calls_left.clone());
        host.answers(move |request| {
            let spend = |left: &Cell<usize>| left.replace(left.get().saturating_sub(1)) > 0;
            let now = clock.upgrade().map(|host| host.now()).unwrap_or_default();
            if !spend(&left) {
                return Some(Err(TransportError::Denied));
            }
            if request.uri().port_u16() == Some(10_001) {
                return Some(Ok(queue.borrow_mut().response(request, now)));
            }
            if !spend(&table_left) {
                return Some(Ok(response(503, "")));
            }
            table.borrow_mut().response(request, now).map(Ok)
        });
        Self { host, settings, queues, tables, calls_left, table_calls_left, shown: RefCell::default() }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(&*self.host, Duration::from_secs(10))
    }

    fn ledger(&self) -> Ledger<'_, FakeHost> {
        Ledger::new(&*self.host, &self.settings.queue.account, &self.settings.tables, self.deadline())
    }

    fn dead(&self) -> DeadLetters<'_, FakeHost> {
        DeadLetters::new(
            &*self.host,
            &self.settings.queue.account,
            &self.settings.tables,
            QUEUE,
            self.deadline(),
        )
    }

    fn pass(&self, seconds: u64) {
        self.host.elapsed.set(self.host.elapsed.get() + Duration::from_secs(seconds));
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request =
            Request::builder().method(method).uri(path).header("authorization", format!("Bearer {KEY}"));
        let request = request.header("host", "localhost").header("content-type", "application/json");
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let response = match run(handle(&*self.host, request.body(body).unwrap())) {
            Ok(answered) => answered.into_reply(&*self.host).response,
            Err(rejection) => rejection.log_and_respond(&*self.host),
        };
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
    }

    fn replay(&self, body: &Value) -> (u16, Value) {
        self.call("POST", "/api/dead/replay", body)
    }

    fn list(&self, query: &str) -> Value {
        let (status, response) = self.call("GET", &format!("/api/dead{query}"), &Value::Null);
        assert_eq!(status, 200, "{response}");
        response
    }

    /// Makes an alert with this text, and writes its envelope (the alert as JSON). `change` changes the
    /// envelope. Then puts the envelope on the poison queue, and records the failure in the tables, as the
    /// poller does.
    fn die(&self, text: &str, change: impl FnOnce(&mut Envelope)) -> Died {
        let now = self.host.now();
        let mut random = [0; 16];
        platform::Randomness::fill(&*self.host, &mut random);
        let id = CallId::random(Period::of(now), random).alert(0);
        let mut envelope = Envelope::new(EnvelopeId::from_text(id.as_str()), address(), text, now);
        (envelope.cancellable, envelope.stoppable) = (true, true);
        envelope.delivery.tries = 5;
        change(&mut envelope);
        let origin = Origin { sender: Some("ci".into()), tag: Some("orders".into()) };
        let alert = NewAlert {
            tag: origin.tag.clone(),
            key: origin.sender.clone(),
            ..NewAlert::queued(id.clone(), ConversationKey::of(&address()).as_str())
        };
        run(self.ledger().accept(&alert)).unwrap();
        let message = format!("799a2c63-e5ea-4d21-a5b9-{}", &id.as_str()[20..]);
        let letter = DeadLetterId::of(&message, now);
        let failure = Failure {
            id: letter.as_str().to_owned(),
            outcome: "permanent",
            reason: "400 BadSyntax".into(),
            status: Some(400),
            at: now,
            attempts: 1,
        };
        let text = envelope.encode_failed(self.settings.seal_key.as_ref(), &failure).unwrap();
        let row = DeadLetter {
            id: letter.clone(),
            alert: id.as_str().to_owned(),
            conversation: alert.conversation,
            outcome: "permanent".into(),
            reason: failure.reason,
            status: Some(400),
            died_at: now,
            enqueued_at: envelope.enqueued_at,
            expires_at: envelope.expires,
            attempts: 1,
            is_genuine: true,
            digest: digest_of(&text),
            origin,
        };
        run(self.dead().record(&row)).unwrap();
        self.queues.borrow_mut().put(POISON, &text, now);
        let record = RecordKey::of_message(id.as_str(), true, now);
        let transition = Transition {
            reason: Some("permanent: 400 BadSyntax".into()),
            message: Some(message),
            ..Transition::to(record, Status::Dead)
        };
        run(self.ledger().record(&transition)).unwrap();
        Died { alert: id, letter: letter.as_str().to_owned() }
    }

    /// Delivers the messages on the queue, as a run (one execution of the poller) does. Each message has the
    /// mark `once`: the queue can hold several messages of the same alert, and people must get the alert only
    /// once. So the function reads the alert's record in the ledger (the table with one record for each
    /// alert), and sends only an alert without a final status.
    fn deliver(&self) {
        let messages = self.queues.borrow_mut().queues.remove(QUEUE).unwrap_or_default();
        for message in messages {
            let arrival = Arrival { id: EnvelopeId::from_text("x"), at: message.inserted_at };
            let (envelope, seal) =
                Envelope::decode(&message.text, self.settings.seal_key.as_ref(), arrival).unwrap();
            assert_eq!((seal, envelope.once), (SealState::Valid, true), "{envelope:?}");
            assert_eq!(envelope.delivery.tries, 0, "the tries of a replayed message are counted from zero");
            assert!(!envelope.rest.contains_key("failure"), "{envelope:?}");
            assert_eq!(envelope.rest["replayed"], "permanent");
            let key = RecordKey::of_message(envelope.id.as_str(), true, message.inserted_at);
            let record = run(self.ledger().read(&key)).unwrap().unwrap();
            assert_eq!(
                record.message, None,
                "the record must not keep the id of the dead message, because the replayed message has another id"
            );
            if !record.status.is_final() {
                self.shown.borrow_mut().push(envelope.text);
                run(self.ledger().record(&Transition::to(key, Status::Delivered))).unwrap();
            }
        }
    }

    fn status(&self, alert: &AlertId) -> Status {
        run(self.ledger().find(alert)).unwrap().unwrap().shown_status()
    }

    fn poison(&self) -> Vec<String> {
        self.queues.borrow().texts(POISON)
    }
}

/// An alert in the poison queue: the id of the alert, and the id of the dead letter.
struct Died {
    alert: AlertId,
    letter: String,
}

fn address() -> ConversationReference {
    in_conversation("a:1")
}

fn in_conversation(id: &str) -> ConversationReference {
    let json = json!({
        "channelId": "msteams", "serviceUrl": "http://127.0.0.1:9200/", "conversation": {"id": id},
    });
    ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
}

fn whys(response: &Value) -> Vec<&str> {
    response["refused"].as_array().unwrap().iter().map(|refused| refused["why"].as_str().unwrap()).collect()
}

#[test]
fn replay_delivers_once_and_a_second_replay_is_refused() {
    let bot = Bot::new();
    let died = bot.die("pizza", |_| ());
    let body = json!({"ids": [died.letter]});
    let (status, response) = bot.replay(&body);
    assert_eq!(status, 200);
    assert_eq!(response, json!({"replayed": [died.letter], "refused": [], "more": false}));
    assert_eq!(bot.status(&died.alert), Status::Queued);
    assert_eq!(whys(&bot.replay(&body).1), ["unknown"]);
    bot.deliver();
    assert_eq!(whys(&bot.replay(&body).1), ["unknown"]);
    assert_eq!(bot.shown.borrow().as_slice(), ["pizza"]);
    assert_eq!(bot.list("?text=true"), json!({"messages": 0, "dead": []}));
    let line = &bot.host.events("dead.replayed")[0];
    assert_eq!((&line["key"], &line["alerts"][0]), (&"alertkey".into(), &died.alert.as_str().into()));
    assert!(line["request"].is_string(), "{line}");
}

/// The messages of the errors of a call, if the call fails after 0, 1, 2 or more outbound calls.
/// `attempt` makes the call with this many calls left.
fn errors_of(attempt: impl Fn(usize) -> (u16, Value)) -> BTreeSet<String> {
    let mut errors = BTreeSet::new();
    for calls in 0.. {
        let (status, response) = attempt(calls);
        match response["error"]["message"].as_str() {
            Some(error) => _ = errors.insert(error.to_owned()),
            None => {
                assert!(status < 300, "{response}");
                break;
            }
        }
    }
    errors
}

#[test]
fn error_of_a_replay_names_the_queue_if_the_put_fails_and_the_poison_queue_if_it_cannot_be_read() {
    let errors = errors_of(|calls| {
        let bot = Bot::new();
        let died = bot.die("pizza", |_| ());
        bot.calls_left.set(calls);
        let result = bot.replay(&json!({"ids": [died.letter]}));
        bot.calls_left.set(usize::MAX);
        result
    });
    let [queue, poison] = [AlertRejection::ReplayNotQueued, AlertRejection::PoisonNotReached];
    assert!(errors.contains(&queue.to_string()) && errors.contains(&poison.to_string()), "{errors:?}");
}

/// This test of `PATCH /api/alerts/{id}` is in this module, because only the fakes of this module limit the
/// table calls.
#[test]
fn error_of_a_queued_change_says_that_the_change_is_queued() {
    let queued = AlertRejection::ChangedNotCancelled(StateError::NotStored).to_string();
    let errors = errors_of(|calls| {
        let bot = Bot::new();
        let conversations = bot.settings.conversations(&*bot.host, bot.deadline());
        run(conversations.record_activity(&address(), Sign::Message, None)).unwrap();
        let key = ConversationKey::of(&address());
        let body = json!({"to": {"conversation": key.as_str()}, "text": "one"});
        let (status, response) = bot.call("POST", "/api/alerts", &body);
        assert_eq!(status, 202, "{response}");
        let path = format!("/api/alerts/{}", response["alerts"][0]["id"].as_str().unwrap());
        bot.table_calls_left.set(calls);
        let (status, response) = bot.call("PATCH", &path, &json!({"text": "two"}));
        let is_queued = bot.queues.borrow().texts(QUEUE).len() == 2;
        let says_queued = response["error"]["message"] == queued.as_str();
        assert_eq!(says_queued, is_queued && status >= 300, "{response}");
        (status, response)
    });
    assert!(errors.contains(&queued), "{errors:?}");
}

/// Kills the bot after 0, 1, 2 or more outbound calls of a replay, and then replays again. If
/// `is_delivered_between` is true, the test delivers the messages on the queue between the two replays.
#[test]
fn replay_killed_at_any_call_is_finished_by_the_next_replay_and_delivers_once() {
    for (is_delivered_between, body_of) in [
        (true, (|died: &Died| json!({"ids": [died.letter]})) as fn(&Died) -> Value),
        (false, |died| json!({"ids": [died.letter]})),
        (true, |_| json!({"all": true})),
        (false, |_| json!({"outcome": "permanent"})),
    ] {
        let mut is_finished = false;
        for calls in 0..20 {
            let bot = Bot::new();
            let died = bot.die("pizza", |_| ());
            bot.calls_left.set(calls);
            let (status, response) = bot.replay(&body_of(&died));
            is_finished = status == 200 && response["more"] == false && bot.calls_left.get() > 0;
            bot.calls_left.set(usize::MAX);
            if is_delivered_between {
                bot.deliver();
            }
            bot.pass(61);
            let (status, again) = bot.replay(&body_of(&died));
            assert_eq!((status, &again["more"]), (200, &false.into()), "{calls}: {response}, {again}");
            bot.deliver();
            bot.pass(61);
            // The bot refuses the third replay. If the message's row in the table of dead letters still
            // exists, `why` is `missing`. If the bot has deleted the row too, `why` is `unknown`.
            let (_, last) = bot.replay(&json!({"ids": [died.letter]}));
            assert!(matches!(whys(&last).as_slice(), ["unknown" | "missing"]), "{calls}: {last}");
            bot.deliver();
            assert_eq!(bot.shown.borrow().as_slice(), ["pizza"], "{calls}: {response}, {again}");
            assert_eq!(bot.status(&died.alert), Status::Delivered, "{calls}");
            assert_eq!((bot.poison(), bot.list("")["dead"].clone()), (vec![], json!([])), "{calls}");
            if is_finished {
                break;
            }
        }
        assert!(is_finished, "expected a replay that ends within 20 calls");
    }
}

#[test]
fn replay_of_an_expired_tampered_or_ended_alert_is_refused_with_the_reason() {
    let bot = Bot::new();
    let expires = bot.host.now() + TimeDelta::seconds(60);
    let expired = bot.die("too late", |envelope| envelope.expires = Some(expires));
    let delivered = bot.die("delivered", |_| ());
    let changed = bot.die("pay me", |_| ());
    let cancelled = bot.die("cancelled", |_| ());
    let at = |alert: &AlertId| RecordKey::of_message(alert.as_str(), true, bot.host.now());
    run(bot.ledger().record(&Transition::to(at(&delivered.alert), Status::Delivered))).unwrap();
    run(bot.ledger().record(&Transition::to(at(&cancelled.alert), Status::Cancelled))).unwrap();
    for message in bot.queues.borrow_mut().queues.get_mut(POISON).unwrap() {
        let json = envelope::json_of(&message.text).unwrap().replace("pay me", "pay him");
        message.text = json;
    }
    bot.pass(60);
    let ids: Vec<_> = [&expired, &delivered, &changed, &cancelled].map(|died| died.letter.clone()).into();
    let (status, response) = bot.replay(&json!({"ids": ids}));
    let of = |id: &str| {
        let refused = response["refused"].as_array().unwrap().iter().find(|refused| refused["id"] == id);
        refused.map(|refused| refused["why"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert_eq!((status, &response["replayed"]), (200, &json!([])), "{response}");
    let whys: Vec<_> = ids.iter().map(|id| of(id)).collect();
    assert_eq!(whys, ["expired", "delivered", "tampered", "cancelled"]);
    bot.deliver();
    assert!(bot.shown.borrow().is_empty());
    // The bot has deleted the messages of the delivered alert and of the cancelled alert. The expired message
    // and the tampered message stay, and are visible.
    assert_eq!(bot.poison().len(), 2);
    let left: BTreeSet<_> = bot.list("?text=true")["dead"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dead| dead["id"].to_string())
        .collect();
    assert!(left.contains(&json!(expired.letter).to_string()), "{left:?}");
    let (_, again) = bot.replay(&json!({"all": true}));
    assert_eq!(again["refused"].as_array().unwrap().len(), 2, "{again}");
}

#[test]
fn replay_of_many_keeps_the_order_of_a_conversation() {
    let bot = Bot::new();
    let texts: Vec<String> = (0..40).map(|number| format!("{number}")).collect();
    for text in &texts {
        bot.die(text, |_| ());
        bot.pass(1);
    }
    // Reverses the order of the poison queue: the newest message comes first. Other API calls can cause such
    // an order, because they hide messages for a time.
    let begin = bot.host.now() - TimeDelta::seconds(1000);
    for (index, message) in
        (0..).zip(bot.queues.borrow_mut().queues.get_mut(POISON).unwrap().iter_mut().rev())
    {
        message.visible_at = begin + TimeDelta::seconds(index);
    }
    let (_, response) = bot.replay(&json!({"outcome": "permanent"}));
    assert_eq!((response["replayed"].as_array().unwrap().len(), &response["more"]), (40, &false.into()));
    bot.deliver();
    assert_eq!(*bot.shown.borrow(), texts);
}

#[test]
fn replay_selects_by_outcome_and_time() {
    let bot = Bot::new();
    let times: Vec<String> = (0..3)
        .map(|number| {
            bot.die(&number.to_string(), |_| ());
            bot.pass(10);
            bot.host.now().to_rfc3339()
        })
        .collect();
    let (_, response) = bot.replay(&json!({"outcome": "destinationGone"}));
    assert_eq!(response, json!({"replayed": [], "refused": [], "more": false}));
    let (_, response) = bot.replay(&json!({"outcome": "permanent", "since": times[0], "until": times[1]}));
    assert_eq!(response["replayed"].as_array().unwrap().len(), 1, "{response}");
    bot.deliver();
    assert_eq!(bot.shown.borrow().as_slice(), ["1"]);
    assert_eq!(bot.poison().len(), 2);
    let (_, response) = bot.replay(&json!({"all": true}));
    assert_eq!(
        response["replayed"].as_array().unwrap().len(),
        2,
        "expected the two messages that the first calls left visible: {response}"
    );
}

#[test]
fn replay_while_the_tables_fail_loses_nothing_and_can_be_repeated() {
    for calls in 0..60 {
        let bot = Bot::new();
        let alerts: Vec<_> = (0..3).map(|number| bot.die(&number.to_string(), |_| ()).alert).collect();
        bot.table_calls_left.set(calls);
        let (status, response) = bot.replay(&json!({"all": true}));
        assert!(status == 503 || status == 200, "{status} {response}");
        let is_finished = bot.table_calls_left.get() > 0;
        assert!(
            is_finished || status == 503 || response["more"] == true || bot.poison().is_empty(),
            "{response}"
        );
        bot.table_calls_left.set(usize::MAX);
        bot.deliver();
        bot.pass(31);
        let (status, again) = bot.replay(&json!({"all": true}));
        assert_eq!((status, &again["more"]), (200, &false.into()), "{again}");
        bot.deliver();
        let mut shown = bot.shown.borrow().clone();
        shown.sort();
        assert_eq!(shown, ["0", "1", "2"], "{calls}: {response}, {again}");
        assert!(alerts.iter().all(|alert| bot.status(alert) == Status::Delivered), "{calls}");
        assert_eq!(bot.poison(), Vec::<String>::new(), "{calls}");
        if is_finished {
            return;
        }
    }
    panic!("expected a replay that ends within 60 calls to the table service");
}

#[test]
fn replay_of_a_message_that_another_call_has_hidden_is_refused_until_the_message_is_visible() {
    let bot = Bot::new();
    let died = bot.die("pizza", |_| ());
    let now = bot.host.now();
    bot.queues.borrow_mut().queues.get_mut(POISON).unwrap()[0].visible_at = now + TimeDelta::seconds(200);
    bot.pass(100);
    let body = json!({"ids": [died.letter]});
    assert_eq!(whys(&bot.replay(&body).1), ["hidden"]);
    let path = format!("/api/dead/{}", died.letter);
    assert_eq!(bot.call("DELETE", &path, &Value::Null), (202, json!({"more": true})));
    bot.pass(100);
    assert_eq!(bot.replay(&body).1["replayed"], json!([died.letter]));
}

#[test]
fn row_without_a_message_is_removed_after_a_minute() {
    let bot = Bot::new();
    let died = bot.die("pizza", |_| ());
    let row = bot.list("")["dead"].clone();
    bot.queues.borrow_mut().queues.remove(POISON);
    let body = json!({"ids": [died.letter]});
    // A run can write the row up to a minute before it puts the message on the poison queue. So in the first
    // minute, the bot assumes that the message still follows.
    assert_eq!(whys(&bot.replay(&body).1), ["hidden"]);
    assert_eq!(bot.list("")["dead"], row);
    bot.pass(61);
    assert_eq!(whys(&bot.replay(&body).1), ["missing"]);
    assert_eq!(bot.list("")["dead"], json!([]));
}
