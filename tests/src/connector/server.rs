//! The server behind the fake Connector.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::reply::Cut;
use super::{Received, Reply, Rule};

#[derive(Default)]
pub(super) struct Shared {
    pub(super) received: Mutex<Vec<Received>>,
    pub(super) unexpected: Mutex<Vec<String>>,
    pub(super) rules: Mutex<Vec<Rule>>,
    pub(super) most_at_once: AtomicUsize,
    waiting: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("received", &self.received).finish_non_exhaustive()
    }
}

/// Ends an exchange without an answer: hyper then closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose, or the request broke off")]
struct Broken;

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections belong to this task, so that aborting it ends them too.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| exchange(request, Arc::clone(&shared)));
    // An error here is a cut connection or a client that left: the record tells what matters.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn exchange(
    request: http::Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<http::Response<Full<Bytes>>, Broken> {
    let (head, body) = request.into_parts();
    let raw = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let received = Received {
        at: Instant::now(),
        method: head.method,
        path: head.uri.to_string(),
        headers: head.headers,
        body: serde_json::from_slice(&raw).unwrap_or(Value::Null),
        raw,
    };
    let reply = shared.decide(received);
    let _guard = Waiting::enter(&shared);
    tokio::time::sleep(reply.delay).await;
    if reply.cut.is_some() {
        return Err(Broken);
    }
    let mut answer = http::Response::builder().status(reply.status);
    if !reply.body.is_empty() {
        answer = answer.header("content-type", "application/json; charset=utf-8");
    }
    for (name, value) in reply.headers {
        answer = answer.header(name, value);
    }
    Ok(answer.body(Full::from(reply.body)).expect("a scripted answer is well-formed"))
}

impl Shared {
    fn decide(&self, received: Received) -> Reply {
        let rules = self.rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ruled = catch_unwind(AssertUnwindSafe(|| rules.iter().find_map(|rule| rule(&received))));
        drop(rules);
        let mut all = self.received.lock().unwrap();
        let sequence = all.len() + 1;
        let reply = match (ruled, received.objection()) {
            (Err(_), _) => self.complain("a rule of the test panicked", &received),
            (Ok(_), Some(objection)) => self.complain(objection, &received),
            (Ok(Some(reply)), None) => reply,
            (Ok(None), None) if received.body["type"] == "typing" => Reply::status(202, Value::Null),
            (Ok(None), None) => Reply::created(&format!("sent-{sequence}")),
        };
        if reply.cut != Some(Cut::Unseen) {
            all.push(received);
        }
        reply
    }

    fn complain(&self, why: &str, received: &Received) -> Reply {
        let complaint = format!("{why}: {received:?}");
        self.unexpected.lock().unwrap().push(complaint.clone());
        Reply::error(500, &complaint)
    }
}

/// Counts the requests that wait for their answers.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn enter(shared: &'a Shared) -> Self {
        let now = shared.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_at_once.fetch_max(now, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
