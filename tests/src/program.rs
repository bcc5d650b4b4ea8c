//! A fake of a program that receives callbacks. A *callback* is an HTTP request in which the poller sends a
//! person's answer to the program that asked the question. The fake records the callbacks, and responds with
//! the HTTP status that the test sets.

use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value, json};

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

impl Callback {
    /// Checks the signature with the reference library of Standard Webhooks, the specification that callbacks
    /// follow. `secret` is the key of the signature. Fails the test if the signature is not valid. Returns
    /// the body that the library accepted.
    #[track_caller]
    pub fn verify_signature(&self, secret: &str) -> Value {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers: Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), self.header(name).into())).collect();
        let body = String::from_utf8_lossy(&self.raw);
        let input = json!({"secret": secret, "headers": headers, "body": body});
        run_node("dev/webhook.cjs", &[], &[], &input.to_string())
    }
}

/// Takes all messages off a *queue of replies* (a queue with people's answers), and returns their JSON.
/// `queue` is the name of the queue. Uses Microsoft's own client, as real programs do.
#[track_caller]
pub fn take_replies(connection_string: &str, queue: &str) -> Vec<Value> {
    // Without `DefaultEndpointsProtocol`, Microsoft's client would expect a SAS (shared access signature) in
    // the connection string, and not an account key.
    let connection_string = format!("DefaultEndpointsProtocol=http;{connection_string}");
    let environment = [("QUEUE_CONNECTION", connection_string.as_str())];
    match run_node("dev/replies.cjs", &[queue], &environment, "") {
        Value::Array(replies) => replies,
        other => panic!("expected a list, found {other}"),
    }
}

/// Runs a Node.js script of the folder `dev`, and returns the JSON that the script prints.
#[track_caller]
fn run_node(script: &str, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Value {
    let mut command = dev::tools::node();
    command.arg(dev::workspace::root().join(script)).args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("Node.js runs");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// The fake program. It responds with 204 until [`Self::respond_with`] sets another status.
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

    /// Sets the HTTP status of all later responses.
    pub fn respond_with(&self, status: u16) {
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

    /// Waits until `count` callbacks have arrived. Fails the test if more callbacks have arrived.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Callback> {
        let awaited = format!("{count} callbacks");
        let all = eventually(&awaited, || Some(self.received()).filter(|all| all.len() >= count));
        assert_eq!(all.len(), count, "{all:?}");
        all
    }
}
