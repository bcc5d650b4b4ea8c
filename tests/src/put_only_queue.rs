//! A fake queue service that accepts only Put Message: the call that puts a message on a queue (a *Put*). A
//! test can read the parameters of each accepted Put, such as the time for which the queue message is hidden.
//! A test can also make the fake refuse Puts. Azurite (Microsoft's emulator of Azure Storage) is not enough
//! for these tests: Azurite shows no hidden queue messages, and a test cannot make Azurite refuse a Put.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::Value;

use crate::loopback_server::LoopbackServer;
use crate::queue::decode;

/// An accepted Put.
#[derive(Debug, Clone)]
pub struct Put {
    /// The query parameter `visibilitytimeout`; 0 if the Put has no such parameter.
    pub hidden_seconds: u64,
    /// The query parameter `messagettl`; empty if the Put has no such parameter.
    pub time_to_live: String,
    /// The *envelope*: the JSON that the queue message contains as base64.
    pub envelope: Value,
}

/// The fake service. The server stops when this value is dropped.
#[derive(Debug)]
pub struct PutOnlyQueue {
    server: LoopbackServer,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    puts: Vec<Put>,
    refuse: Vec<&'static str>,
}

impl PutOnlyQueue {
    /// Starts the service.
    pub fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared { puts: Vec::new(), refuse: Vec::new() }));
        let answering = Arc::clone(&shared);
        let server = LoopbackServer::start(move |request| {
            let response = answering.lock().unwrap().response(&request);
            async move { Some(response) }
        });
        Self { server, shared }
    }

    /// `127.0.0.1:<port>`
    pub fn authority(&self) -> &str {
        self.server.authority()
    }

    /// From now on, responds with 503 to each Put whose envelope names one of these conversations, and
    /// accepts all other Puts. If a test uses this function again, the new list of conversations replaces the
    /// old list.
    pub fn refuse(&self, conversations: &[&'static str]) {
        self.shared.lock().unwrap().refuse = conversations.to_vec();
    }

    /// Returns the accepted Puts, and removes them from the fake.
    pub fn take(&self) -> Vec<Put> {
        std::mem::take(&mut self.shared.lock().unwrap().puts)
    }
}

impl Shared {
    fn response(&mut self, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let response =
            |status: u16, body: String| http::Response::builder().status(status).body(body.into()).unwrap();
        let query = request.uri().query().unwrap_or_default();
        let of = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                .map(ToOwned::to_owned)
        };
        let body = String::from_utf8_lossy(request.body());
        let text = body.split_once("<MessageText>").and_then(|(_, rest)| rest.split_once("</MessageText>"));
        let (true, Some((text, _))) = (request.method() == http::Method::POST, text) else {
            return response(
                400,
                format!(
                    "the put-only queue expects POST with MessageText, found {} {}",
                    request.method(),
                    request.uri()
                ),
            );
        };
        let envelope = decode(text);
        let conversation = envelope["address"]["conversation"]["id"].as_str().unwrap_or_default();
        if self.refuse.contains(&conversation) {
            return response(503, "<Error><Code>ServerBusy</Code></Error>".into());
        }
        self.puts.push(Put {
            hidden_seconds: of("visibilitytimeout").and_then(|value| value.parse().ok()).unwrap_or_default(),
            time_to_live: of("messagettl").unwrap_or_default(),
            envelope,
        });
        let receipt = "<QueueMessagesList><QueueMessage><MessageId>1</MessageId><PopReceipt>1</PopReceipt></QueueMessage></QueueMessagesList>";
        response(201, receipt.into())
    }
}
