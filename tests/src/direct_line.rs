//! A strict Direct Line 3.0, after its reference (`directline-3.0.json` in microsoft/botframework-sdk): it wants the secret,
//! knows its conversations, and takes nothing but triggers. What `dev::direct_line` cannot refuse, this one does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::failure;
use crate::loopback_server::LoopbackServer;

/// The fake; a request that the poller has no business sending is answered with 400, and fails the test when it goes away.
#[derive(Debug)]
pub struct DirectLine {
    server: LoopbackServer,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    secret: String,
    conversations: Vec<Conversation>,
    /// What the next triggers are answered with, instead of success.
    scripted: VecDeque<(u16, Value)>,
    unexpected: Vec<String>,
}

#[derive(Debug, Default)]
struct Conversation {
    id: String,
    triggers: Vec<Value>,
}

impl DirectLine {
    /// Starts one that is opened by this secret.
    pub fn start(secret: &str) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            secret: secret.to_owned(),
            conversations: Vec::new(),
            scripted: VecDeque::new(),
            unexpected: Vec::new(),
        }));
        let answering = Arc::clone(&shared);
        let server = LoopbackServer::start(move |request| {
            let answer = answering.lock().unwrap_or_else(PoisonError::into_inner).answer(&request);
            async move { Some(answer) }
        });
        Self { server, shared }
    }

    /// `127.0.0.1:<port>`
    pub fn authority(&self) -> &str {
        self.server.authority()
    }

    /// The next trigger is answered with this status, in Direct Line's own words.
    pub fn fail_next(&self, status: u16) {
        let body = json!({
            "error": {"code": "BotError", "message": "Failed to send activity: bot returned an error"},
            "httpStatusCode": status,
        });
        self.locked().scripted.push_back((status, body));
    }

    /// How many conversations were started.
    pub fn conversations(&self) -> usize {
        self.locked().conversations.len()
    }

    /// The triggers that came, failed ones included, conversation after conversation.
    pub fn triggers(&self) -> Vec<Value> {
        self.locked().conversations.iter().flat_map(|conversation| conversation.triggers.clone()).collect()
    }

    /// Takes the complaints out: for the test of this very feature.
    pub fn take_unexpected(&self) -> Vec<String> {
        std::mem::take(&mut self.locked().unexpected)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn answer(&mut self, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let (status, body) = match self.take(request) {
            Ok(answer) => answer,
            Err(objection) => {
                let body = String::from_utf8_lossy(request.body());
                self.unexpected.push(format!("{objection}: {} {} {body}", request.method(), request.uri()));
                (400, json!({"error": {"code": "BadArgument", "message": objection}}))
            }
        };
        let answer = http::Response::builder().status(status).header("content-type", "application/json");
        answer.body(body.to_string().into()).unwrap()
    }

    fn take(&mut self, request: &http::Request<Bytes>) -> Result<(u16, Value), &'static str> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        if request.method() != http::Method::POST {
            return Err("the poller only posts");
        }
        if header("authorization").and_then(|value| value.strip_prefix("Bearer ")) != Some(&self.secret) {
            return Ok((
                403,
                json!({"error": {"code": "BadArgument", "message": "Invalid token or secret"}}),
            ));
        }
        let path = request.uri().path().strip_prefix("/v3/directline/conversations");
        if path == Some("") {
            // Like the real ones: a dash and a region at the end.
            let id = format!("Kx7bLq2nT4{}-eu", self.conversations.len());
            self.conversations.push(Conversation { id: id.clone(), ..Conversation::default() });
            let body = json!({
                "conversationId": id, "token": "a-token", "expires_in": 1800,
                "streamUrl": format!("wss://directline.botframework.com/v3/directline/conversations/{id}/stream?t=x"),
            });
            return Ok((201, body));
        }
        let id =
            path.and_then(|path| path.strip_prefix('/')).and_then(|path| path.strip_suffix("/activities"));
        let id = id.ok_or("no such route")?;
        let known = self.conversations.iter_mut().find(|conversation| conversation.id == id);
        let conversation = known.ok_or("no such conversation")?;
        if header("content-type") != Some("application/json") {
            return Err("an activity is application/json");
        }
        let trigger: Value = serde_json::from_slice(request.body()).map_err(|_| "an activity is JSON")?;
        if trigger["type"] != "event" || !trigger["name"].is_string() || !trigger["from"]["id"].is_string() {
            return Err("an event has a type, a name and a from.id");
        }
        if !trigger["value"].is_object() {
            return Err("a trigger has a value");
        }
        conversation.triggers.push(trigger);
        let activity_id = format!("{id}|{:07}", conversation.triggers.len());
        Ok(self.scripted.pop_front().unwrap_or((200, json!({"id": activity_id}))))
    }
}

impl Drop for DirectLine {
    fn drop(&mut self) {
        let shared = self.locked();
        if std::thread::panicking() {
            failure::note(format!("Direct Line: {shared:#?}"));
        } else {
            assert!(shared.unexpected.is_empty(), "Direct Line did not expect: {:#?}", shared.unexpected);
        }
    }
}
