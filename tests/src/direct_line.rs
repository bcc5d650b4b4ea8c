//! A strict fake of Direct Line 3.0, an HTTP API of the Bot Framework. Through Direct Line, the poller can
//! send *triggers* to the bot. A trigger is an event that contains an alert. The fake follows the reference
//! of Direct Line (`directline-3.0.json` in microsoft/botframework-sdk).
//!
//! Each request to the fake must have the secret of Direct Line. The fake accepts no activity other than a
//! trigger. The trigger must be in a conversation that the fake has started. If the test has called
//! [`DirectLine::forward_to`], the fake forwards the triggers to the bot.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::failure;
use crate::loopback_server::LoopbackServer;
use crate::web;

/// The fake of Direct Line. If the poller sends a request that it must never send, the fake responds with
/// 400, and keeps a *complaint*: a text with the reason and the request. A fake with a complaint fails the
/// test when the fake is dropped.
#[derive(Debug)]
pub struct DirectLine {
    server: LoopbackServer,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    secret: String,
    /// The address to which the fake forwards triggers.
    bot: Option<String>,
    conversations: Vec<Conversation>,
    /// The responses that the test has chosen for the next triggers. If the list is empty, the fake accepts
    /// the next trigger.
    scripted: VecDeque<(u16, Value)>,
    complaints: Vec<String>,
}

#[derive(Debug, Default)]
struct Conversation {
    id: String,
    triggers: Vec<Value>,
}

impl DirectLine {
    /// Starts a fake that demands this secret. If the secret is empty, the poller must send no secret.
    pub fn start(secret: &str) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            secret: secret.to_owned(),
            bot: None,
            conversations: Vec::new(),
            scripted: VecDeque::new(),
            complaints: Vec::new(),
        }));
        let answering = Arc::clone(&shared);
        let server = LoopbackServer::start(move |request| {
            let (response, delivery) =
                answering.lock().unwrap_or_else(PoisonError::into_inner).response(&request);
            async move {
                Some(match delivery {
                    Some(delivery) if !delivery.forward().await => bad_gateway(),
                    _ => response,
                })
            }
        });
        Self { server, shared }
    }

    /// Makes the fake forward triggers to the bot at this address, and wait for the bot's response. If the
    /// test has called [`Self::fail_next`], the fake does not forward the next trigger.
    pub fn forward_to(&self, bot: String) {
        self.locked().bot = Some(bot);
    }

    /// The address of the fake: `127.0.0.1:<port>`.
    pub fn authority(&self) -> &str {
        self.server.authority()
    }

    /// Makes the next trigger fail with this status. The response has an error body in the form of Direct
    /// Line.
    pub fn fail_next(&self, status: u16) {
        self.locked().scripted.push_back((status, bot_error(status)));
    }

    /// How many conversations the fake has started.
    pub fn conversations(&self) -> usize {
        self.locked().conversations.len()
    }

    /// Every trigger that the fake has received, including failed triggers. The list is sorted by
    /// conversation.
    pub fn triggers(&self) -> Vec<Value> {
        self.locked().conversations.iter().flat_map(|conversation| conversation.triggers.clone()).collect()
    }

    /// Returns the complaints and clears them. A test that provokes a complaint calls this function.
    /// Otherwise, the fake would fail the test.
    pub fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.locked().complaints)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A trigger to forward to the bot.
struct Delivery {
    bot: String,
    activity: Value,
}

impl Delivery {
    /// Forwards the trigger. Returns whether the bot accepts the trigger.
    async fn forward(&self) -> bool {
        let request = http::Request::post(&self.bot).header("content-type", "application/json");
        let request = request.body(web::whole(self.activity.to_string())).unwrap();
        web::exchange(request).await.is_ok_and(|response| (200..300).contains(&response.status))
    }
}

fn bot_error(status: u16) -> Value {
    json!({
        "error": {"code": "BotError", "message": "Failed to send activity: bot returned an error"},
        "httpStatusCode": status,
    })
}

/// Makes the response of Direct Line after a failure of the bot. The status is 502, whatever the failure was.
fn bad_gateway() -> http::Response<Bytes> {
    as_response(502, &bot_error(502))
}

fn as_response(status: u16, body: &Value) -> http::Response<Bytes> {
    let response = http::Response::builder().status(status).header("content-type", "application/json");
    response.body(body.to_string().into()).unwrap()
}

impl Shared {
    fn response(&mut self, request: &http::Request<Bytes>) -> (http::Response<Bytes>, Option<Delivery>) {
        let mut delivery = None;
        let (status, body) = match self.choose_response(request, &mut delivery) {
            Ok(response) => response,
            Err(objection) => {
                let body = String::from_utf8_lossy(request.body());
                self.complaints.push(format!("{objection}: {} {} {body}", request.method(), request.uri()));
                (400, json!({"error": {"code": "BadArgument", "message": objection}}))
            }
        };
        (as_response(status, &body), delivery)
    }

    /// Chooses the response to a request. If the fake also has to forward the trigger to the bot, this
    /// function sets `delivery`. In this case, the fake sends the chosen response only if the bot accepts the
    /// trigger. Otherwise, the fake responds with 502.
    fn choose_response(
        &mut self,
        request: &http::Request<Bytes>,
        delivery: &mut Option<Delivery>,
    ) -> Result<(u16, Value), &'static str> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        if request.method() != http::Method::POST {
            return Err("expected POST, because the poller only posts");
        }
        let secret = header("authorization").map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
        if secret.unwrap_or_default() != self.secret {
            return Ok((
                403,
                json!({"error": {"code": "BadArgument", "message": "Invalid token or secret"}}),
            ));
        }
        let path = request.uri().path().strip_prefix("/v3/directline/conversations");
        if path == Some("") {
            // Like a real id, this id ends in a dash and a region.
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
            return Err("expected that an activity is application/json");
        }
        let trigger: Value =
            serde_json::from_slice(request.body()).map_err(|_| "expected that an activity is JSON")?;
        if trigger["type"] != "event" || !trigger["name"].is_string() || !trigger["from"]["id"].is_string() {
            return Err("expected that an event has a type, a name and a from.id");
        }
        if !trigger["value"].is_object() {
            return Err("expected that a trigger has a value");
        }
        conversation.triggers.push(trigger.clone());
        let activity_id = format!("{id}|{:07}", conversation.triggers.len());
        if let (Some(bot), true) = (&self.bot, self.scripted.is_empty()) {
            let host = header("host").ok_or("expected that a request has a Host header")?;
            let mut activity = trigger;
            for (name, value) in [
                ("id", json!(activity_id)),
                ("channelId", json!("directline")),
                ("serviceUrl", json!(format!("http://{host}/"))),
                ("conversation", json!({"id": id})),
                ("recipient", json!({"id": "bot@handle"})),
            ] {
                activity[name] = value;
            }
            *delivery = Some(Delivery { bot: bot.clone(), activity });
        }
        Ok(self.scripted.pop_front().unwrap_or((200, json!({"id": activity_id}))))
    }
}

impl Drop for DirectLine {
    fn drop(&mut self) {
        let shared = self.locked();
        if std::thread::panicking() {
            failure::note(format!("Direct Line: {shared:#?}"));
        } else {
            assert!(shared.complaints.is_empty(), "Direct Line did not expect: {:#?}", shared.complaints);
        }
    }
}
