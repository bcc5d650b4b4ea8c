//! A queue service that fails on purpose. It is a proxy in front of the queue service of Azurite, the storage
//! emulator. In this file, a *call* is a call to the queue service, and a *message* is a queue message. An
//! *envelope* is the JSON in a message: usually an alert. The proxy notes each call that put, dequeued, hid
//! or deleted a message.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::Method;

use crate::faulty_service::{Exchange, FaultyService, HOSTS};
pub use crate::faulty_service::{Fault, Plan};
use crate::queue::envelope_of;

/// A successful call that the proxy noted. The call put, dequeued, hid or deleted a message.
#[derive(Debug, Clone)]
pub struct Note {
    /// When the call arrived at the proxy.
    pub asked: Instant,
    /// When the response of Azurite arrived at the proxy.
    pub at: Instant,
    /// The number of the Spin host that called. The proxy has a separate address for each host.
    pub caller: usize,
    /// The envelope's id.
    pub envelope: String,
    /// The id of the queue message; empty for [`Effect::Put`].
    pub message: String,
    /// The envelope's text; empty for [`Effect::Hidden`] and [`Effect::Deleted`].
    pub text: String,
    pub effect: Effect,
}

impl Note {
    /// Formats the note for people. The time is shown in seconds after `begin`.
    pub fn line(&self, begin: Instant) -> String {
        let Self { envelope, caller, message, effect, .. } = self;
        format!("{:.3} s host {caller} {envelope} {message} {effect:?}", (self.at - begin).as_secs_f64())
    }
}

/// The effect of a call on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The call with the number `call` dequeued the message. If `lost` is true, the proxy cut the connection,
    /// so the caller got no response.
    Dequeued { call: usize, lost: bool },
    /// The call hid the message for this many seconds. If `seconds` is 0, the message became visible at once.
    Hidden { seconds: u64 },
    /// The call deleted the message.
    Deleted,
    /// The call put the envelope on the queue. If `lost` is true, the proxy cut the connection, so the caller
    /// got no response.
    Put { lost: bool },
}

impl Effect {
    /// The number of the call that dequeued the message. Returns `None` for every other effect.
    pub fn call(self) -> Option<usize> {
        match self {
            Self::Dequeued { call, .. } => Some(call),
            Self::Hidden { .. } | Self::Deleted | Self::Put { .. } => None,
        }
    }
}

/// The proxy. It stops when this value is dropped.
#[derive(Debug)]
pub struct FaultyQueue {
    service: FaultyService,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The id of the envelope in each message. The map key is the id of the message.
    names: Mutex<BTreeMap<String, String>>,
    notes: Mutex<Vec<Note>>,
}

impl FaultyQueue {
    /// Starts a proxy that passes calls on to the queue service at `behind`, an `address:port`. `plan` gets
    /// the number and the method of a call, and decides whether the call is delayed or fails.
    pub fn start(behind: &str, plan: impl Fn(usize, &Method) -> Plan + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let noting = Arc::clone(&shared);
        let service = FaultyService::start(
            behind,
            move |call, request| plan(call, request.method()),
            move |exchange| noting.take_note(exchange),
        );
        Self { service, shared }
    }

    /// The address of the proxy for the first Spin host: `127.0.0.1:<port>`.
    pub fn authority(&self) -> &str {
        self.service.authority()
    }

    /// The addresses of the proxy, one for each of the two Spin hosts. The address shows which host calls.
    pub fn authorities(&self) -> [&str; HOSTS] {
        self.service.authorities()
    }

    /// The number of calls that arrived, and the number of these calls with a [`Fault`].
    pub fn calls_and_faults(&self) -> (usize, usize) {
        self.service.calls_and_faults()
    }

    /// Every note so far, in the order of Azurite's responses.
    pub fn notes(&self) -> Vec<Note> {
        self.shared.notes.lock().unwrap().clone()
    }
}

impl Shared {
    /// Notes a call that succeeded in Azurite. A call that failed in Azurite changed nothing, so this
    /// function does not note such a call.
    fn take_note(&self, exchange: &Exchange<'_>) {
        let Some(response) = exchange.response.filter(|response| (200..300).contains(&response.status))
        else {
            return;
        };
        let (asked, caller, lost) = (exchange.asked, exchange.caller, exchange.is_lost());
        let (method, uri) = (exchange.request.method(), exchange.request.uri());
        let at = Instant::now();
        let mut names = self.names.lock().unwrap();
        let mut notes = self.notes.lock().unwrap();
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let seconds = query.split('&').find_map(|pair| pair.strip_prefix("visibilitytimeout=")?.parse().ok());
        let message = path.split_once("/messages/").map(|(_, id)| id);
        match (method.as_str(), message) {
            // Peek Messages (`peekonly=true`) returns messages, but does not dequeue them.
            ("GET", None) if !query.contains("peekonly=true") => {
                let effect = Effect::Dequeued { call: exchange.number, lost };
                let body = String::from_utf8_lossy(&response.body);
                for message in body.split("<QueueMessage>").skip(1) {
                    let Some(envelope) = envelope_of(element(message, "MessageText")) else { continue };
                    let text = envelope["text"].as_str().unwrap_or_default().to_owned();
                    let envelope = envelope["id"].as_str().unwrap_or_default().to_owned();
                    let message = element(message, "MessageId").to_owned();
                    names.insert(message.clone(), envelope.clone());
                    notes.push(Note { asked, at, caller, envelope, message, text, effect });
                }
            }
            // The proxy does not note Put Message on the poison queue. With this call, the poller moves an
            // envelope to the poison queue.
            ("POST", None) if !path.contains("-poison/") => {
                let put = String::from_utf8_lossy(exchange.request.body());
                let Some(envelope) = envelope_of(element(&put, "MessageText")) else { return };
                let of = |name: &str| envelope[name].as_str().unwrap_or_default().to_owned();
                let (envelope, text) = (of("id"), of("text"));
                notes.push(Note {
                    asked,
                    at,
                    caller,
                    envelope,
                    message: String::new(),
                    text,
                    effect: Effect::Put { lost },
                });
            }
            ("PUT" | "DELETE", Some(message)) => {
                let Some(envelope) = names.get(message).cloned() else { return };
                let effect = match seconds {
                    Some(seconds) => Effect::Hidden { seconds },
                    None => Effect::Deleted,
                };
                let (message, text) = (message.to_owned(), String::new());
                notes.push(Note { asked, at, caller, envelope, message, text, effect });
            }
            _ => {}
        }
    }
}

fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let begin = xml.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
    begin.split_once(&format!("</{name}>")).map_or("", |(text, _)| text)
}
