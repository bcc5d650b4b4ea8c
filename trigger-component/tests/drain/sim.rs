//! A simulated world with an Azure queue, tables, a Connector, a key-value store, and one clock that jumps
//! from event to event. A *run* is one execution of the poller. Several runs can work in the world at the
//! same time, and a test can kill a run. The world is deterministic: the same seed causes the same events.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeZone, Utc};
use http::{Request, Response};
use platform::{
    Clock, HttpClient, KeyValue, KeyValueError, Log, Randomness, Settings, SettingsError, Timeouts,
    TransportError,
};
use serde_json::Value;
use storage_table::testing::FakeTables;
use trigger_component::run::{EntryPoint, RunError, run_within};
use trigger_component::{Limits, Report};

use crate::chat::{self, Chats};
use crate::queue::Storage;
pub(crate) use crate::script::{Attempt, Fault, Reply};

pub(crate) const QUEUE: &str = "bot-queue";
pub(crate) const POISON: &str = "bot-queue-poison";
/// The date at which the clock shows zero, in seconds since 1970: 2026-11-23 22:00:00 UTC.
pub(crate) const START_SECONDS: i64 = 1_795_471_200;

type Outcome = Result<Report, RunError>;
type ConnectorRule = Box<dyn FnMut(&str, &str) -> Reply>;
type CreationRule = Box<dyn FnMut(&Value) -> (u16, Value)>;
type StorageRule = Box<dyn FnMut(&Request<Bytes>) -> Option<Fault>>;

pub(crate) struct Sim {
    clock: Cell<Duration>,
    timers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    random: Cell<u64>,
    pub(crate) settings: RefCell<BTreeMap<String, String>>,
    /// How long the next read of a setting (a Spin variable) takes. Later reads take no time.
    pub(crate) slow_variables: Cell<Duration>,
    pub(crate) store: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(crate) store_fails: Cell<bool>,
    /// The key of each write into the key-value store, the oldest write first.
    pub(crate) writes: RefCell<Vec<String>>,
    /// The lines of the log.
    pub(crate) lines: RefCell<Vec<String>>,
    pub(crate) storage: RefCell<Storage>,
    pub(crate) tables: RefCell<FakeTables>,
    pub(crate) attempts: RefCell<Vec<Attempt>>,
    /// The chat messages that the conversations show.
    pub(crate) chats: RefCell<Chats>,
    in_flight: RefCell<BTreeMap<String, usize>>,
    pub(crate) most_at_once: Cell<usize>,
    tokens: Cell<usize>,
    /// The number of tokens that the login host issues before it refuses the bot. The *login host* is the
    /// host that issues the bot's tokens.
    pub(crate) most_tokens: Cell<usize>,
    connector: RefCell<ConnectorRule>,
    creations: RefCell<CreationRule>,
    faults: RefCell<StorageRule>,
    table_faults: RefCell<StorageRule>,
    /// The rule for the responses of the program that sent the alerts. The poller sends *callbacks* (HTTP
    /// requests) to this program, e.g. to pass on a person's answer to a question.
    pub(crate) program: RefCell<ProgramRule>,
    runs: Cell<usize>,
    /// The time that a request to the queue, to the tables or to the Connector takes to arrive. The response
    /// takes the same time, plus the delay from the rule of [`Sim::connector`].
    latency: Duration,
}

/// Returns the HTTP status of the program's response to a callback. The argument is the id of the callback.
pub(crate) type ProgramRule = Box<dyn FnMut(&str) -> u16>;

impl Sim {
    /// Makes a world in which the bot needs a token for the Connector.
    pub(crate) fn with_login(seed: u64) -> Self {
        let sim = Self::new(seed);
        for (name, value) in [
            ("authmode", "required"),
            ("microsoftappid", "app"),
            ("microsoftapppassword", "secret"),
            ("microsoftapptenantid", "tenant"),
            ("tenants", "any"),
            ("loginendpoint", "http://127.0.0.1:9000"),
            ("servicehosts", "http://127.0.0.1:9200"),
            ("unsealed", "allow"),
        ] {
            sim.settings.borrow_mut().insert(name.into(), value.into());
        }
        sim
    }

    pub(crate) fn new(seed: u64) -> Self {
        let settings = [
            ("authmode", "anonymous"),
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", QUEUE),
            ("pace", "0"),
        ];
        Self {
            clock: Cell::new(Duration::from_secs(1)),
            timers: RefCell::default(),
            random: Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            settings: RefCell::new(settings.map(|(name, value)| (name.into(), value.into())).into()),
            slow_variables: Cell::default(),
            store: RefCell::default(),
            store_fails: Cell::new(false),
            writes: RefCell::default(),
            lines: RefCell::default(),
            storage: RefCell::default(),
            tables: RefCell::default(),
            attempts: RefCell::default(),
            chats: RefCell::default(),
            in_flight: RefCell::default(),
            most_at_once: Cell::new(0),
            tokens: Cell::new(0),
            most_tokens: Cell::new(usize::MAX),
            connector: RefCell::new(Box::new(|_, _| Reply::status(201))),
            creations: RefCell::new(Box::new(|_| (404, Value::Null))),
            faults: RefCell::new(Box::new(|_| None)),
            table_faults: RefCell::new(Box::new(|_| None)),
            program: RefCell::new(Box::new(|_| 200)),
            runs: Cell::new(0),
            latency: Duration::from_millis(2),
        }
    }

    /// Sets the rule for the Connector's responses. The arguments of the rule are the conversation's id, and
    /// the text of the message without the prefix `Alert: `.
    pub(crate) fn connector(&self, rule: impl FnMut(&str, &str) -> Reply + 'static) {
        *self.connector.borrow_mut() = Box::new(rule);
    }

    /// Sets the rule for the Connector's responses to calls that create a conversation. The argument of the
    /// rule is the body of the call.
    pub(crate) fn creations(&self, rule: impl FnMut(&Value) -> (u16, Value) + 'static) {
        *self.creations.borrow_mut() = Box::new(rule);
    }

    /// Sets the rule that decides which calls to the queue service fail, and how. For a call that does not
    /// fail, the rule returns `None`.
    pub(crate) fn faults(&self, rule: impl FnMut(&Request<Bytes>) -> Option<Fault> + 'static) {
        *self.faults.borrow_mut() = Box::new(rule);
    }

    /// Sets the rule that decides which calls to the table service fail, and how. For a call that does not
    /// fail, the rule returns `None`.
    pub(crate) fn table_faults(&self, rule: impl FnMut(&Request<Bytes>) -> Option<Fault> + 'static) {
        *self.table_faults.borrow_mut() = Box::new(rule);
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.get()
    }

    /// Moves the clock forward.
    pub(crate) fn pass(&self, duration: Duration) {
        self.clock.set(self.clock.get() + duration);
    }

    /// Puts an envelope (an alert as JSON) on the queue.
    pub(crate) fn put(&self, envelope: &Value) {
        self.storage.borrow_mut().put(QUEUE, &envelope.to_string(), self.now(), None);
    }

    /// Returns a random number in `0..below`.
    pub(crate) fn random(&self, below: u64) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        (x >> 11) % below
    }

    /// Does one run, and returns its report.
    pub(crate) fn run(&self) -> Report {
        self.run_with(Limits::default()).unwrap()
    }

    pub(crate) fn run_with(&self, limits: Limits) -> Outcome {
        let planned = Planned { start: self.now(), kill: None, limits };
        self.run_all(vec![planned]).remove(0).expect("a run that is not killed has an outcome")
    }

    /// Does several runs at the same time. The outcome of a killed run is `None`.
    pub(crate) fn run_all(&self, planned: Vec<Planned>) -> Vec<Option<Outcome>> {
        struct Running<'a> {
            planned: Planned,
            run: Option<Pin<Box<dyn Future<Output = Outcome> + 'a>>>,
            begun: bool,
            result: Option<Outcome>,
        }
        // Every run has its own fake Spin host, which knows the number of the run.
        let first = self.runs.get();
        self.runs.set(first + planned.len());
        let hosts: Vec<SimHost<'_>> = (0..planned.len())
            .map(|index| SimHost { sim: self, run: first + index, start: Cell::new(None) })
            .collect();
        let mut all: Vec<Running<'_>> = planned
            .into_iter()
            .map(|planned| Running { planned, run: None, begun: false, result: None })
            .collect();
        loop {
            let now = self.now();
            for (running, host) in all.iter_mut().zip(&hosts) {
                if !running.begun && running.planned.start <= now {
                    running.begun = true;
                    let limits = running.planned.limits.clone();
                    running.run =
                        Some(Box::pin(run_within(host, EntryPoint::Http, host.monotonic(), limits)));
                }
                if running.planned.kill.is_some_and(|kill| kill <= now) {
                    (running.run, running.begun) = (None, true);
                }
                if let Some(run) = &mut running.run
                    && let Poll::Ready(result) = run.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                {
                    (running.result, running.run) = (Some(result), None);
                }
            }
            if all.iter().all(|running| running.begun && running.run.is_none()) {
                self.timers.borrow_mut().clear();
                return all.into_iter().map(|running| running.result).collect();
            }
            let timer = self.timers.borrow().keys().next().map(|(moment, _)| *moment);
            let begins = all.iter().filter(|running| !running.begun).map(|running| running.planned.start);
            let kills =
                all.iter().filter(|running| running.run.is_some()).filter_map(|running| running.planned.kill);
            let next = timer
                .into_iter()
                .chain(begins)
                .chain(kills)
                .filter(|moment| *moment > now || timer == Some(*moment))
                .min();
            let next = next.expect("a run waits for something, but no timer, start or kill is left");
            self.clock.set(next.max(now));
            loop {
                let mut timers = self.timers.borrow_mut();
                let Some((moment, _)) = timers.keys().next().copied().filter(|(moment, _)| *moment <= next)
                else {
                    break;
                };
                let due = timers.pop_first().map(|(_, waker)| waker);
                drop(timers);
                debug_assert!(moment <= next);
                due.expect("the first timer exists").wake();
            }
        }
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.now() + duration;
        let ticket = self.random.get();
        self.random(2);
        let mut has_yielded = false;
        std::future::poll_fn(|context| {
            // Even a sleep of zero returns `Pending` once. So the other futures of the run can go on.
            if self.now() >= until && std::mem::replace(&mut has_yielded, true) {
                return Poll::Ready(());
            }
            has_yielded = true;
            self.timers.borrow_mut().insert((until, ticket), context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    async fn ask_queue(
        &self,
        run: usize,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, TransportError> {
        let fault = (self.faults.borrow_mut())(&request);
        let operation = self.storage.borrow().begin(run, &request);
        let is_delete = request.method() == http::Method::DELETE;
        let on_its_way =
            OnItsWay { sim: self, delete: (is_delete && fault.is_none()).then(|| request.clone()) };
        self.sleep(self.latency).await;
        on_its_way.run_lives();
        let response = match fault {
            Some(Fault::Status(status)) => Ok(Response::builder().status(status).body(Bytes::new()).unwrap()),
            Some(Fault::CutBefore) => Err(TransportError::NotSent("cut".into())),
            other => {
                let receipt_number = self.random(u64::MAX);
                let response = self.storage.borrow_mut().carry_out(&request, self.now(), receipt_number);
                if other.is_none() { Ok(response) } else { Err(TransportError::ResponseLost("cut".into())) }
            }
        };
        self.sleep(self.latency).await;
        drop(operation);
        response
    }

    async fn ask_tables(
        &self,
        request: Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<Response<Bytes>, TransportError> {
        let fault = (self.table_faults.borrow_mut())(&request);
        self.sleep(self.latency).await;
        let response = match fault {
            Some(Fault::Status(status)) => Ok(Response::builder().status(status).body(Bytes::new()).unwrap()),
            Some(Fault::CutBefore) => Err(TransportError::NotSent("cut".into())),
            Some(Fault::Hang) => {
                self.sleep(timeouts.total).await;
                Err(TransportError::ResponseLost("timed out".into()))
            }
            other => {
                let now = Utc.timestamp_opt(START_SECONDS, 0).unwrap() + self.now();
                let response =
                    self.tables.borrow_mut().response(&request, now).expect("the request is for a table");
                if other.is_none() { Ok(response) } else { Err(TransportError::ResponseLost("cut".into())) }
            }
        };
        self.sleep(self.latency).await;
        response
    }

    /// Returns the program's response to a callback, after ten milliseconds.
    async fn ask_program(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.sleep(Duration::from_millis(10)).await;
        let id = request.headers()["webhook-id"].to_str().unwrap();
        let status = (self.program.borrow_mut())(id);
        Ok(Response::builder().status(status).body(Bytes::new()).unwrap())
    }

    /// Returns the login host's response, after three seconds. The response has a token. After `most_tokens`
    /// tokens, the response is a refusal.
    async fn ask_login(&self) -> Result<Response<Bytes>, TransportError> {
        self.sleep(Duration::from_secs(3)).await;
        self.tokens.set(self.tokens.get() + 1);
        if self.tokens.get() > self.most_tokens.get() {
            let refusal = br#"{"error":"invalid_client","error_codes":[7000222]}"#;
            return Ok(Response::builder().status(401).body(Bytes::from_static(refusal)).unwrap());
        }
        let token = br#"{"token_type":"Bearer","expires_in":3600,"access_token":"t.o.k"}"#;
        Ok(Response::builder().status(200).body(Bytes::from_static(token)).unwrap())
    }

    async fn ask_connector(
        &self,
        request: Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<Response<Bytes>, TransportError> {
        self.sleep(self.latency).await;
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        if request.uri().path().ends_with("/v3/conversations") {
            let (status, response) = (self.creations.borrow_mut())(&body);
            self.sleep(self.latency).await;
            return Ok(Response::builder().status(status).body(Bytes::from(response.to_string())).unwrap());
        }
        let (conversation, activity) = chat::target_of(request.uri().path());
        let text = body["text"].as_str().unwrap_or_default().trim_start_matches("Alert: ").to_owned();
        let reply = (self.connector.borrow_mut())(&conversation, &text);
        let method = request.method().clone();
        let (status, id) = match (200..300).contains(&reply.status) {
            true => {
                self.chats.borrow_mut().carry_out(&method, &conversation, activity.as_deref(), &text, &reply)
            }
            false => (reply.status, String::new()),
        };
        let shown = (200..300).contains(&status);
        let index = self.attempts.borrow().len();
        self.attempts.borrow_mut().push(Attempt {
            at: self.now(),
            conversation: conversation.clone(),
            method,
            activity: id.clone(),
            text,
            shown,
            got_response: false,
        });
        let _flight = InFlight::enter(self, conversation);
        let timeout = timeouts.first_byte.min(timeouts.total);
        let in_time = reply.delay <= timeout;
        self.sleep(reply.delay.min(timeout) + self.latency).await;
        if reply.cut || !in_time {
            return Err(TransportError::ResponseLost("cut or timed out".into()));
        }
        self.attempts.borrow_mut()[index].got_response = true;
        let mut response = Response::builder().status(status);
        if let Some(seconds) = reply.retry_after {
            response = response.header("retry-after", seconds);
        }
        let code =
            if status == 404 && reply.status != 404 { "ActivityNotFoundInConversation" } else { reply.code };
        let body = serde_json::json!({"id": id, "error": {"code": code}});
        Ok(response.body(Bytes::from(body.to_string())).unwrap())
    }

    /// Returns the row keys of the stored waiting lines. The *waiting line* of a conversation lists the
    /// hidden queue messages of this conversation.
    pub(crate) fn waiting_lines_left(&self) -> Vec<String> {
        let rows = self.tables.borrow().entities("proactivebotruns").clone();
        rows.into_keys().map(|(_, row)| row).filter(|row| row.starts_with("line.")).collect()
    }

    /// Returns an alert's status from the ledger (the table with one record for each alert).
    pub(crate) fn status(&self, id: &str) -> Option<String> {
        self.record(id)?["status"].as_str().map(str::to_owned)
    }

    /// Returns an alert's record from the ledger.
    pub(crate) fn record(&self, id: &str) -> Option<serde_json::Map<String, Value>> {
        let rows = self.tables.borrow().entities("proactivebotledger").clone();
        let (_, record) = rows.into_iter().find(|((_, row), _)| row.ends_with(&format!(".{id}")))?;
        Some(record)
    }

    /// Returns the texts that a conversation showed, in order.
    pub(crate) fn shown(&self, conversation: &str) -> Vec<String> {
        let attempts = self.attempts.borrow();
        let shown = attempts.iter().filter(|attempt| attempt.shown && attempt.conversation == conversation);
        shown.map(|attempt| attempt.text.clone()).collect()
    }
}

/// A run to simulate. `start` is the moment at which the run begins, and `kill` is the moment at which the
/// test kills it.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) start: Duration,
    pub(crate) kill: Option<Duration>,
    pub(crate) limits: Limits,
}

/// A call to the queue that was sent and has not arrived yet. If the run is killed now, a Delete call still
/// takes effect, because its bytes have left the process. The simulation drops every other call.
struct OnItsWay<'a> {
    sim: &'a Sim,
    /// The Delete call. `None` if the call is not a Delete, or if the rule of [`Sim::faults`] makes the call
    /// fail.
    delete: Option<Request<Bytes>>,
}

impl OnItsWay<'_> {
    /// Removes the Delete call from this value, so that `drop` does nothing. The run was not killed, so
    /// [`Sim::ask_queue`] carries out the Delete call.
    fn run_lives(mut self) {
        self.delete = None;
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(delete) = &self.delete {
            self.sim.storage.borrow_mut().carry_out(delete, self.sim.now(), 0);
        }
    }
}

/// A request that the Connector handles now. This value is dropped when the request ends, or when the run is
/// killed.
struct InFlight<'a> {
    sim: &'a Sim,
    conversation: String,
}

impl<'a> InFlight<'a> {
    fn enter(sim: &'a Sim, conversation: String) -> Self {
        let mut all = sim.in_flight.borrow_mut();
        *all.entry(conversation.clone()).or_default() += 1;
        sim.most_at_once.set(sim.most_at_once.get().max(all.values().sum()));
        drop(all);
        Self { sim, conversation }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        *self.sim.in_flight.borrow_mut().get_mut(&self.conversation).unwrap() -= 1;
    }
}

/// The fake Spin host of one run in the simulated world.
struct SimHost<'a> {
    sim: &'a Sim,
    run: usize,
    start: Cell<Option<Duration>>,
}

impl HttpClient for SimHost<'_> {
    async fn send(
        &self,
        request: Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<Response<Bytes>, TransportError> {
        match request.uri().port_u16() {
            Some(10001) => self.sim.ask_queue(self.run, request).await,
            Some(10002) => self.sim.ask_tables(request, timeouts).await,
            Some(9000) => self.sim.ask_login().await,
            Some(9400) => self.sim.ask_program(request).await,
            _ => self.sim.ask_connector(request, timeouts).await,
        }
    }
}

impl KeyValue for SimHost<'_> {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.begin_store_call()?;
        Ok(self.sim.store.borrow().get(key).cloned())
    }
    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        let is_portable = key.len() <= 255 && !key.contains(['/', '\\', '?', '#']);
        assert!(is_portable, "key {key}: expected at most 255 bytes without / \\ ? #");
        self.begin_store_call()?;
        self.sim.writes.borrow_mut().push(key.into());
        self.sim.store.borrow_mut().insert(key.into(), value.into());
        Ok(())
    }
    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.begin_store_call()?;
        self.sim.store.borrow_mut().remove(key);
        Ok(())
    }
}

impl SimHost<'_> {
    fn begin_store_call(&self) -> Result<(), KeyValueError> {
        // Every call to the key-value store takes some time.
        self.sim.pass(Duration::from_micros(50));
        if self.sim.store_fails.get() { Err(KeyValueError::Failed) } else { Ok(()) }
    }
}

impl Clock for SimHost<'_> {
    fn now(&self) -> DateTime<Utc> {
        Utc.timestamp_opt(START_SECONDS, 0).unwrap() + self.sim.now()
    }
    fn monotonic(&self) -> Duration {
        // Every run has its own instance of the component. The monotonic clock of an instance starts at zero.
        let start = self.start.get().unwrap_or(self.sim.now());
        self.start.set(Some(start));
        self.sim.now() - start
    }
    async fn sleep(&self, duration: Duration) {
        self.sim.sleep(duration).await;
    }
}

impl Randomness for SimHost<'_> {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.sim.random(256) as u8;
        }
    }
}

impl Settings for SimHost<'_> {
    fn setting(&self, name: &str) -> Result<String, SettingsError> {
        self.sim.pass(self.sim.slow_variables.take());
        Ok(self.sim.settings.borrow().get(name).cloned().unwrap_or_default())
    }
}

impl Log for SimHost<'_> {
    fn line(&self, line: &str) {
        self.sim.lines.borrow_mut().push(line.into());
    }
}
