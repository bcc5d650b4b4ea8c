//! A fake server that the bot and the poller must never call. The server records every request, so a test can
//! check that no request has arrived.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::loopback_server::LoopbackServer;

/// The fake server. It responds with 200 to every request.
#[derive(Debug)]
pub struct Recorder {
    server: LoopbackServer,
    received: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// Starts the server on a free loopback port. The manifest (`spin.toml`) allows the components to call
    /// loopback, so the Spin host does not block a call to this server. The components' own code must prevent
    /// the call.
    pub fn start() -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let recording = Arc::clone(&received);
        let server = LoopbackServer::start(move |request: http::Request<Bytes>| {
            recording.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{request:?}"));
            async { Some(http::Response::new(Bytes::from_static(b"{\"id\":\"thank you\"}"))) }
        });
        Self { server, received }
    }

    /// `http://127.0.0.1:<port>`
    pub fn origin(&self) -> String {
        format!("http://{}", self.server.authority())
    }

    /// Every request that was received so far.
    pub fn received(&self) -> Vec<String> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails the test if any request was received.
    #[track_caller]
    pub fn expect_silence(&self) {
        let received = self.received();
        assert!(received.is_empty(), "expected no request at an untrusted host, found {received:#?}");
    }
}
