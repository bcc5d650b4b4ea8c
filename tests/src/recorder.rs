//! A stranger's server: it writes down whatever comes, and nothing should.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::loopback_server::LoopbackServer;

/// The stranger; it answers everything with 200.
#[derive(Debug)]
pub struct Recorder {
    server: LoopbackServer,
    received: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// Starts one on a free loopback port, which the components may call: only their own rules keep them away.
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

    /// Everything that came so far.
    pub fn received(&self) -> Vec<String> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails the test if anything came.
    #[track_caller]
    pub fn expect_silence(&self) {
        let received = self.received();
        assert!(received.is_empty(), "nothing may reach a stranger: {received:#?}");
    }
}
