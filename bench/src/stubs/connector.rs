//! The Connector: it takes every activity.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use end_to_end::loopback_server::LoopbackServer;

use super::{answer, describe, lock};

/// A Connector that answers 201 to every post of an activity with a token, whatever token.
#[derive(Debug)]
pub struct Connector {
    server: LoopbackServer,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: AtomicU64,
    /// When an activity came into a conversation, if anybody wants to know.
    arrivals: Mutex<Option<HashMap<String, Instant>>>,
    complaint: Mutex<Option<String>>,
}

impl Connector {
    pub(super) fn start() -> Self {
        let state = Arc::new(State::default());
        let answering = Arc::clone(&state);
        let server = LoopbackServer::start(move |request| {
            let answer = answering.answer(&request);
            async { Some(answer) }
        });
        Self { server, state }
    }

    /// `127.0.0.1:<port>`
    pub fn authority(&self) -> &str {
        self.server.authority()
    }

    /// How many activities came.
    pub fn calls(&self) -> u64 {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// From now on it notes when which conversation got something.
    pub fn note_arrivals(&self) {
        *lock(&self.state.arrivals) = Some(HashMap::new());
    }

    /// When each conversation got something, by its percent-encoded id. It stops noting.
    pub fn take_arrivals(&self) -> HashMap<String, Instant> {
        lock(&self.state.arrivals).take().unwrap_or_default()
    }

    pub(super) fn complaint(&self) -> Option<String> {
        lock(&self.state.complaint).clone()
    }
}

impl State {
    fn answer(&self, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let conversation = request
            .uri()
            .path()
            .split_once("/v3/conversations/")
            .and_then(|(_, rest)| rest.split_once("/activities"))
            .filter(|_| request.method() == http::Method::POST)
            .filter(|_| request.headers().contains_key(http::header::AUTHORIZATION));
        let Some((conversation, _)) = conversation else {
            lock(&self.complaint).get_or_insert_with(|| describe(request));
            return answer(500, "unexpected");
        };
        if let Some(arrivals) = lock(&self.arrivals).as_mut() {
            arrivals.entry(conversation.to_owned()).or_insert_with(Instant::now);
        }
        answer(201, r#"{"id":"sent"}"#)
    }
}
