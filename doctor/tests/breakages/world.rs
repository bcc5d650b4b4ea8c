//! Fakes of the services that the *doctor* (the program `cargo dev doctor`) calls: the login host, the issuer
//! of the signing keys, the storage account, and the application (the bot and the poller).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use dev::teams_package::{App, Icons};
use dev::workspace::root;
use doctor::{EnvFile, Examination, Manifest, Report, examine};
use http::{Method, Request, Response};
use platform::testing::{FakeHost, run};
use platform::{Clock, TransportError};
use serde_json::{Value, json};
use storage_account::rfc_1123;

pub(crate) const APP_ID: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const OTHER_APP_ID: &str = "99999999-2222-3333-4444-555555555555";
pub(crate) const TENANT: &str = "11111111-2222-3333-4444-666666666666";
pub(crate) const SECRET: &str = "the-secret-of-the-bot~1";
pub(crate) const POLL_KEY: &str = "poll-key-of-32-random-characters";
const ALERT_KEY: &str = "alert-key-of-32-random-character";
const SEAL_KEY: &str = "seal-key-of-32-random-characters";
const SIGNATURE: &str = "c2lnbmF0dXJl";
pub(crate) const SAS: &str =
    "sv=2021-12-02&ss=qt&srt=co&sp=rdacup&se=2027-11-29T00%3A00%3A00Z&spr=https&sig=c2lnbmF0dXJl";
pub(crate) const URL: &str = "https://bot.example.com";

/// The state of all fake services. Their responses depend on this state.
#[derive(Clone)]
pub(crate) struct World {
    /// The rights that the storage account grants. The first text is for queues, and the second text is for
    /// tables. Each letter is one right, as in the parameter `sp` of a SAS (shared access signature). A test
    /// can set fewer rights than its SAS has in `sp`.
    pub(crate) rights: [&'static str; 2],
    /// Whether the bot's client secret has expired.
    pub(crate) secret_has_expired: bool,
    /// Whether the storage account accepts the signature of the SAS.
    pub(crate) accepts_signature: bool,
    /// The error number with which the login host refuses every request. With `None`, the login host checks
    /// the request.
    pub(crate) login_refusal: Option<u32>,
    /// The services' time minus this machine's time.
    pub(crate) ahead: TimeDelta,
    /// The queues and tables that exist.
    pub(crate) existing: Vec<&'static str>,
    /// The poll key that the running application has.
    pub(crate) poll_key: &'static str,
    /// The member `skipped` of the poller's response: the reason why a run does nothing, or an empty text.
    pub(crate) skipped: &'static str,
    /// The HTTP status and the error code of the response to a request without a token at `/api/messages`.
    pub(crate) endpoint: (u16, &'static str),
    /// The hosts that cannot be reached.
    pub(crate) unreachable: Vec<&'static str>,
    /// The requests that no service expected.
    unexpected: Rc<RefCell<Vec<String>>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            rights: ["rdacup", "rdacu"],
            secret_has_expired: false,
            accepts_signature: true,
            login_refusal: None,
            ahead: TimeDelta::zero(),
            existing: vec![
                "bot-queue",
                "bot-queue-poison",
                "bot-queue-replies",
                "proactivebotconversations",
                "proactivebotledger",
                "proactivebotruns",
            ],
            poll_key: POLL_KEY,
            skipped: "",
            endpoint: (401, "TokenMissing"),
            unreachable: Vec::new(),
            unexpected: Rc::default(),
        }
    }
}

/// The lines of a `.env` file without a fault. The names have no prefix `SPIN_VARIABLE_`.
pub(crate) fn env() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("MICROSOFTAPPID", APP_ID.to_owned()),
        ("MICROSOFTAPPPASSWORD", SECRET.to_owned()),
        ("MICROSOFTAPPTENANTID", TENANT.to_owned()),
        ("STORAGECONNECTION", format!("AccountName=contoso;SharedAccessSignature={SAS}")),
        ("POLLKEY", POLL_KEY.to_owned()),
        ("ALERTKEY", ALERT_KEY.to_owned()),
        ("SEALKEY", SEAL_KEY.to_owned()),
    ])
}

/// A deployment with its fake services.
pub(crate) struct Deployment {
    pub(crate) world: World,
    /// The lines of the `.env` file, as in [`env`].
    pub(crate) env: BTreeMap<&'static str, String>,
    pub(crate) manifest: Manifest,
    pub(crate) url: Option<&'static str>,
    pub(crate) package_of: &'static str,
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            world: World::default(),
            env: env(),
            manifest: Manifest::read(&root().join("deploy/spin.http.toml")).unwrap(),
            url: Some(URL),
            package_of: APP_ID,
        }
    }
}

impl Deployment {
    /// Lets the doctor examine the deployment. Fails if the doctor shows a secret, or makes a call that no
    /// service expects.
    pub(crate) fn examine(&self) -> Report {
        let mut lines: String =
            self.env.iter().map(|(name, value)| format!("SPIN_VARIABLE_{name}=\"{value}\"\n")).collect();
        lines.insert_str(0, "# made by a test\n");
        let package = App::new(self.package_of, URL).package(&Icons::of_project().unwrap()).unwrap();
        let examination = Examination {
            env: Some(EnvFile::parse(&lines, &self.manifest)),
            manifest: self.manifest.clone(),
            url: self.url.map(str::to_owned),
            package: Some(package),
        };
        let host = FakeHost::default();
        let world = self.world.clone();
        let now = host.now();
        host.answers(move |request| Some(world.response(request, now)));
        let report = run(examine(&host, &examination));
        let shown = format!("{report}\n{report:?}");
        for secret in [SECRET, POLL_KEY, ALERT_KEY, SEAL_KEY, SIGNATURE, SAS] {
            assert!(!shown.contains(secret), "the report shows {secret}:\n{shown}");
        }
        assert_eq!(*self.world.unexpected.borrow(), [""; 0], "{shown}");
        report
    }
}

impl World {
    fn response(
        &self,
        request: &Request<Bytes>,
        now: chrono::DateTime<Utc>,
    ) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap();
        if self.unreachable.contains(&host) {
            return Err(TransportError::NotSent("no such host; check its name".into()));
        }
        let mut response = match host {
            "login.microsoftonline.com" => self.login(request),
            "login.botframework.com" => signing_keys(request),
            "contoso.queue.core.windows.net" => self.storage(request, 0),
            "contoso.table.core.windows.net" => self.storage(request, 1),
            "bot.example.com" => self.application(request),
            _ => None,
        }
        .unwrap_or_else(|| {
            self.unexpected.borrow_mut().push(format!("{} {}", request.method(), request.uri()));
            respond(500, &Value::Null)
        });
        response.headers_mut().insert("date", rfc_1123(now + self.ahead).parse().unwrap());
        Ok(response)
    }

    fn login(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let tenant = request.uri().path().strip_prefix('/')?.strip_suffix("/oauth2/v2.0/token")?;
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let code = match self.login_refusal {
            Some(code) => code,
            None if tenant != TENANT => 90_002,
            None if ![APP_ID, OTHER_APP_ID].contains(&form["client_id"].as_str()) => 700_016,
            None if form["client_id"] != APP_ID || form["client_secret"] != SECRET => 7_000_215,
            None if self.secret_has_expired => 7_000_222,
            None => {
                let token = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "t.o.k"});
                return Some(respond(200, &token));
            }
        };
        let description = format!("AADSTS{code}: words about {SECRET}");
        Some(respond(401, &json!({"error": "x", "error_description": description, "error_codes": [code]})))
    }

    /// Makes the response of the queue service (`service` is 0) or of the table service (1). A call without a
    /// valid SAS or token gets the status 403.
    fn storage(&self, request: &Request<Bytes>, service: usize) -> Option<Response<Bytes>> {
        let path = request.uri().path();
        let query: BTreeMap<_, _> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let is_peek = query.get("peekonly").is_some_and(|value| value == "true");
        let is_message = path.contains("/messages/");
        let (letter, name) = match (request.method(), service) {
            (&Method::GET, 0) => (if is_peek { 'r' } else { 'p' }, path.strip_suffix("/messages")?),
            (&Method::POST, 0) => ('a', path.strip_suffix("/messages")?),
            (&Method::PUT, 0) if is_message => ('u', path.split("/messages/").next()?),
            (&Method::DELETE, 0) if is_message => ('d', path.split("/messages/").next()?),
            (&Method::GET, 1) => ('r', path.strip_suffix("()")?),
            (&Method::POST, 1) => ('a', path),
            (&Method::PATCH, 1) => ('u', path.split('(').next()?),
            (&Method::DELETE, 1) => ('d', path.split('(').next()?),
            _ => return None,
        };
        let name = name.strip_prefix('/')?;
        // The doctor must change nothing. So the fake does not expect a call that could change an existing
        // queue or table. To check the rights to add, update, delete and process, the doctor makes calls to a
        // queue and a table that do not exist.
        if letter != 'r' && self.existing.contains(&name) {
            return None;
        }
        let refuse = |status, code: &str, detail: &str| {
            // Like Azure, the fake repeats the SAS of the request in the detail of the error.
            let sas = SAS.replace('&', "&amp;");
            let text = format!("<AuthenticationErrorDetail>{detail} {sas}</AuthenticationErrorDetail>");
            let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code>{text}</Error>");
            Some(Response::builder().status(status).body(Bytes::from(body)).unwrap())
        };
        let is_signed = query.get("sig").is_some_and(|signature| signature == SIGNATURE);
        let token = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        let has_token = token == Some("Bearer t.o.k");
        if !has_token && (!self.accepts_signature || !is_signed) {
            return refuse(403, "AuthenticationFailed", "Signature did not match. String to sign used was");
        }
        let is_permitted =
            |part: &str, letter: char| has_token || query.get(part).is_some_and(|text| text.contains(letter));
        if !is_permitted("ss", ['q', 't'][service]) {
            return refuse(403, "AuthorizationServiceMismatch", "");
        }
        if !is_permitted("sp", letter) || !self.rights[service].contains(letter) {
            return refuse(403, "AuthorizationPermissionMismatch", "");
        }
        if !self.existing.contains(&name) {
            return refuse(404, ["QueueNotFound", "TableNotFound"][service], "");
        }
        let body = ["<?xml version=\"1.0\"?><QueueMessagesList />", "{\"value\":[]}"][service];
        Some(Response::new(Bytes::from(body)))
    }

    fn application(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let error =
            |status, code: &str| Some(respond(status, &json!({"error": {"code": code, "message": "m"}})));
        let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/healthz") => Some(Response::new(Bytes::new())),
            (&Method::POST, "/api/messages") if authorization.is_none() => {
                error(self.endpoint.0, self.endpoint.1)
            }
            (&Method::POST, "/internal/poll") => match authorization {
                Some(value) if value == format!("Bearer {}", self.poll_key) => {
                    Some(respond(200, &json!({"received": 0, "skipped": self.skipped})))
                }
                _ => error(401, "Unauthorized"),
            },
            (&Method::POST, "/api/alerts") if authorization.is_none() => error(401, "KeyMissing"),
            _ => None,
        }
    }
}

fn signing_keys(request: &Request<Bytes>) -> Option<Response<Bytes>> {
    match request.uri().path() {
        "/v1/.well-known/openidconfiguration" => {
            Some(respond(200, &json!({"jwks_uri": "https://login.botframework.com/v1/.well-known/keys"})))
        }
        "/v1/.well-known/keys" => {
            let n = "u".repeat(342);
            let key = json!({"kty": "RSA", "use": "sig", "kid": "k", "n": n, "e": "AQAB", "endorsements": ["msteams"]});
            Some(respond(200, &json!({"keys": [key]})))
        }
        _ => None,
    }
}

fn respond(status: u16, body: &Value) -> Response<Bytes> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Bytes::from(body.to_string())).unwrap()
}
