//! Chooses the response to each request to the fake Connector, and sends this response.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use super::chats::Chats;
use super::reply::Cut;
use super::rule::Rule;
use super::{Received, Reply, Teams};
use crate::login::Tokens;
use crate::loopback_server::{BrokenConnection, ResponseBody};

#[derive(Default)]
pub(super) struct Shared {
    pub(super) received: Mutex<Vec<Received>>,
    /// The requests that create a conversation, or read the members of a conversation.
    pub(super) conversation_calls: Mutex<Vec<Received>>,
    pub(super) teams: Mutex<Teams>,
    pub(super) complaints: Mutex<Vec<String>>,
    pub(super) rules: Mutex<Vec<Rule>>,
    pub(super) chats: Mutex<Chats>,
    /// The tokens that the fake accepts. With `None`, a request must not have a token.
    pub(super) tokens: Mutex<Option<Tokens>>,
    pub(super) most_at_once: AtomicUsize,
    waiting: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("received", &self.received).finish_non_exhaustive()
    }
}

pub(super) async fn exchange(
    request: http::Request<Bytes>,
    shared: Arc<Shared>,
) -> Option<http::Response<ResponseBody>> {
    let (head, raw) = request.into_parts();
    let received = Received {
        at: Instant::now(),
        method: head.method,
        path: head.uri.to_string(),
        headers: head.headers,
        body: serde_json::from_slice(&raw).unwrap_or(Value::Null),
        raw,
        answered: Arc::default(),
    };
    let answered = Arc::clone(&received.answered);
    let reply = shared.choose_response(received);
    let _guard = Waiting::enter(&shared);
    tokio::time::sleep(reply.delay).await;
    let cut_in_body = match reply.cut {
        None => false,
        Some(Cut::InBody) => true,
        Some(Cut::Unseen | Cut::Unanswered) => return None,
    };
    let mut response = http::Response::builder().status(reply.status);
    if !reply.body.is_empty() {
        response = response.header("content-type", "application/json; charset=utf-8");
    }
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    // If the connection breaks during the `sleep` above, hyper (the HTTP library) drops this async function.
    // This happens if a test kills the Spin host of the poller. `answered` then stays empty.
    _ = answered.set(Instant::now());
    let body = Bytes::from(reply.body);
    let body = match reply.endless_body {
        Some(endless) => ResponseBody::stream(stream::iter([Ok(body)]).chain(endless.bytes())),
        None if cut_in_body => ResponseBody::stream(half(body)),
        None => body.into(),
    };
    Some(response.body(body).expect("a scripted response is well-formed"))
}

/// Makes a stream with the first half of the body, and then an error. The error breaks the connection. Before
/// the error, the stream lets other tasks run once, and hyper sends the first half. Otherwise, the first half
/// would still be in hyper's buffer when the connection breaks.
fn half(body: Bytes) -> impl Stream<Item = Result<Bytes, BrokenConnection>> + Send + 'static {
    let cut = async {
        tokio::task::yield_now().await;
        Err(BrokenConnection)
    };
    stream::iter([Ok(body.slice(..body.len() / 2))]).chain(stream::once(cut))
}

impl Shared {
    fn choose_response(&self, received: Received) -> Reply {
        let rules = self.rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ruled = catch_unwind(AssertUnwindSafe(|| rules.iter().find_map(|rule| rule(&received))));
        drop(rules);
        let mut teams = self.teams.lock().unwrap();
        let teams_response = teams.response(&received);
        let objection = match &teams_response {
            Some(Err(why)) => Some(*why),
            other => received.objection(other.is_none(), self.tokens.lock().unwrap().as_ref()),
        };
        let is_activity = teams_response.is_none();
        let mut all = if is_activity { &self.received } else { &self.conversation_calls }.lock().unwrap();
        let sequence = all.len() + 1;
        let is_purged = received.conversation().is_some_and(|conversation| teams.is_purged(&conversation));
        let reply = match (ruled, objection) {
            (Err(_), _) => self.complain("a rule of the test panicked", &received),
            (Ok(_), Some(objection)) => self.complain(objection, &received),
            (Ok(Some(reply)), None) => reply,
            (Ok(None), None) if is_purged => Reply::error(404, "ConversationNotFound"),
            (Ok(None), None) if received.body["type"] == "typing" => Reply::status(202, Value::Null),
            (Ok(None), None) => match teams_response {
                Some(Ok(reply)) => reply,
                _ => {
                    let changed = self.chats.lock().unwrap().response(&received);
                    changed.unwrap_or_else(|| Reply::created(&format!("sent-{sequence}")))
                }
            },
        };
        if (200..300).contains(&reply.status) && reply.cut != Some(Cut::Unseen) {
            let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
            let mut chats = self.chats.lock().unwrap();
            chats.apply(&received, body["id"].as_str());
            if let (Some(thread), Some(id)) = (body["id"].as_str(), body["activityId"].as_str()) {
                chats.start_thread(thread, id, &received.body["activity"]);
            }
        }
        if reply.cut != Some(Cut::Unseen) {
            all.push(received);
        }
        reply
    }

    fn complain(&self, why: &str, received: &Received) -> Reply {
        let complaint = format!("{why}: {received:?}");
        self.complaints.lock().unwrap().push(complaint.clone());
        Reply::status(500, json!({ "error": { "code": "Unexpected", "message": complaint } }))
    }
}

/// Counts one request that waits for its response, until this value is dropped.
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
