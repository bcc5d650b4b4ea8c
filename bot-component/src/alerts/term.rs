//! Tests of the term of an idempotency key, with a clock that the test moves. During the term (24 hours), a
//! repeated call with the same idempotency key makes no second alert.

use std::cell::RefCell;
use std::time::Duration;

use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use bytes::Bytes;
use http::Request;
use platform::testing::{FakeHost, response, run};
use platform::{Clock, Deadline};
use serde_json::{Value, json};
use state::ledger::{Ledger, Period, RecordKey, Status, Transition};
use state::{ConversationKey, Sign};
use storage_table::testing::FakeTables;

use super::handle;
use crate::settings::{BotSettings, CallerSettings};

const KEY: &str = "an-alert-key-for-tests";
const HOUR: Duration = Duration::from_secs(60 * 60);

struct Bot {
    host: FakeHost,
    settings: BotSettings,
}

impl Bot {
    /// A bot that knows one conversation. `at` is the time since the start of the fake host's clock.
    fn new(at: Duration) -> Self {
        let host = FakeHost::with_settings([
            ("authmode", "anonymous"),
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", "bot-queue"),
            ("kick", "off"),
            ("alertkey", KEY),
        ]);
        let settings = BotSettings::read(&host, CallerSettings::read(&host).unwrap()).unwrap();
        let service = RefCell::new(FakeTables::default());
        let now = host.now();
        host.answers(move |request| {
            let answer = service.borrow_mut().response(request, now);
            Some(Ok(answer.unwrap_or_else(|| response(201, ""))))
        });
        host.elapsed.set(at);
        let bot = Self { host, settings };
        let conversations = bot.settings.conversations(&bot.host, bot.deadline());
        run(conversations.record_activity(&reference(), Sign::Message, None)).unwrap();
        bot
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(&self.host, Duration::from_secs(10))
    }

    fn pass(&self, time: Duration) {
        self.host.elapsed.set(self.host.elapsed.get() + time);
    }

    fn period(&self) -> Period {
        Period::of(self.host.now())
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {KEY}"))
            .header("host", "localhost");
        let request = request.header("content-type", "application/json");
        let request = request.body(Bytes::from(body.to_string())).unwrap();
        let answer = run(handle(&self.host, request)).unwrap().into_reply(&self.host).response;
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    fn alert(&self, text: &str) -> (u16, Value) {
        let key = ConversationKey::of(&reference());
        let body = json!({"to": {"conversation": key.as_str()}, "text": text, "idempotencyKey": "order 42"});
        self.call("POST", "/api/alerts", &body)
    }

    /// Posts an alert with this text, and expects that the bot accepts the call. Returns the id and the
    /// status of the alert.
    #[track_caller]
    fn accepted(&self, text: &str) -> (String, String) {
        let (status, body) = self.alert(text);
        assert_eq!(status, 202, "{body}");
        let alert = &body["alerts"][0];
        (alert["id"].as_str().unwrap().to_owned(), alert["status"].as_str().unwrap().to_owned())
    }

    fn cancel(&self, id: &str) -> (u16, Value) {
        self.call("DELETE", &format!("/api/alerts/{id}"), &Value::Null)
    }

    /// Records that an alert was delivered, as the poller does.
    fn deliver(&self, id: &str) {
        let (account, tables) = (&self.settings.queue.account, &self.settings.tables);
        let ledger = Ledger::new(&self.host, account, tables, self.deadline());
        let key = RecordKey::of_message(id, true, self.host.now());
        run(ledger.record(&Transition::to(key, Status::Delivered))).unwrap();
    }

    /// The messages that the bot has put on the queue: the id of the alert, and whether the message has the
    /// mark `once`. The mark tells the poller to deliver the alert only once, even if the queue holds the
    /// message twice.
    fn put(&self) -> Vec<(String, bool)> {
        let sent = self.host.sent.borrow();
        let is_put = |request: &&Request<Bytes>| {
            request.uri().port_u16() == Some(10_001) && request.method() == http::Method::POST
        };
        let to_queue = sent.iter().filter(is_put);
        let message = |request: &Request<Bytes>| {
            let xml = str::from_utf8(request.body()).unwrap();
            let text = xml.split_once("<MessageText>").unwrap().1.split_once("</MessageText>").unwrap().0;
            let json: Value = serde_json::from_str(&envelope::json_of(text).unwrap()).unwrap();
            (json["id"].as_str().unwrap().to_owned(), json["once"] == true)
        };
        to_queue.map(message).collect()
    }
}

fn reference() -> ConversationReference {
    let json = br#"{"channelId":"x","serviceUrl":"http://127.0.0.1:9200/","user":{"id":"u"},"conversation":{"id":"c"}}"#;
    ConversationReference::from_fields(Fields::parse(json).unwrap()).unwrap()
}

/// Three moments at which a test can make its first call, each counted from the start of the fake host's
/// clock. The `bool` is true if the term of the call's idempotency key (24 hours) ends in the next period of
/// the ledger.
///
/// A period of the ledger lasts eight days. At the first of the three moments, the current period goes on for
/// three more days. At the other two moments, the period ends within 24 hours.
fn moments() -> [(Duration, bool); 3] {
    // The clock of the fake host begins on the fifth day of a period, at 22:00. So 74 hours later the next
    // period begins.
    [(HOUR, false), (51 * HOUR, true), (73 * HOUR, true)]
}

#[test]
fn repeated_call_gets_the_first_alert_within_the_term_and_a_new_alert_later() {
    for (at, crosses) in moments() {
        let bot = Bot::new(at);
        let (first, begin) = (bot.accepted("x"), bot.period());
        assert_eq!(first.1, "queued");
        bot.deliver(&first.0);
        bot.pass(24 * HOUR - Duration::from_secs(1));
        assert_eq!(bot.period() != begin, crosses, "{at:?}");
        assert_eq!(bot.accepted("x"), first, "{at:?}: within the term");
        assert_eq!(bot.put(), [(first.0.clone(), true)], "{at:?}: nothing is put on the queue again");

        bot.pass(Duration::from_secs(1));
        let second = bot.accepted("x");
        assert_ne!(second.0, first.0, "{at:?}: after the term");
        assert_eq!(second.1, "queued");
        assert_eq!(bot.put()[1..], [(second.0.clone(), true)], "{at:?}");
        // The second alert begins a new term of the idempotency key.
        bot.deliver(&second.0);
        bot.pass(23 * HOUR);
        assert_eq!(bot.accepted("x"), second, "{at:?}");
        assert_eq!(bot.put().len(), 2, "{at:?}");
    }
}

#[test]
fn call_with_the_same_idempotency_key_every_day_makes_an_alert_every_day() {
    let bot = Bot::new(Duration::ZERO);
    let mut ids = std::collections::BTreeSet::new();
    for day in 0..20 {
        let (id, status) = bot.accepted(&format!("day {day}"));
        assert_eq!((ids.insert(id.clone()), status.as_str()), (true, "queued"), "day {day}");
        bot.deliver(&id);
        bot.pass(24 * HOUR);
    }
    assert_eq!(bot.put().len(), 20);
}

#[test]
fn repeated_call_within_the_term_reports_the_cancelled_alert() {
    for (at, crosses) in moments() {
        let bot = Bot::new(at);
        let (first, begin) = (bot.accepted("x").0, bot.period());
        assert_eq!(bot.cancel(&first).0, 202);
        bot.pass(23 * HOUR);
        assert_eq!(bot.period() != begin, crosses, "{at:?}");
        assert_eq!(bot.accepted("x"), (first.clone(), "cancelled".to_owned()), "{at:?}");
        assert_eq!(bot.put().len(), 1, "{at:?}");
        bot.pass(HOUR);
        let second = bot.accepted("x");
        assert_ne!(second.0, first, "{at:?}");
        assert_eq!((second.1.as_str(), bot.put().len()), ("queued", 2), "{at:?}: status, messages");
    }
}

#[test]
fn changed_body_with_the_same_idempotency_key_is_answered_422_until_the_term_ends() {
    for (at, _) in moments() {
        for is_cancelled in [false, true] {
            let bot = Bot::new(at);
            let first = bot.accepted("x").0;
            if is_cancelled {
                assert_eq!(bot.cancel(&first).0, 202);
            }
            bot.pass(24 * HOUR - Duration::from_secs(1));
            let (status, body) = bot.alert("corrected");
            assert_eq!((status, &body["error"]["code"]), (422, &"IdempotencyKeyReused".into()), "{at:?}");
            assert_eq!(bot.put().len(), 1, "{at:?}");
            bot.pass(Duration::from_secs(1));
            assert_eq!(bot.accepted("corrected").1, "queued", "{at:?}");
            assert_eq!(bot.put().len(), 2, "{at:?}");
            // Now the idempotency key belongs to the corrected call.
            assert_eq!(bot.alert("x").0, 422, "{at:?}");
        }
    }
}

#[test]
fn cancel_is_answered_404_for_an_unknown_alert_and_409_for_a_delivered_alert() {
    let bot = Bot::new(Duration::ZERO);
    let id = bot.accepted("x").0;
    let unknown = format!("{}{}", &id[..4], "0".repeat(28));
    // The first four digits of an id are the number of its period. The list has an unknown id of this period,
    // two ids whose periods are far away, and two texts that are not valid ids.
    for id in [&unknown, &"0".repeat(32), &"f".repeat(32), "x", &id.to_uppercase()] {
        let (status, body) = bot.cancel(id);
        assert_eq!((status, &body["error"]["code"]), (404, &"AlertNotFound".into()), "{id}");
    }
    // The second round of the loop is one period (eight days) later. The bot still finds the alert's record
    // by the alert's id.
    bot.deliver(&id);
    for time in [Duration::ZERO, 24 * 8 * HOUR] {
        bot.pass(time);
        let (status, body) = bot.cancel(&id);
        assert_eq!((status, &body["error"]["code"]), (409, &"AlertIsOver".into()));
        assert!(body["error"]["message"].as_str().unwrap().contains("delivered"), "{body}");
    }
}
