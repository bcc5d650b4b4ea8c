//! The outside services of a benchmark: servers on loopback that do little and count the calls. A call that a
//! stub does not expect fails the run.

mod connector;
mod queue;
mod table;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::bail;
use bytes::Bytes;
use dev::azurite;
use end_to_end::login::{Login, Proof};
use end_to_end::loopback_server::LoopbackServer;
use end_to_end::openid::OpenId;

pub use connector::Connector;
pub use queue::Queue;
pub use table::Table;

/// All stubs.
#[derive(Debug)]
pub struct Stubs {
    /// The storage queue.
    pub queue: Queue,
    /// The table service, of the same storage account.
    pub table: Table,
    /// The Bot Connector.
    pub connector: Connector,
    /// The issuer of the channel's tokens. Its strict checks hardly change the figures, because the bot calls
    /// it only once a day.
    pub open_id: OpenId,
    /// The issuer of the bot's tokens. Its strict checks hardly change the figures, because the bot calls it
    /// only once an hour.
    pub login: Login,
}

impl Stubs {
    /// Starts all stubs on free ports.
    pub fn start() -> Self {
        Self {
            queue: Queue::start(),
            table: Table::start(),
            connector: Connector::start(),
            open_id: OpenId::start(),
            login: Login::start(Proof::Secret),
        }
    }

    /// The variable `storageconnection`: queue and tables.
    pub fn connection_string(&self) -> String {
        azurite::connection_string(self.queue.authority(), self.table.authority())
    }

    /// The number of calls so far, of all stubs.
    pub fn calls(&self) -> u64 {
        let issuers = self.open_id.fetches() + self.login.requests();
        self.queue.calls() + self.table.calls() + self.connector.calls() + issuers as u64
    }

    /// Fails if a stub got a request that it did not expect.
    pub fn expect_no_complaint(&self) -> anyhow::Result<()> {
        let storage = self.queue.complaint().or_else(|| self.table.complaint());
        match storage.or_else(|| self.connector.complaint()) {
            None => Ok(()),
            Some(complaint) => bail!("a stub got a request that it does not expect: {complaint}"),
        }
    }
}

/// A server that plays one service, and the state from which it makes its answers. The stub counts the calls,
/// and keeps the first call that it does not expect, for the report.
#[derive(Debug)]
struct Stub<S> {
    server: LoopbackServer,
    shared: Arc<Shared<S>>,
}

#[derive(Debug, Default)]
struct Shared<S> {
    calls: AtomicU64,
    complaint: Mutex<Option<String>>,
    state: Mutex<S>,
}

impl<S: Default + Send + 'static> Stub<S> {
    /// Starts a stub. A request for which `answer` returns `None` was not expected.
    fn start(answer: fn(&mut S, &http::Request<Bytes>) -> Option<http::Response<Bytes>>) -> Self {
        let shared = Arc::<Shared<S>>::default();
        let answering = Arc::clone(&shared);
        let server = LoopbackServer::start(move |request| {
            answering.calls.fetch_add(1, Ordering::Relaxed);
            let answered = answer(&mut lock(&answering.state), &request);
            let answered = answered.unwrap_or_else(|| {
                lock(&answering.complaint).get_or_insert_with(|| describe(&request));
                self::answer(500, "unexpected")
            });
            async { Some(answered) }
        });
        Self { server, shared }
    }

    fn authority(&self) -> &str {
        self.server.authority()
    }

    fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    fn complaint(&self) -> Option<String> {
        lock(&self.shared.complaint).clone()
    }

    fn state(&self) -> MutexGuard<'_, S> {
        lock(&self.shared.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(status: u16, body: impl Into<Bytes>) -> http::Response<Bytes> {
    let mut response = http::Response::new(body.into());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// A request in one line, for a complaint.
fn describe(request: &http::Request<Bytes>) -> String {
    format!("{} {} {}", request.method(), request.uri(), String::from_utf8_lossy(request.body()))
}
