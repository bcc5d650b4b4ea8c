//! A sender's program that gets callbacks. It records them, and answers as the test says.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::loopback_server::LoopbackServer;
use crate::waiting::eventually;

/// A callback that arrived.
#[derive(Debug, Clone)]
pub struct Callback {
    pub headers: HeaderMap,
    pub raw: Bytes,
}

impl Callback {
    /// The body as JSON.
    #[track_caller]
    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.raw).expect("a callback is JSON")
    }

    /// The text of a header.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("a header is text")
    }
}

/// The program; it answers 204 at first.
#[derive(Debug)]
pub struct Program {
    server: LoopbackServer,
    received: Arc<Mutex<Vec<Callback>>>,
    status: Arc<AtomicU16>,
}

impl Program {
    /// Starts the program on a free loopback port.
    pub fn start() -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(AtomicU16::new(204));
        let (recording, answering) = (Arc::clone(&received), Arc::clone(&status));
        let server = LoopbackServer::start(move |request: http::Request<Bytes>| {
            let (head, raw) = request.into_parts();
            let callback = Callback { headers: head.headers, raw };
            recording.lock().unwrap_or_else(PoisonError::into_inner).push(callback);
            let status = answering.load(Ordering::SeqCst);
            async move { http::Response::builder().status(status).body(Bytes::new()).ok() }
        });
        Self { server, received, status }
    }

    /// Answers every later callback with this status.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The address of the program.
    pub fn url(&self) -> String {
        format!("http://{}/bot?code=a-secret", self.server.authority())
    }

    /// Every callback so far.
    pub fn received(&self) -> Vec<Callback> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for this many callbacks, and fails the test if more have come.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Callback> {
        let awaited = format!("{count} callbacks");
        let all = eventually(&awaited, || Some(self.received()).filter(|all| all.len() >= count));
        assert_eq!(all.len(), count, "{all:?}");
        all
    }
}
