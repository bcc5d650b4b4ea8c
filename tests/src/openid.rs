//! A fake of two token issuers: Azure Bot Service and Entra. A channel such as Teams calls the bot with a
//! token of Azure Bot Service, and a program can call the bot with a token of Entra. The fake serves the
//! OpenID metadata and the signing keys of both issuers.
//!
//! The fake counts the requests. The bot must send only GET requests for the documents, without an
//! `Authorization` header. To any other request, the fake responds with 500 and keeps a *complaint*: a text
//! with the reason and the request. If the fake has a complaint when the fake is dropped, the test fails.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bot_framework::testing::TestKey;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::failure;
use crate::loopback_server::{LoopbackServer, respond};

const CHANNEL_METADATA: &str = "/v1/.well-known/openidconfiguration";
const CHANNEL_KEYS: &str = "/v1/.well-known/keys";
const ENTRA_METADATA: &str = "/common/v2.0/.well-known/openid-configuration";
const ENTRA_KEYS: &str = "/common/discovery/v2.0/keys";

/// The fake issuers. Their server stops when this value is dropped. The fake login host
/// ([`Login`](crate::login::Login)) can serve the same documents, because the real login host of Entra serves
/// Entra's documents.
#[derive(Debug)]
pub struct OpenId {
    server: LoopbackServer,
    documents: Documents,
}

/// The documents of the issuers. Several servers can serve the same documents.
#[derive(Debug, Clone)]
pub struct Documents(Arc<Mutex<State>>);

impl Documents {
    /// Whether `path` is the path of a document.
    pub fn has(&self, path: &str) -> bool {
        [CHANNEL_METADATA, CHANNEL_KEYS, ENTRA_METADATA, ENTRA_KEYS].contains(&path)
    }

    /// Makes the response to a request for a document.
    pub fn response(&self, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        lock(&self.0).response(request)
    }
}

#[derive(Debug)]
struct State {
    keys: Vec<Value>,
    behaviour: Behaviour,
    fetches: usize,
    complaints: Vec<String>,
}

/// How the issuers respond to requests for their documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// They return proper documents.
    Proper,
    /// They respond with 503.
    Unavailable,
    /// They redirect each request for metadata to the origin in the field.
    RedirectsTo(String),
    /// Their metadata says that the signing keys are at the origin in the field.
    NamesKeysAt(String),
}

impl OpenId {
    /// Starts issuers that publish the signing key [`TestKey::issuer`]. The key's member `endorsements` says
    /// that the key is allowed to sign for Teams and Web Chat.
    pub fn start() -> Self {
        let documents = Documents(Arc::new(Mutex::new(State {
            keys: vec![TestKey::issuer().endorsed_jwk(&["msteams", "webchat"])],
            behaviour: Behaviour::Proper,
            fetches: 0,
            complaints: Vec::new(),
        })));
        let answering = documents.clone();
        let server = LoopbackServer::start(move |request| {
            let response = answering.response(&request);
            async { Some(response) }
        });
        Self { server, documents }
    }

    /// `http://127.0.0.1:<port>`
    pub fn origin(&self) -> String {
        format!("http://{}", self.server.authority())
    }

    /// The URL of Azure Bot Service's metadata. This URL is the value of the bot's variable `openidmetadata`.
    pub fn metadata_url(&self) -> String {
        format!("{}{CHANNEL_METADATA}", self.origin())
    }

    /// The documents of these issuers, for another server that serves the same documents.
    pub fn documents(&self) -> Documents {
        self.documents.clone()
    }

    /// Replaces the published signing keys.
    pub fn publish(&self, keys: Vec<Value>) {
        lock(&self.documents.0).keys = keys;
    }

    /// Changes how the issuers respond.
    pub fn behave(&self, behaviour: Behaviour) {
        lock(&self.documents.0).behaviour = behaviour;
    }

    /// How many requests have arrived, including requests that got no document. If the fake login host also
    /// serves the documents, the number includes the document requests to the login host. To get the signing
    /// keys, the bot sends two requests: for the metadata and for the keys.
    pub fn fetches(&self) -> usize {
        lock(&self.documents.0).fetches
    }
}

impl State {
    fn response(&mut self, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        self.fetches += 1;
        let path = request.uri().path();
        let keys_path = match path {
            CHANNEL_METADATA => Some(CHANNEL_KEYS),
            ENTRA_METADATA => Some(ENTRA_KEYS),
            CHANNEL_KEYS | ENTRA_KEYS => None,
            _ => return self.complain("no such document", request),
        };
        if request.method() != http::Method::GET {
            return self.complain("expected GET, because the bot only reads", request);
        }
        if request.headers().contains_key("authorization") {
            return self.complain("expected no Authorization, because the documents are public", request);
        }
        let own = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        match (&self.behaviour, keys_path) {
            (Behaviour::Unavailable, _) => respond(503, &Value::Null),
            (Behaviour::RedirectsTo(origin), Some(_)) => {
                let mut response = respond(302, &Value::Null);
                let location = format!("{origin}{path}").parse().expect("a location");
                response.headers_mut().insert(http::header::LOCATION, location);
                response
            }
            (Behaviour::NamesKeysAt(origin), Some(keys)) => {
                respond(200, &json!({"jwks_uri": format!("{origin}{keys}")}))
            }
            (_, Some(keys)) => respond(200, &json!({"jwks_uri": format!("http://{own}{keys}")})),
            (_, None) => respond(200, &json!({"keys": self.keys})),
        }
    }

    fn complain(&mut self, why: &str, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        let complaint = format!("{why}: {} {} {:?}", request.method(), request.uri(), request.headers());
        self.complaints.push(complaint.clone());
        respond(500, &json!({"error": {"code": "Unexpected", "message": complaint}}))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for OpenId {
    fn drop(&mut self) {
        let complaints = std::mem::take(&mut lock(&self.documents.0).complaints);
        if std::thread::panicking() {
            failure::note(format!("The issuers did not expect: {complaints:#?}"));
        } else {
            assert!(complaints.is_empty(), "the issuers did not expect: {complaints:#?}");
        }
    }
}
