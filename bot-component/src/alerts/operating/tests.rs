//! Tests of `GET /api/status` and `GET /metrics`, against fakes of the storage account and of the login host.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use platform::testing::{FakeHost, response, run};
use platform::{Clock, Deadline};
use serde_json::{Value, json};
use state::Tables;
use state::runs::{Figures, LastRun, LockState, PauseReason, Runs};
use storage_account::Account;
use storage_table::testing::FakeTables;

use super::super::handle;

const KEY: &str = "an-alert-key-for-tests";
/// An API key that has only the scope `send`, and the entry of this key in the variable `alertkeys`.
const SENDER: (&str, &str) = (
    "pbk_0123456789abcdef0123456789abcdef",
    "ci:send:4344e8cb2e757661e80e17eb183a63ba2e58848f07a1f58f8f8be8764abd9f4c",
);
/// The path of a file with an example of the whole response to `GET /metrics`. The file is for people, and
/// for the tests of `deploy/monitoring`.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/alerts/operating/metrics.prom");

/// The fake services. A test sets the fields, and the fields determine the responses.
#[derive(Clone, Default)]
struct Services {
    tables: Rc<RefCell<FakeTables>>,
    /// The number of messages on the queue. `None` if the queue does not exist.
    messages: Rc<Cell<Option<u64>>>,
    /// The number of messages on the poison queue. `None` if the poison queue does not exist.
    dead: Rc<Cell<Option<u64>>>,
    are_tables_out: Rc<Cell<bool>>,
    are_queues_out: Rc<Cell<bool>>,
    /// Whether the response to the first attempt of each storage call is 503.
    is_every_first_attempt_lost: Rc<Cell<bool>>,
    /// The URLs of the storage calls whose first attempt got 503, and whose second attempt has not come yet.
    first_attempts: Rc<RefCell<Vec<String>>>,
}

struct Bot {
    host: FakeHost,
    services: Services,
}

impl Bot {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        let host = FakeHost::with_settings([
            ("authmode", "anonymous"),
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", "bot-queue"),
            ("alertkey", KEY),
            ("alertkeys", SENDER.1),
        ]);
        for (name, value) in variables {
            host.settings.borrow_mut().insert((*name).into(), (*value).into());
        }
        let services = Services::default();
        services.messages.set(Some(0));
        services.dead.set(Some(0));
        let (services_of_host, now) = (services.clone(), host.now());
        host.answers(move |request| Some(Ok(services_of_host.response(request, now))));
        Self { host, services }
    }

    /// Stores these figures (counts and times), as a run (one execution of the poller) does at its end. If
    /// `pause` is set, also pauses all runs for 30 seconds.
    fn store(&self, figures: &Figures, pause: Option<PauseReason>) {
        let (account, tables) =
            (Account::parse("UseDevelopmentStorage=true").unwrap(), Tables::read(&self.host).unwrap());
        let deadline = Deadline::after(&self.host, Duration::from_secs(10));
        let runs = Runs::new(&self.host, &account, &tables, "bot-queue", deadline);
        let LockState::Free(free) = run(runs.read_lock()).unwrap() else { panic!("the lock is free") };
        let mut lock = run(runs.take_lock("r1", &free)).unwrap().unwrap();
        lock.set_figures(figures);
        let until = self.host.now() + Duration::from_secs(30);
        let write = match pause {
            None => lock.release(&[]),
            Some(reason) => lock.release_and_pause(&[], reason, until),
        };
        run(runs.write(write)).unwrap().unwrap();
        run(runs.record_idle()).unwrap();
        self.host.sent.borrow_mut().clear();
    }

    fn get(&self, path: &str) -> Response<Bytes> {
        self.get_with(path, KEY)
    }

    fn get_with(&self, path: &str, key: &str) -> Response<Bytes> {
        let request = Request::get(path).header("authorization", format!("Bearer {key}"));
        let request = request.header("host", "localhost").body(Bytes::new()).unwrap();
        match run(handle(&self.host, request)) {
            Ok(answered) => answered.into_reply(&self.host).response,
            Err(rejection) => rejection.log_and_respond(&self.host),
        }
    }

    #[track_caller]
    fn status(&self) -> Value {
        let response = self.get("/api/status");
        assert_eq!(response.status(), 200, "{response:?}");
        serde_json::from_slice(response.body()).unwrap()
    }

    #[track_caller]
    fn metrics(&self) -> String {
        let response = self.get("/metrics");
        assert_eq!(response.status(), 200, "{response:?}");
        String::from_utf8(response.body().to_vec()).unwrap()
    }

    fn calls(&self) -> usize {
        self.host.sent.borrow().len()
    }
}

impl Services {
    fn response(&self, request: &Request<Bytes>, now: chrono::DateTime<chrono::Utc>) -> Response<Bytes> {
        let uri = request.uri().to_string();
        if self.is_every_first_attempt_lost.get() {
            let mut first_attempts = self.first_attempts.borrow_mut();
            match first_attempts.iter().position(|known| *known == uri) {
                None => {
                    first_attempts.push(uri);
                    return response(503, "");
                }
                Some(index) => _ = first_attempts.swap_remove(index),
            }
        }
        match request.uri().port_u16() {
            Some(10_001) if self.are_queues_out.get() => response(503, ""),
            Some(10_001) => self.of_queue(&uri),
            Some(10_002) if self.are_tables_out.get() => response(503, ""),
            Some(10_002) => self.tables.borrow_mut().response(request, now).unwrap(),
            _ => response(200, r#"{"token_type":"Bearer","expires_in":3600,"access_token":"t.o.k"}"#),
        }
    }

    fn of_queue(&self, uri: &str) -> Response<Bytes> {
        let count = if uri.contains("bot-queue-poison") { &self.dead } else { &self.messages };
        let Some(count) = count.get() else {
            let missing = Response::builder().status(404).header("x-ms-error-code", "QueueNotFound");
            return missing.body(Bytes::new()).unwrap();
        };
        if uri.contains("comp=metadata") {
            let response = Response::builder().header("x-ms-approximate-messages-count", count);
            return response.body(Bytes::new()).unwrap();
        }
        assert!(
            uri.contains("peekonly=true"),
            "expected a peek, because a status must not dequeue messages: {uri}"
        );
        let message =
            "<QueueMessage><InsertionTime>Mon, 23 Nov 2026 21:50:00 GMT</InsertionTime></QueueMessage>";
        let messages = message.repeat(usize::try_from(count.min(32)).unwrap());
        response(200, &format!("<QueueMessagesList>{messages}</QueueMessagesList>"))
    }
}

/// Figures in which most members have a value.
fn figures() -> Figures {
    let at = |seconds: i64| (FakeHost::START_SECONDS + seconds) * 1_000;
    let counts = |counts: &[(&str, u64)]| counts.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect();
    let mut figures = Figures {
        since: at(-86_400),
        accepted: 120,
        ended: counts(&[("delivered", 100), ("cancelled", 3), ("expired", 2)]),
        dead: counts(&[("destinationGone", 4), ("permanent", 1)]),
        waits: counts(&[("throttled", 7), ("hostOut", 2)]),
        delivered_at: at(-20) + 250,
        last_run: LastRun {
            id: "r1".into(),
            entry_point: "kick".into(),
            began_at: at(-25),
            ended_at: at(-19),
            received: 5,
            delivered: 4,
            failure: String::new(),
        },
        hosts_out: vec!["smba.trafficmanager.net/emea".into()],
        ..Figures::default()
    };
    for milliseconds in [80, 90, 400, 2_000, 4_000_000] {
        figures.delays.add(Duration::from_millis(milliseconds));
    }
    figures.add_paused("625a4b036870769bf12c984b0eb57af7", time(at(3_600)), time(at(0)));
    figures
}

fn time(milliseconds: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_millis(milliseconds).unwrap()
}

#[test]
fn status_shows_the_figures() {
    let bot = Bot::new();
    bot.store(&figures(), None);
    bot.services.messages.set(Some(15));
    bot.services.dead.set(Some(5));
    let mut status = bot.status();
    let problems = status.as_object_mut().unwrap().remove("problems").unwrap();
    let begins: Vec<_> =
        problems.as_array().unwrap().iter().map(|one| one.as_str().unwrap().split(':').next()).collect();
    assert_eq!(begins, [Some("Connector"), Some("conversations"), Some("poison queue")]);
    let expected = json!({
        "now": "2026-11-23T22:00:00.000Z", "versions": {"bot": env!("CARGO_PKG_VERSION")},
        "queue": {"name": "bot-queue", "messages": 15, "oldestSeconds": 600}, "dead": {"messages": 5},
        "running": false, "clockSkewSeconds": 0, "idleAt": "2026-11-23T22:00:00.000Z",
        "lastSuccessAt": "2026-11-23T22:00:00.000Z", "lastDeliveryAt": "2026-11-23T21:59:40.250Z",
        "lastRun": {
            "id": "r1", "entryPoint": "kick", "beganAt": "2026-11-23T21:59:35.000Z",
            "endedAt": "2026-11-23T21:59:41.000Z", "received": 5, "delivered": 4,
        },
        "hostsOut": ["smba.trafficmanager.net/emea"],
        "pausedConversations": [
            {"conversation": "625a4b036870769bf12c984b0eb57af7", "until": "2026-11-23T23:00:00.000Z"},
        ],
        "totals": {
            "since": "2026-11-22T22:00:00.000Z", "accepted": 120, "delivered": 100, "cancelled": 3, "expired": 2,
            "stopped": 0, "dropped": 0, "replaced": 0, "withdrawn": 0, "dead": {"destinationGone": 4, "permanent": 1}, "waits": {"throttled": 7, "hostOut": 2},
        },
    });
    assert_eq!(status, expected);
}

#[test]
fn pause_of_a_conversation_is_not_shown_after_the_pause_has_ended() {
    let bot = Bot::new();
    bot.store(&figures(), None);
    for (seconds, shown) in [(3_599, 1), (1, 0)] {
        bot.host.elapsed.set(bot.host.elapsed.get() + Duration::from_secs(seconds));
        let status = bot.status();
        assert_eq!(status["pausedConversations"].as_array().unwrap().len(), shown, "{status}");
        let problems = status["problems"].to_string();
        assert_eq!(problems.contains("conversations: "), shown > 0, "{problems}");
    }
}

#[test]
fn status_of_a_new_bot_has_no_problems() {
    let bot = Bot::new();
    bot.services.messages.set(None);
    bot.services.dead.set(None);
    let status = bot.status();
    let expected = [json!(0), json!(0), json!(false), Value::Null, json!([])];
    let parts =
        [&status["queue"]["messages"], &status["dead"]["messages"], &status["running"], &status["lastRun"]];
    assert_eq!(parts.into_iter().chain([&status["problems"]]).cloned().collect::<Vec<_>>(), expected);
    assert_eq!(status["totals"]["accepted"], 0);
    assert!(bot.metrics().contains("\nproactivebot_alerts_accepted_total 0\n"));
}

#[test]
fn pause_of_all_runs_is_shown_with_the_reason_and_the_end() {
    let bot = Bot::new();
    bot.store(&figures(), Some(PauseReason::CredentialsRefused));
    let status = bot.status();
    let expected = json!({"reason": "credentialsRefused", "until": "2026-11-23T22:00:30.000Z"});
    assert_eq!(status["paused"], expected);
    assert!(status["problems"][0].as_str().unwrap().starts_with("credentials: "), "{status}");
    let metrics = bot.metrics();
    assert!(metrics.contains("proactivebot_poller_paused{reason=\"credentialsRefused\"} 1\n"), "{metrics}");
    assert!(metrics.contains("proactivebot_poller_paused{reason=\"noToken\"} 0\n"), "{metrics}");
}

#[test]
fn part_that_cannot_be_read_is_null_and_named_in_the_problems() {
    for (is_table, nulls, named, missing) in [
        (
            true,
            &["running", "lastRun", "totals", "hostsOut", "clockSkewSeconds"][..],
            "tables: ",
            "_accepted_total",
        ),
        (false, &["queue", "dead"][..], "queue: ", "proactivebot_queue_messages{"),
    ] {
        let bot = Bot::new();
        bot.store(&figures(), None);
        assert!(bot.metrics().contains(missing));
        if is_table { &bot.services.are_tables_out } else { &bot.services.are_queues_out }.set(true);
        let status = bot.status();
        for member in nulls {
            assert_eq!(status.get(member), Some(&Value::Null), "{member}: {status}");
        }
        assert!(status["problems"][0].as_str().unwrap().starts_with(named), "{status}");
        let metrics = bot.metrics();
        let service = if is_table { "table" } else { "queue" };
        assert!(metrics.contains(&format!("storage_up{{service=\"{service}\"}} 0\n")), "{metrics}");
        assert!(!metrics.contains(missing) && metrics.ends_with("# EOF\n"), "{metrics}");
    }
    let bot = Bot::new();
    bot.services.are_tables_out.set(true);
    bot.services.are_queues_out.set(true);
    for path in ["/api/status", "/metrics"] {
        let response = bot.get(path);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((response.status().as_u16(), &body["error"]["code"]), (503, &"StateUnavailable".into()));
    }
    assert_eq!(
        bot.calls(),
        20,
        "two routes, with five storage calls each, and two attempts for each storage call"
    );
    assert_eq!(bot.host.events("status.not-read").len(), 4, "a line for each part and route");
}

#[test]
fn age_of_a_message_is_right_although_the_clock_of_the_host_is_wrong() {
    let bot = Bot::new();
    bot.store(&figures(), None);
    bot.services.messages.set(Some(1));
    // The clock of the fake services does not advance. So the clock of the host is now 20 minutes ahead.
    bot.host.elapsed.set(Duration::from_secs(20 * 60));
    let status = bot.status();
    let found = (&status["clockSkewSeconds"], &status["queue"]["oldestSeconds"]);
    assert_eq!(found, (&json!(1_200), &json!(600)), "{status}");
    let has_problem = |problem: &Value| problem.as_str().unwrap().starts_with("clock: ");
    assert!(status["problems"].as_array().unwrap().iter().any(has_problem), "{status}");
}

#[test]
fn number_of_calls_does_not_depend_on_the_backlog() {
    for (is_troubled, most) in [(false, 5), (true, 10)] {
        for messages in [0, 100_000] {
            let bot = Bot::new();
            bot.store(&figures(), None);
            bot.services.messages.set(Some(messages));
            bot.services.dead.set(Some(messages));
            bot.services.is_every_first_attempt_lost.set(is_troubled);
            let status = bot.status();
            assert_eq!((bot.calls(), &status["queue"]["messages"]), (most, &messages.into()), "{status}");
            bot.metrics();
            assert_eq!(bot.calls(), 2 * most);
        }
    }
}

#[test]
fn access_to_the_account_with_the_bots_token_costs_at_most_one_more_call() {
    let bot = Bot::with(&[
        ("authmode", "required"),
        ("microsoftappid", "app"),
        ("microsoftapppassword", "secret"),
        ("microsoftapptenantid", "11111111-2222-3333-4444-555555555555"),
        (
            "storageconnection",
            "AccountName=devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;\
             TableEndpoint=http://127.0.0.1:10002/devstoreaccount1",
        ),
    ]);
    let status = bot.status();
    assert_eq!(
        (bot.calls(), status.get("token")),
        (6, None),
        "the key-value store has no token for the Connector"
    );
    bot.status();
    assert_eq!(bot.calls(), 11);
}

#[test]
fn status_shows_the_end_of_the_kept_token_but_not_the_token() {
    use bot_framework::Tokens;

    use crate::settings::{BotSettings, CallerSettings};

    let bot = Bot::with(&[
        ("authmode", "required"),
        ("microsoftappid", "app"),
        ("microsoftapppassword", "secret"),
        ("microsoftapptenantid", "11111111-2222-3333-4444-555555555555"),
    ]);
    let settings = BotSettings::read(&bot.host, CallerSettings::read(&bot.host).unwrap()).unwrap();
    let tokens = Tokens::new(&bot.host, settings.bot.as_ref().unwrap());
    run(tokens.bearer(Deadline::after(&bot.host, Duration::from_secs(1)))).unwrap();
    let response = bot.get("/api/status");
    let status: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(
        status["token"],
        json!({"until": "2026-11-23T22:55:00.000Z"}),
        "the key-value store keeps the token until five minutes before the token expires"
    );
    assert!(!status.to_string().contains("t.o.k"));
}

#[test]
fn key_with_the_scope_watch_reads_only_the_status_and_the_metrics() {
    let watcher = SENDER.1.replace("send", "watch");
    let bot = Bot::with(&[("alertkeys", &watcher)]);
    for path in ["/api/status", "/metrics"] {
        assert_eq!(bot.get_with(path, SENDER.0).status(), 200, "{path}");
    }
    for path in ["/api/dead", "/api/alerts", "/api/alerts/0a260123456789abcdef0123456789ab", "/api/targets"] {
        let status = bot.get_with(path, SENDER.0).status().as_u16();
        assert!(matches!(status, 403 | 404), "{path}: {status}");
    }
}

#[test]
fn caller_without_the_scope_watch_is_refused_without_a_storage_call() {
    let bot = Bot::new();
    for path in ["/api/status", "/metrics"] {
        let response = bot.get_with(path, SENDER.0);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((response.status().as_u16(), &body["error"]["code"]), (403, &"ScopeMissing".into()));
        assert_eq!(bot.get_with(path, "another-key-for-tests").status(), 401);
    }
    assert_eq!(bot.calls(), 0);
}

#[test]
fn metrics_are_equal_to_the_example_in_the_file() {
    let bot = Bot::new();
    bot.store(&figures(), None);
    bot.services.messages.set(Some(15));
    bot.services.dead.set(Some(5));
    let response = bot.get("/metrics");
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(response.headers()["content-type"], content_type);
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let metrics = bot.metrics().replace(&version, "version=\"0.0.0\"");
    if std::env::var_os("UPDATE_METRICS").is_some() {
        std::fs::write(GOLDEN, &metrics).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(metrics == golden, "{GOLDEN}: to write it, set UPDATE_METRICS=1; found\n{metrics}");
}
