//! The outside world of a benchmark: servers on loopback that do next to nothing, count what comes, and fail the run on
//! anything that they do not expect.

mod connector;
mod queue;

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::bail;
use bytes::Bytes;

pub use connector::Connector;
pub use queue::Queue;

/// Every stub at once.
#[derive(Debug)]
pub struct Stubs {
    /// The storage queue.
    pub queue: Queue,
    /// The Bot Connector.
    pub connector: Connector,
}

impl Stubs {
    /// Starts them on free ports.
    pub fn start() -> Self {
        Self { queue: Queue::start(), connector: Connector::start() }
    }

    /// Every call that came so far.
    pub fn calls(&self) -> u64 {
        self.queue.calls() + self.connector.calls()
    }

    /// Fails if a request came that a stub did not expect.
    pub fn expect_no_complaint(&self) -> anyhow::Result<()> {
        match self.queue.complaint().or_else(|| self.connector.complaint()) {
            None => Ok(()),
            Some(complaint) => bail!("a stub did not expect: {complaint}"),
        }
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
