//! Implements the ports (traits) of `platform` for the *native build*: the components' code, compiled for
//! this machine. The HTTP client has a pool of connections, the key-value store is in memory, and the clock
//! is real. The native build discards log lines, as the embedded host (the project's own) does with
//! `--quiet`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use end_to_end::ports::Machine;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use platform::{
    BodyProblem, Clock, HttpClient, KeyValue, KeyValueError, Log, Randomness, Settings, SettingsError,
    Timeouts, TransportError,
};

/// The Spin variables with their values. A variable that is missing here is empty.
#[derive(Debug, Clone, Default)]
pub struct Variables(pub BTreeMap<String, String>);

impl Settings for Variables {
    fn setting(&self, name: &str) -> Result<String, SettingsError> {
        Ok(self.0.get(name).cloned().unwrap_or_default())
    }
}

/// The variables and the key-value store. All requests share them.
#[derive(Debug)]
pub(super) struct Shared {
    variables: Variables,
    store: Mutex<HashMap<String, Vec<u8>>>,
}

/// The ports for one request.
#[derive(Debug)]
pub struct NativeHost {
    shared: Arc<Shared>,
    client: HttpPool,
    machine: Machine,
}

/// An HTTP client for any number of requests. By default, the client keeps its connections open in a pool.
pub(super) type HttpPool = Client<HttpConnector, Full<Bytes>>;

/// Makes a client. With `fresh_connections`, the client opens a connection for each request.
pub(super) fn pool(fresh_connections: bool) -> HttpPool {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let mut builder = Client::builder(TokioExecutor::new());
    if fresh_connections {
        builder.pool_max_idle_per_host(0);
    }
    builder.build(connector)
}

impl Shared {
    pub(super) fn new(variables: Variables) -> Arc<Self> {
        Arc::new(Self { variables, store: Mutex::default() })
    }

    fn with_store<T>(&self, access: impl FnOnce(&mut HashMap<String, Vec<u8>>) -> T) -> T {
        access(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl NativeHost {
    pub(super) fn new(shared: Arc<Shared>, client: HttpPool) -> Self {
        Self { shared, client, machine: Machine::default() }
    }
}

impl HttpClient for NativeHost {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let exchange = async {
            let response = self.client.request(request.map(Full::new)).await.map_err(|error| {
                let text = error.to_string();
                if error.is_connect() {
                    TransportError::NotSent(text)
                } else {
                    TransportError::ResponseLost(text)
                }
            })?;
            let (head, body) = response.into_parts();
            match body.collect().await {
                Ok(body) => Ok(http::Response::from_parts(head, body.to_bytes())),
                Err(_) => Err(TransportError::body_lost(head.status, head.headers, BodyProblem::Broken)),
            }
        };
        let response: http::Response<Bytes> = tokio::time::timeout(timeouts.total, exchange)
            .await
            .map_err(|_| TransportError::ResponseLost("the response did not come in time".into()))??;
        if response.body().len() > timeouts.max_response_bytes {
            let problem = BodyProblem::TooLong { limit_bytes: timeouts.max_response_bytes };
            let (head, _) = response.into_parts();
            return Err(TransportError::body_lost(head.status, head.headers, problem));
        }
        Ok(response)
    }
}

impl KeyValue for NativeHost {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        Ok(self.shared.with_store(|store| store.get(key).cloned()))
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        self.shared.with_store(|store| store.insert(key.to_owned(), value.to_vec()));
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.shared.with_store(|store| store.remove(key));
        Ok(())
    }
}

impl Clock for NativeHost {
    fn now(&self) -> DateTime<Utc> {
        self.machine.now()
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.machine.sleep(duration).await;
    }
}

impl Randomness for NativeHost {
    fn fill(&self, buffer: &mut [u8]) {
        self.machine.fill(buffer);
    }
}

impl Settings for NativeHost {
    fn setting(&self, name: &str) -> Result<String, SettingsError> {
        self.shared.variables.setting(name)
    }
}

impl Log for NativeHost {
    fn line(&self, line: &str) {
        std::hint::black_box(line);
    }
}
