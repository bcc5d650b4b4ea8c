//! A fake of the login host of Entra, Microsoft's identity service. The login host gives the bot tokens for
//! the Connector. The fake gives a token if the request follows Entra's documentation.
//!
//! If a request for a token does not follow the documentation, the fake responds with 500 and a *complaint*
//! (a text with the reason and the request), and keeps the complaint. A fake with a complaint fails the test
//! when the fake is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::Utc;
use rsa::pkcs8::DecodePrivateKey;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::failure;
use crate::loopback_server::{LoopbackServer, respond};
use crate::openid::{Documents, OpenId};
use crate::registration::{APP_ID, TENANT};

/// The bot's client secret. The bot has to escape some characters of the secret, because the body of the
/// request is `application/x-www-form-urlencoded`.
pub const SECRET: &str = "an e2e secret: ~&=+%/ü";
/// The bot's federated token. The bot can prove its identity with this token instead of a client secret.
pub const FEDERATED: &str = "e2e-federated.token.text";
const PRIVATE_KEY: &str = include_str!("../../crates/bot-framework/tests/keys/pkcs8.pem");
const CERTIFICATE: &str = include_str!("../../crates/bot-framework/tests/keys/certificate.pem");
/// The SHA-256 of `CERTIFICATE`, in base64url. The command `openssl x509 -outform der | sha256sum` prints the
/// same hash in hexadecimal.
const THUMBPRINT: &str = "Pjt0bBVCnjTOJpszfS1yzjicseZ4VfhyEmgFfeTRUEQ";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The value of the application's variable `certificate`: the private key, and then the certificate.
pub fn certificate() -> String {
    format!("{PRIVATE_KEY}{CERTIFICATE}")
}

/// How the bot proves its identity to the login host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    Secret,
    Federated,
    Certificate,
}

/// The fake login host. The server stops when this value is dropped.
#[derive(Debug)]
pub struct Login {
    server: LoopbackServer,
    state: Arc<Mutex<State>>,
    tokens: Tokens,
}

/// The tokens that the login host has issued so far.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Arc<Mutex<Vec<String>>>);

impl Tokens {
    /// Whether the login host issued this token.
    pub fn contains(&self, token: &str) -> bool {
        lock(&self.0).iter().any(|given| given == token)
    }

    /// All tokens, the oldest first.
    pub fn all(&self) -> Vec<String> {
        lock(&self.0).clone()
    }
}

#[derive(Debug)]
struct State {
    proof: Proof,
    authority: String,
    requests: usize,
    scripted: VecDeque<http::Response<Bytes>>,
    documents: Option<Documents>,
    complaints: Vec<String>,
}

impl Login {
    /// Starts a login host. To get a token, the bot has to prove its identity with `proof`.
    pub fn start(proof: Proof) -> Self {
        let state = Arc::new(Mutex::new(State {
            proof,
            authority: String::new(),
            requests: 0,
            scripted: VecDeque::new(),
            documents: None,
            complaints: Vec::new(),
        }));
        let tokens = Tokens::default();
        let (answering, giving) = (Arc::clone(&state), tokens.clone());
        let server = LoopbackServer::start(move |request| {
            let response = lock(&answering).response(&request, &giving);
            async { Some(response) }
        });
        lock(&state).authority = server.authority().to_owned();
        Self { server, state, tokens }
    }

    /// The value of the application's variable `loginendpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.authority())
    }

    /// Makes the login host also serve the documents of `issuer`: the OpenID metadata and the signing keys.
    /// With the signing keys, the bot checks the tokens that callers of the bot send. A test makes these
    /// tokens itself. The login host does not issue these tokens.
    pub fn publish(&self, issuer: &OpenId) {
        lock(&self.state).documents = Some(issuer.documents());
    }

    /// The tokens of this login host. The returned value also shows tokens that the login host issues later.
    pub fn tokens(&self) -> Tokens {
        self.tokens.clone()
    }

    /// How many requests for tokens arrived.
    pub fn requests(&self) -> usize {
        lock(&self.state).requests
    }

    /// Sets the response to the next correct request for a token. The login host sends `response` instead of
    /// a token.
    pub fn respond_next(&self, response: http::Response<Bytes>) {
        lock(&self.state).scripted.push_back(response);
    }

    /// Makes the login host refuse the next correct request for a token. The response has the form of Entra's
    /// errors, with this error code and a text. The text contains `hunter2`, as if Entra quoted a secret of
    /// the request. The bot must not log this text.
    pub fn refuse_next(&self, code: u32) {
        let description = format!("AADSTS{code}: hunter2 is what was sent.\r\nTrace ID: x");
        let body =
            json!({"error": "invalid_client", "error_description": description, "error_codes": [code]});
        self.respond_next(respond(401, &body));
    }
}

impl State {
    fn response(&mut self, request: &http::Request<Bytes>, tokens: &Tokens) -> http::Response<Bytes> {
        if let Some(documents) = self.documents.as_ref().filter(|known| known.has(request.uri().path())) {
            return documents.response(request);
        }
        self.requests += 1;
        if let Err(objection) = self.check(request) {
            let complaint = format!("{objection}: {request:?}");
            self.complaints.push(complaint.clone());
            return respond(500, &json!({"error": "unexpected", "error_description": complaint}));
        }
        if let Some(response) = self.scripted.pop_front() {
            return response;
        }
        let mut tokens = lock(&tokens.0);
        let token = format!("e2e.token.number-{}", tokens.len() + 1);
        tokens.push(token.clone());
        respond(
            200,
            &json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}),
        )
    }

    fn check(&self, request: &http::Request<Bytes>) -> Result<(), String> {
        let expect =
            |what: &str, is_true: bool| if is_true { Ok(()) } else { Err(format!("expected {what}")) };
        let header = |name: &str| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        expect("POST", request.method() == http::Method::POST)?;
        expect("the token endpoint", request.uri() == format!("/{TENANT}/oauth2/v2.0/token").as_str())?;
        expect("a form", header("content-type") == "application/x-www-form-urlencoded")?;
        expect("no Authorization", !request.headers().contains_key("authorization"))?;
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let mut form: BTreeMap<_, _> = pairs.iter().cloned().collect();
        expect("every field once", form.len() == pairs.len())?;
        let mut take = |name: &str| form.remove(name).unwrap_or_default();
        expect("client credentials", take("grant_type") == "client_credentials")?;
        expect("the app's id", take("client_id") == APP_ID)?;
        expect("the Connector's scope", take("scope") == "https://api.botframework.com/.default")?;
        match self.proof {
            Proof::Secret => expect("the secret", take("client_secret") == SECRET)?,
            Proof::Federated | Proof::Certificate => {
                expect("an assertion's type", take("client_assertion_type") == ASSERTION_TYPE)?;
                let assertion = take("client_assertion");
                let is_good = match self.proof {
                    Proof::Federated => assertion == FEDERATED,
                    _ => self.check_assertion(&assertion).is_some(),
                };
                expect("the assertion", is_good)?;
            }
        }
        expect("no other field", form.is_empty())
    }

    fn check_assertion(&self, assertion: &str) -> Option<()> {
        let (signed, signature) = assertion.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let key = rsa::PrivateKey::from_pkcs8_pem(PRIVATE_KEY).unwrap().to_public_key();
        key.pss_verify::<Sha256>(signed.as_bytes(), &decode(signature)?).ok()?;
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let claims: Value = serde_json::from_slice(&decode(claims)?).ok()?;
        let endpoint = format!("http://{}/{TENANT}/oauth2/v2.0/token", self.authority);
        let (now, from, until) = (Utc::now().timestamp(), claims["nbf"].as_i64()?, claims["exp"].as_i64()?);
        let is_good = header == json!({"alg": "PS256", "typ": "JWT", "x5t#S256": THUMBPRINT})
            && claims["aud"] == endpoint.as_str()
            && claims["iss"] == APP_ID
            && claims["sub"] == APP_ID
            && claims["jti"].as_str()?.len() >= 16
            && from <= now + 5
            && until > now
            && until - from <= 600;
        is_good.then_some(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Login {
    fn drop(&mut self) {
        let complaints = std::mem::take(&mut lock(&self.state).complaints);
        if std::thread::panicking() {
            failure::note(format!("The login host did not expect: {complaints:#?}"));
        } else {
            assert!(complaints.is_empty(), "the login host did not expect: {complaints:#?}");
        }
    }
}
