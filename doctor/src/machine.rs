//! The ports of `platform` on this machine: HTTP, the clock, random numbers, and a key-value store in memory.
//! A *port* is a trait for one service, such as the clock, of the platform on which the bot runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use platform::{
    BodyProblem, Clock, HttpClient, KeyValue, KeyValueError, Randomness, Timeouts, TransportError,
};
use ureq::Agent;

use crate::local_ports::LocalPorts;

/// The ports of [`platform`] on this machine. Every call blocks the thread until the call has a result. So
/// [`block_on`] can run a future with such calls, without an async runtime.
pub struct Machine {
    local: LocalPorts,
    /// The HTTP client for servers on other machines. This client uses the proxy that the environment
    /// variables name.
    agent: Agent,
    /// The HTTP client for servers on this machine. This client uses no proxy, because a proxy cannot reach
    /// this machine's loopback.
    local_agent: Agent,
    store: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl Default for Machine {
    fn default() -> Self {
        let config = || Agent::config_builder().http_status_as_error(false).max_redirects(0);
        Self {
            local: LocalPorts::default(),
            agent: Agent::new_with_config(config().build()),
            local_agent: Agent::new_with_config(config().proxy(None).build()),
            store: RefCell::default(),
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}

/// Runs a future on this thread. The future makes its calls with a [`Machine`].
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl HttpClient for Machine {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let is_local = request.uri().host().is_some_and(is_loopback);
        let agent = if is_local { &self.local_agent } else { &self.agent };
        let has_body = !matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE);
        let response = if has_body {
            let request = agent.configure_request(request.map(|body| body.to_vec()));
            agent.run(
                request.timeout_connect(Some(timeouts.connect)).timeout_global(Some(timeouts.total)).build(),
            )
        } else {
            let request = agent.configure_request(request.map(drop));
            agent.run(
                request.timeout_connect(Some(timeouts.connect)).timeout_global(Some(timeouts.total)).build(),
            )
        };
        let (head, mut body) = response.map_err(|error| transport_error(&error))?.into_parts();
        let limit_bytes = timeouts.max_response_bytes;
        let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
        match body.with_config().limit(limit).read_to_vec() {
            Ok(body) => Ok(http::Response::from_parts(head, body.into())),
            Err(ureq::Error::BodyExceedsLimit(_)) => {
                Err(lost(head.status, head.headers, BodyProblem::TooLong { limit_bytes }))
            }
            Err(ureq::Error::Timeout(_)) => Err(lost(head.status, head.headers, BodyProblem::OutOfTime)),
            Err(_) => Err(lost(head.status, head.headers, BodyProblem::Broken)),
        }
    }
}

fn lost(status: StatusCode, headers: http::HeaderMap, problem: BodyProblem) -> TransportError {
    TransportError::body_lost(status, headers, problem)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Describes a failure in this project's words, because the texts of ureq can repeat the URL. The URL can
/// contain a SAS, and a SAS is a secret.
fn transport_error(error: &ureq::Error) -> TransportError {
    use std::io::ErrorKind;
    use ureq::Timeout;
    let not_sent = |text: &str| TransportError::NotSent(text.to_owned());
    match error {
        ureq::Error::HostNotFound => not_sent("no such host; check its name"),
        ureq::Error::ConnectionFailed => not_sent("the connection failed"),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => not_sent("the connection took too long"),
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            not_sent("the server refuses connections")
        }
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => not_sent("the server's certificate is not accepted"),
        // rustls reports a bad certificate as an I/O error.
        ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            not_sent("the server's certificate is not accepted")
        }
        // The errors of the name resolver have no `ErrorKind` of their own, so this arm looks at the text.
        ureq::Error::Io(error) if error.to_string().contains("lookup") => {
            not_sent("no such host; check its name")
        }
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => not_sent("the address is not valid"),
        ureq::Error::Timeout(_) => TransportError::ResponseLost("the response took too long".into()),
        _ => TransportError::ResponseLost("the connection broke".into()),
    }
}

impl KeyValue for Machine {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        Ok(self.store.borrow().get(key).cloned())
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        self.store.borrow_mut().insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.store.borrow_mut().remove(key);
        Ok(())
    }
}

impl Clock for Machine {
    fn now(&self) -> DateTime<Utc> {
        self.local.now()
    }

    fn monotonic(&self) -> Duration {
        self.local.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

impl Randomness for Machine {
    fn fill(&self, buffer: &mut [u8]) {
        self.local.fill(buffer);
    }
}
