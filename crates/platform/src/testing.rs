//! A fake platform, for the unit tests of this crate and of other crates. [`FakeHost`] implements every
//! [port](crate).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeZone, Utc};

use crate::{
    BodyProblem, Clock, HttpClient, KeyValue, KeyValueError, Log, Randomness, Settings, SettingsError,
    Timeouts, TransportError,
};

type Responder =
    Box<dyn FnMut(&http::Request<Bytes>) -> Option<Result<http::Response<Bytes>, TransportError>>>;

/// A fake platform with variables, a clock, a log, and a key-value store in memory. The clock does not run by
/// itself: only `sleep`, `slow_setting` and the test change the time. The test sets the responses to HTTP
/// requests. If the test has set no response to a request, the host panics.
#[derive(Default)]
pub struct FakeHost {
    /// The names and values of the variables. A variable that is missing here has an empty value.
    pub settings: RefCell<BTreeMap<String, String>>,
    /// The name of a variable that is slow to read, and the time that each read takes.
    pub slow_setting: RefCell<Option<(String, Duration)>>,
    /// The content of the key-value store.
    pub store: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Whether every call of the key-value store fails.
    pub store_fails: Cell<bool>,
    /// Every key that was read from the key-value store, in order.
    pub reads: RefCell<Vec<String>>,
    /// How many values were written to the key-value store.
    pub writes: Cell<usize>,
    /// Every line that was logged.
    pub lines: RefCell<Vec<String>>,
    /// Every HTTP request that was sent, in order.
    pub sent: RefCell<Vec<http::Request<Bytes>>>,
    /// Time since [`FakeHost::START_SECONDS`].
    pub elapsed: Cell<Duration>,
    scripted: RefCell<VecDeque<Result<http::Response<Bytes>, TransportError>>>,
    responder: RefCell<Option<Responder>>,
    counter: Cell<u32>,
}

impl std::fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeHost")
            .field("sent", &self.sent)
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

impl FakeHost {
    /// The time that [`Clock::now`] returns at first, in seconds since 1970: Mon, 23 Nov 2026 22:00:00 GMT.
    /// The expected signatures in the tests of the crate `storage-account` contain the same date.
    pub const START_SECONDS: i64 = 1_795_471_200;

    /// A host with these variables.
    pub fn with_settings<const N: usize>(settings: [(&str, &str); N]) -> Self {
        let host = Self::default();
        for (name, value) in settings {
            host.settings.borrow_mut().insert(name.into(), value.into());
        }
        host
    }

    /// Adds the response to one request. The host returns the added responses first, in order. For later
    /// requests, the host calls the function that [`FakeHost::answers`] sets.
    pub fn then(&self, response: Result<http::Response<Bytes>, TransportError>) -> &Self {
        self.scripted.borrow_mut().push_back(response);
        self
    }

    /// Adds the response to one request, by its status and its body.
    pub fn then_status(&self, status: u16, body: &str) -> &Self {
        self.then(Ok(response(status, body)))
    }

    /// Sets the function that makes the response to a request. If the function returns `None`, the test does
    /// not expect the request, and fails.
    pub fn answers(
        &self,
        responder: impl FnMut(&http::Request<Bytes>) -> Option<Result<http::Response<Bytes>, TransportError>>
        + 'static,
    ) -> &Self {
        *self.responder.borrow_mut() = Some(Box::new(responder));
        self
    }

    /// Returns the logged events with this name, parsed.
    pub fn events(&self, event: &str) -> Vec<serde_json::Value> {
        let lines = self.lines.borrow();
        lines
            .iter()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a log line is JSON"))
            .filter(|value| value["event"] == event)
            .collect()
    }
}

/// A response without headers.
pub fn response(status: u16, body: &str) -> http::Response<Bytes> {
    http::Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

/// Runs a future to its end. All ports that the future uses have to be fakes, because this function does not
/// wait for real events.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    // `FakeHost::sleep` returns `Pending` at its first poll, so that other futures can run. Therefore a
    // future that sleeps needs several polls. No test needs a million polls. If a future has not ended after
    // a million polls, the future never ends.
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
    panic!("the future never ends: it waits for an event that no fake port makes");
}

impl HttpClient for FakeHost {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let scripted = self.scripted.borrow_mut().pop_front();
        let response = scripted
            .or_else(|| self.responder.borrow_mut().as_mut().and_then(|responder| responder(&request)));
        let description = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        self.sent.borrow_mut().push(request);
        match response.unwrap_or_else(|| panic!("the test does not expect this request: {description}")) {
            Ok(response) if response.body().len() > timeouts.max_response_bytes => {
                let problem = BodyProblem::TooLong { limit_bytes: timeouts.max_response_bytes };
                Err(TransportError::body_lost(response.status(), response.headers().clone(), problem))
            }
            response => response,
        }
    }
}

impl KeyValue for FakeHost {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.reads.borrow_mut().push(key.into());
        self.check_store()?;
        Ok(self.store.borrow().get(key).cloned())
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        assert!(
            key.len() <= 255 && !key.contains(['/', '\\', '?', '#']),
            "not every store accepts this key: {key}"
        );
        self.check_store()?;
        self.writes.set(self.writes.get() + 1);
        self.store.borrow_mut().insert(key.into(), value.into());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.check_store()?;
        self.store.borrow_mut().remove(key);
        Ok(())
    }
}

impl FakeHost {
    fn check_store(&self) -> Result<(), KeyValueError> {
        if self.store_fails.get() { Err(KeyValueError::Failed) } else { Ok(()) }
    }
}

impl Clock for FakeHost {
    fn now(&self) -> DateTime<Utc> {
        Utc.timestamp_opt(Self::START_SECONDS, 0).unwrap() + self.elapsed.get()
    }

    fn monotonic(&self) -> Duration {
        self.elapsed.get()
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.elapsed.get() + duration;
        let mut yielded = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            // The wake is necessary, because types such as `FuturesUnordered` poll a future only after a
            // wake.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.elapsed.set(self.elapsed.get().max(until));
    }
}

impl Randomness for FakeHost {
    /// Fills the buffer with bytes from a counter. So two random ids in a test differ, and each run of the
    /// test gets the same ids.
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            self.counter.set(self.counter.get().wrapping_add(1));
            // The low byte of the counter begins again at 0 after 256 steps. So `high`, the next byte of the
            // counter, changes the result, too. Some code takes random numbers until a number is small
            // enough. If the same 256 bytes came again and again, this code could get the same numbers
            // for ever.
            let [low, high, ..] = self.counter.get().to_le_bytes();
            *byte = low ^ high.wrapping_mul(167);
        }
    }
}

impl Settings for FakeHost {
    fn setting(&self, name: &str) -> Result<String, SettingsError> {
        if let Some((_, takes)) = self.slow_setting.borrow().as_ref().filter(|(slow, _)| slow == name) {
            self.elapsed.set(self.elapsed.get() + *takes);
        }
        Ok(self.settings.borrow().get(name).cloned().unwrap_or_default())
    }
}

impl Log for FakeHost {
    fn line(&self, line: &str) {
        self.lines.borrow_mut().push(line.into());
    }
}
