//! A fake of the bot, for the tests of the operator's page (the web page that the bot serves at `/ops`). The
//! fake serves the real page, and responds to the page's API calls in the shapes of `docs/openapi.yaml`.
//!
//! The fake has a list of alerts, a list of conversations and a list of dead letters (messages in the poison
//! queue). If the page sends an alert, the fake adds the alert to the list of alerts. If the page drops or
//! *replays* a dead letter, the fake removes the dead letter from the list. (To replay a dead letter, the
//! real bot puts the message on the main queue again.)
//!
//! If the page makes an API call that it must not make, the fake responds with 500 and keeps a *complaint*: a
//! text with the call and the reason.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::failure;
use crate::loopback_server::LoopbackServer;
use crate::web::WholeResponse;

/// The API key that the fake accepts.
pub const KEY: &str = "an-alert-key-for-tests";

/// The most dead letters that one API call replays or drops. If the call selects more dead letters, the
/// member `more` of the response is true, and the page repeats the call. The real bot replays or drops more
/// dead letters in one call.
const DONE_AT_ONCE: usize = 32;

/// The fake bot. If the fake has a complaint when this value is dropped, the test fails.
#[derive(Debug)]
pub struct OperatedBot {
    server: LoopbackServer,
    shared: Arc<Mutex<Shared>>,
}

/// An API call that the page made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    /// The path and the query, e.g. `/api/alerts?limit=20`.
    pub path: String,
    pub body: String,
}

/// The data of the fake: its lists, the scripted responses, and the calls of the page.
#[derive(Debug, Default)]
pub struct Shared {
    pub status: Value,
    /// The alerts, newest first.
    pub alerts: Vec<Value>,
    /// The dead letters, newest first.
    pub dead: Vec<Value>,
    /// The conversations that the bot knows. The API calls such a conversation a *target*.
    pub targets: Vec<Value>,
    /// The dead letters that the fake refuses to replay. The map key is the id of the dead letter, and the
    /// value is the reason, as a text for people.
    pub refusals: BTreeMap<String, String>,
    /// Scripted responses. Each has a text such as `GET /api/alerts`, an HTTP status and a body. If the
    /// `<method> <path>` of a call starts with the text, the fake responds with the status and the body, and
    /// removes the scripted response. Such a call does not change the lists.
    pub scripted: VecDeque<(&'static str, u16, Value)>,
    calls: Vec<Call>,
    complaints: Vec<String>,
}

impl OperatedBot {
    /// Starts the fake. `page` is the real bot's response to `GET /ops`. The fake returns the same response.
    pub fn start(page: &WholeResponse) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (answering, page) = (Arc::clone(&shared), page.clone());
        let server = LoopbackServer::start(move |request: Request<Bytes>| {
            let response =
                if request.uri() == "/ops" { copy_of(&page) } else { locked(&answering).response(&request) };
            async move { Some(response) }
        });
        Self { server, shared }
    }

    /// The address of the page.
    pub fn page(&self) -> String {
        format!("http://{}/ops", self.server.authority())
    }

    /// The data of the fake. The test can read and change the data.
    pub fn hold(&self) -> MutexGuard<'_, Shared> {
        locked(&self.shared)
    }

    /// The calls whose `<method> <path>` starts with `beginning`, in the order in which they arrived.
    pub fn calls(&self, beginning: &str) -> Vec<Call> {
        let begins = |call: &&Call| format!("{} {}", call.method, call.path).starts_with(beginning);
        self.hold().calls.iter().filter(begins).cloned().collect()
    }

    /// Returns the complaints and clears them. A test that provokes a complaint calls this function, so that
    /// the fake does not fail the test.
    pub fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.hold().complaints)
    }
}

impl Drop for OperatedBot {
    fn drop(&mut self) {
        let complaints = self.take_complaints();
        if std::thread::panicking() {
            failure::note(format!("The fake's complaints about the page: {complaints:#?}"));
        } else {
            assert!(complaints.is_empty(), "the page made calls that it must not make: {complaints:#?}");
        }
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn copy_of(page: &WholeResponse) -> Response<Bytes> {
    let mut response = Response::new(page.body.clone());
    *response.headers_mut() = page.headers.clone();
    for name in ["content-length", "transfer-encoding", "connection", "date"] {
        response.headers_mut().remove(name);
    }
    response
}

fn json_response(status: u16, body: &Value) -> Response<Bytes> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.header("x-request-id", "request-of-the-test").body(body.to_string().into()).unwrap()
}

fn error_response(status: u16, code: &str, message: &str) -> Response<Bytes> {
    json_response(status, &json!({"error": {"code": code, "message": message}}))
}

/// Returns one page of a list, and the value for the response's member `next`. (Here, a *page* is a part of a
/// list, and not the web page.) The value is the id of the page's last element, or null on the last page. The
/// page has at most `limit` elements (`limit` is in the query). If the query has `after`, the page begins
/// after the element with this id. The argument `id` of this function names the JSON member that contains the
/// id of an element.
fn page_of<'a>(
    list: impl Iterator<Item = &'a Value>,
    query: &BTreeMap<String, String>,
    id: &str,
) -> (Vec<Value>, Value) {
    let limit: usize = query["limit"].parse().unwrap();
    let mut rest = list.peekable();
    if let Some(after) = query.get("after") {
        while rest.next_if(|element| element[id] != after.as_str()).is_some() {}
        rest.next();
    }
    let page: Vec<Value> = rest.by_ref().take(limit).cloned().collect();
    let next = if rest.peek().is_some() {
        page.last().map_or(Value::Null, |last| last[id].clone())
    } else {
        Value::Null
    };
    (page, next)
}

fn with_next(mut body: Value, next: Value) -> Response<Bytes> {
    if !next.is_null() {
        body["next"] = next;
    }
    json_response(200, &body)
}

impl Shared {
    fn response(&mut self, request: &Request<Bytes>) -> Response<Bytes> {
        let (method, path) = (request.method().as_str(), request.uri().path());
        let whole = request.uri().to_string();
        let body = String::from_utf8_lossy(request.body()).into_owned();
        self.calls.push(Call { method: method.into(), path: whole.clone(), body: body.clone() });
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        let authorization = header("authorization").unwrap_or_default().to_owned();
        for (is_wrong, complaint) in [
            (header("cookie").is_some(), "a call has a cookie"),
            (header("referer").is_some(), "a call names the page's address in Referer"),
            (whole.contains(KEY) || body.contains(KEY), "the key is in the URL or in the body"),
            (!authorization.starts_with("Bearer "), "a call has no key"),
        ] {
            if is_wrong {
                return self.complain(method, &whole, complaint);
            }
        }
        if authorization != format!("Bearer {KEY}") {
            return error_response(401, "Unauthorized", "Authorization: the key is unknown; check the key");
        }
        let line = format!("{method} {whole}");
        if let Some(at) = self.scripted.iter().position(|(beginning, ..)| line.starts_with(beginning)) {
            let (_, status, body) = self.scripted.remove(at).unwrap();
            return json_response(status, &body);
        }
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let known: &[&str] = match (method, path) {
            ("GET", "/api/status") | ("POST", _) => &[],
            ("GET", "/api/dead") => &["after", "limit", "outcome", "conversation", "text"],
            ("GET", "/api/targets") => &["after", "limit"],
            ("GET", "/api/alerts") => &["status", "tag", "since", "after", "limit"],
            _ => &["wait"],
        };
        if let Some(name) = query.keys().find(|name| !known.contains(&name.as_str())) {
            return self.complain(method, &whole, &format!("there is no parameter {name}"));
        }
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        match (method, path) {
            ("GET", "/api/status") => json_response(200, &self.status),
            ("GET", "/api/alerts") => {
                let is_asked = |alert: &&Value| {
                    ["status", "tag"]
                        .iter()
                        .all(|name| query.get(*name).is_none_or(|asked| alert[name] == **asked))
                };
                let (page, next) = page_of(self.alerts.iter().filter(is_asked), &query, "id");
                with_next(json!({"alerts": page}), next)
            }
            ("GET", "/api/targets") => {
                let (page, next) = page_of(self.targets.iter(), &query, "conversation");
                with_next(json!({"targets": page}), next)
            }
            ("GET", "/api/dead") => self.dead_letters(&query),
            ("POST", "/api/dead/replay") => self.act(&whole, &body, "replayed"),
            ("POST", "/api/dead/drop") => self.act(&whole, &body, "dropped"),
            ("POST", "/api/alerts") => self.alert(&whole, &body),
            ("GET", _) if path.starts_with("/api/alerts/") => {
                let id = &path["/api/alerts/".len()..];
                match self.alerts.iter().find(|alert| alert["id"] == id) {
                    Some(alert) => json_response(200, alert),
                    None => error_response(404, "NotFound", "id: the bot knows no such alert; check the id"),
                }
            }
            _ => self.complain(method, &whole, "there is no such route"),
        }
    }

    fn complain(&mut self, method: &str, path: &str, complaint: &str) -> Response<Bytes> {
        let complaint = format!("{method} {path}: {complaint}");
        self.complaints.push(complaint.clone());
        error_response(500, "Unexpected", &complaint)
    }

    fn dead_letters(&self, query: &BTreeMap<String, String>) -> Response<Bytes> {
        let is_asked =
            |letter: &&Value| query.get("outcome").is_none_or(|asked| letter["outcome"] == **asked);
        let (mut page, next) = page_of(self.dead.iter().filter(is_asked), query, "id");
        // The bot returns the texts of dead letters only if the query has `text=true`.
        if query.get("text").map(String::as_str) != Some("true") {
            page.iter_mut().for_each(|letter| _ = letter.as_object_mut().unwrap().remove("text"));
        }
        with_next(json!({"messages": self.dead.len(), "dead": page}), next)
    }

    /// Replays or drops the dead letters that the call selects. `done` is `replayed` or `dropped`. In the
    /// response, the JSON member with this name lists the ids of the replayed or dropped letters.
    fn act(&mut self, path: &str, body: &Value, done: &str) -> Response<Bytes> {
        let ids: Option<Vec<&str>> =
            body["ids"].as_array().map(|ids| ids.iter().map(|id| id.as_str().unwrap()).collect());
        let known = ["ids", "outcome", "all"];
        let is_wrong =
            body.as_object().is_none_or(|body| body.keys().any(|name| !known.contains(&name.as_str())))
                || [ids.is_some(), body["outcome"].is_string(), body["all"] == true]
                    .iter()
                    .filter(|given| **given)
                    .count()
                    != 1
                || ids.as_ref().is_some_and(|ids| ids.is_empty() || ids.len() > 100);
        if is_wrong {
            return self.complain(
                "POST",
                path,
                &format!("expected one of ids, outcome and all, found {body}"),
            );
        }
        let is_chosen = |letter: &Value| match &ids {
            Some(ids) => ids.iter().any(|id| letter["id"] == *id),
            None => body["all"] == true || letter["outcome"] == body["outcome"],
        };
        // A call replays or drops at most `DONE_AT_ONCE` letters. Refused letters do not count towards this
        // limit.
        let (mut ended, mut refused, mut more) = (Vec::new(), Vec::new(), false);
        for letter in self.dead.iter().filter(|letter| is_chosen(letter)) {
            let id = letter["id"].as_str().unwrap();
            match self.refusals.get(id) {
                Some(message) if done == "replayed" => {
                    refused.push(json!({"id": id, "why": "expired", "message": message}))
                }
                _ if ended.len() < DONE_AT_ONCE => ended.push(id.to_owned()),
                _ => more = true,
            }
        }
        // If the call names an id that no dead letter has, the fake refuses this id with the reason
        // `unknown`. The real bot does the same, e.g. after another operator has dropped the letter.
        let gone = ids.iter().flatten().filter(|id| self.dead.iter().all(|letter| letter["id"] != **id));
        refused.extend(gone.map(|id| json!({"id": id, "why": "unknown", "message": "id: is unknown"})));
        self.dead.retain(|letter| !ended.iter().any(|id| letter["id"] == id.as_str()));
        json_response(200, &json!({done: ended, "refused": refused, "more": more}))
    }

    fn alert(&mut self, path: &str, body: &Value) -> Response<Bytes> {
        let conversation = &body["to"]["conversation"];
        let is_right = self.targets.iter().any(|target| target["conversation"] == *conversation)
            && body["text"].is_string()
            && body["idempotencyKey"].is_string();
        if !is_right {
            return self.complain("POST", path, &format!("expected an alert to a target, found {body}"));
        }
        let id = "000000000000000000000000000000ff";
        self.alerts.insert(
            0,
            json!({
                "id": id, "status": "delivered", "conversation": conversation, "acceptedAt": "2026-11-29T12:00:00.000Z",
                "changedAt": "2026-11-29T12:00:00.400Z", "keptUntil": "2026-12-07T00:00:00.000Z", "sender": "alertkey",
            }),
        );
        json_response(202, &json!({"alerts": [{"id": id, "conversation": conversation, "status": "queued"}]}))
    }
}
