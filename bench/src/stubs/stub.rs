//! The base of the stubs. A *stub* is a small server that the components call in place of a real service.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use end_to_end::loopback_server::LoopbackServer;
use serde_json::Value;

/// A server, and the state from which the server makes its responses. The stub counts the calls that it
/// receives, and keeps the first unexpected call as its *complaint*.
#[derive(Debug)]
pub(super) struct Stub<S> {
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
    /// Starts a stub. If `response` returns `None` for a request, the request is unexpected, and the stub
    /// responds with 500.
    pub(super) fn start(
        response: fn(&mut S, &http::Request<Bytes>) -> Option<http::Response<Bytes>>,
    ) -> Self {
        let shared = Arc::<Shared<S>>::default();
        let shared_for_server = Arc::clone(&shared);
        let server = LoopbackServer::start(move |request| {
            shared_for_server.calls.fetch_add(1, Ordering::Relaxed);
            let response = response(&mut lock(&shared_for_server.state), &request);
            let response = response.unwrap_or_else(|| {
                lock(&shared_for_server.complaint).get_or_insert_with(|| describe(&request));
                self::response(500, "unexpected")
            });
            async { Some(response) }
        });
        Self { server, shared }
    }

    pub(super) fn authority(&self) -> &str {
        self.server.authority()
    }

    pub(super) fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    pub(super) fn complaint(&self) -> Option<String> {
        lock(&self.shared.complaint).clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, S> {
        lock(&self.shared.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn response(status: u16, body: impl Into<Bytes>) -> http::Response<Bytes> {
    let mut response = http::Response::new(body.into());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response
}

pub(super) fn json_response(status: u16, body: &Value) -> http::Response<Bytes> {
    let mut response = response(status, body.to_string());
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

/// Describes a request in one line, for a complaint.
fn describe(request: &http::Request<Bytes>) -> String {
    format!("{} {} {}", request.method(), request.uri(), String::from_utf8_lossy(request.body()))
}
