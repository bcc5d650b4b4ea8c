//! A queue service that fails: a proxy in front of the real Azurite, which takes notes of who was handed what.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;

use crate::loopback_server::LoopbackServer;
use crate::queue::envelope_of;
use crate::runtime::runtime;
use crate::web;

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status, and nothing is done.
    Status(u16),
    /// The connection is cut before anything is done.
    CutBefore,
    /// It is done, and the connection is cut instead of answering.
    CutAfter,
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    pub fault: Option<Fault>,
    /// Before it is passed on.
    pub delay: Duration,
}

/// Something that happened to an envelope on the queue.
#[derive(Debug, Clone)]
pub struct Note {
    /// When the call arrived here.
    pub asked: Instant,
    /// When it was done.
    pub at: Instant,
    /// Its id.
    pub envelope: String,
    /// The id of the message that it stands in; empty while it is put.
    pub message: String,
    /// What it says.
    pub text: String,
    pub what: What,
}

impl Note {
    /// For people: seconds since the beginning.
    pub fn line(&self, begin: Instant) -> String {
        format!("{:.3} s {} {:?}", (self.at - begin).as_secs_f64(), self.envelope, self.what)
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It was handed out, by the call of this number; `lost` if nobody got the answer.
    HandedOut { call: usize, lost: bool },
    /// It was hidden, or handed back (0), for so many seconds.
    Hidden { seconds: u64 },
    /// It was deleted.
    Deleted,
    /// It was put on the queue; `lost` if nobody got the answer.
    Put { lost: bool },
}

impl What {
    /// The call that handed it out.
    pub fn call(self) -> Option<usize> {
        match self {
            Self::HandedOut { call, .. } => Some(call),
            Self::Hidden { .. } | Self::Deleted | Self::Put { .. } => None,
        }
    }
}

/// The proxy. It stops when it is dropped.
#[derive(Debug)]
pub struct FaultyQueue {
    server: LoopbackServer,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    calls: AtomicUsize,
    faults: AtomicUsize,
    /// Envelope ids by message id.
    names: Mutex<BTreeMap<String, String>>,
    notes: Mutex<Vec<Note>>,
}

impl FaultyQueue {
    /// Passes calls on to the queue service at `address:port`; `plan` decides by a call's number and method.
    pub fn start(behind: &str, plan: impl Fn(usize, &Method) -> Plan + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let (serving, behind) = (Arc::clone(&shared), behind.to_owned());
        let server = LoopbackServer::start(move |request| {
            let call = serving.calls.fetch_add(1, Ordering::SeqCst);
            let plan = plan(call, request.method());
            serving.faults.fetch_add(usize::from(plan.fault.is_some()), Ordering::SeqCst);
            let work = pass_on(request, plan, call, behind.clone(), Arc::clone(&serving));
            // A task of its own: a call that was begun is done, also if whoever made it is killed meanwhile.
            let work = runtime().spawn(work);
            async move { work.await.expect("the proxy does not panic") }
        });
        Self { server, shared }
    }

    /// `127.0.0.1:<port>`
    pub fn authority(&self) -> &str {
        self.server.authority()
    }

    /// How many calls came, and how many of them failed on purpose.
    pub fn calls_and_faults(&self) -> (usize, usize) {
        (self.shared.calls.load(Ordering::SeqCst), self.shared.faults.load(Ordering::SeqCst))
    }

    /// Everything that happened to envelopes so far, in order.
    pub fn notes(&self) -> Vec<Note> {
        self.shared.notes.lock().unwrap().clone()
    }
}

async fn pass_on(
    request: http::Request<Bytes>,
    plan: Plan,
    call: usize,
    behind: String,
    shared: Arc<Shared>,
) -> Option<http::Response<Bytes>> {
    let asked = Instant::now();
    tokio::time::sleep(plan.delay).await;
    match plan.fault {
        Some(Fault::Status(status)) => {
            return Some(http::Response::builder().status(status).body(Bytes::new()).unwrap());
        }
        Some(Fault::CutBefore) => return None,
        Some(Fault::CutAfter) | None => {}
    }
    let lost = plan.fault.is_some();
    let (mut head, body) = request.into_parts();
    let put = body.clone();
    let target = head.uri.path_and_query().expect("a request has a target").clone();
    head.uri = format!("http://{behind}{target}").parse().unwrap();
    head.headers.remove("host");
    let method = head.method.clone();
    let answer = web::exchange(http::Request::from_parts(head, web::whole(body))).await;
    let answer = answer.unwrap_or_else(|error| panic!("Azurite does not answer: {error}"));
    if (200..300).contains(&answer.status) {
        let put = element(&String::from_utf8_lossy(&put), "MessageText").to_owned();
        shared.take_note(asked, &method, target.as_str(), &answer.body, What::HandedOut { call, lost }, &put);
    }
    if lost {
        return None;
    }
    let mut response = http::Response::new(answer.body);
    *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap();
    for (name, value) in &answer.headers {
        // The server sets these itself.
        if !["transfer-encoding", "connection", "keep-alive", "content-length"].contains(&name.as_str()) {
            response.headers_mut().append(name, value.clone());
        }
    }
    Some(response)
}

impl Shared {
    /// `get` is what to note of each message that was handed out.
    fn take_note(&self, asked: Instant, method: &Method, target: &str, body: &[u8], get: What, put: &str) {
        let at = Instant::now();
        let mut names = self.names.lock().unwrap();
        let mut notes = self.notes.lock().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let seconds = query.split('&').find_map(|pair| pair.strip_prefix("visibilitytimeout=")?.parse().ok());
        let message = path.split_once("/messages/").map(|(_, id)| id);
        match (method.as_str(), message) {
            ("GET", None) => {
                let body = String::from_utf8_lossy(body);
                for message in body.split("<QueueMessage>").skip(1) {
                    let Some(envelope) = envelope_of(element(message, "MessageText")) else { continue };
                    let text = envelope["text"].as_str().unwrap_or_default().to_owned();
                    let envelope = envelope["id"].as_str().unwrap_or_default().to_owned();
                    let message = element(message, "MessageId").to_owned();
                    names.insert(message.clone(), envelope.clone());
                    notes.push(Note { asked, at, envelope, message, text, what: get });
                }
            }
            // The poison queue's puts are no puts of the bot's.
            ("POST", None) if !path.contains("-poison/") => {
                let Some(envelope) = envelope_of(put) else { return };
                let of = |name: &str| envelope[name].as_str().unwrap_or_default().to_owned();
                let lost = matches!(get, What::HandedOut { lost: true, .. });
                let (envelope, text) = (of("id"), of("text"));
                notes.push(Note {
                    asked,
                    at,
                    envelope,
                    message: String::new(),
                    text,
                    what: What::Put { lost },
                });
            }
            ("PUT" | "DELETE", Some(message)) => {
                let Some(envelope) = names.get(message).cloned() else { return };
                let what = match seconds {
                    Some(seconds) => What::Hidden { seconds },
                    None => What::Deleted,
                };
                notes.push(Note { asked, at, envelope, message: message.into(), text: String::new(), what });
            }
            _ => {}
        }
    }
}

fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let begin = xml.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
    begin.split_once(&format!("</{name}>")).map_or("", |(text, _)| text)
}
