//! Tests of the access tokens that the bot sends to the Bot Connector, through the crate's public interface.
//! A test sets the bot's variables, sends messages, and checks the requests. Two services get these requests:
//! the login host of Microsoft Entra, which issues the tokens, and the Connector. The [`FakeHost`] gives the
//! responses of both services.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bot_framework::json::Fields;
use bot_framework::{
    AuthMode, BotCredentials, Class, Connector, ConversationReference, Credential, OutgoingMessage, Tokens,
    TrustPolicy, Verdict,
};
use bytes::Bytes;
use futures_util::future::join_all;
use platform::testing::{FakeHost, response, run};
use platform::{Deadline, TransportError};
use serde_json::json;

const SECRET: &str = "s3cr~t&=+ü";
const CERTIFICATE: &str = concat!(include_str!("keys/pkcs8.pem"), include_str!("keys/certificate.pem"));

/// Makes a fake of the bot's runtime. The fake has the variables of a single-tenant bot, and `variables`.
fn host(variables: &[(&str, &str)]) -> FakeHost {
    let host = FakeHost::with_settings([
        ("microsoftappid", "app-id"),
        ("microsoftapptenantid", "own-tenant"),
        ("servicehosts", "http://127.0.0.1:9200"),
    ]);
    for (name, value) in variables {
        host.settings.borrow_mut().insert((*name).into(), (*value).into());
    }
    host
}

fn with_secret() -> FakeHost {
    host(&[("microsoftapppassword", SECRET)])
}

fn bot(host: &FakeHost) -> BotCredentials {
    BotCredentials::read(AuthMode::Required, host).unwrap().unwrap()
}

fn token_response(token: &str) -> Result<http::Response<Bytes>, TransportError> {
    let body = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token});
    Ok(response(200, &body.to_string()))
}

fn deadline(host: &FakeHost) -> Deadline {
    Deadline::after(host, Duration::from_secs(20))
}

/// Sends one message to `service_url`. Panics if `trust` does not trust this URL.
async fn send_by(trust: &TrustPolicy, connector: Connector<'_, FakeHost>, service_url: &str) -> Verdict {
    let reference = json!({"channelId": "msteams", "serviceUrl": service_url, "conversation": {"id": "c"}});
    let reference =
        ConversationReference::from_fields(Fields::parse(reference.to_string().as_bytes()).unwrap()).unwrap();
    let url = trust.check(service_url).unwrap();
    connector.send(&url, "c", &OutgoingMessage::new(&reference, "hi")).await
}

/// Sends one message. `tokens` are the tokens of one run (one execution of the poller).
async fn send<'a>(host: &'a FakeHost, tokens: &'a Tokens<'a, FakeHost>, service_url: &str) -> Verdict {
    let trust = TrustPolicy::read(AuthMode::Required, host).unwrap();
    send_by(&trust, Connector::new(host, Some(tokens), deadline(host)), service_url).await
}

/// Sets the responses of the login host and of the Connector. The login host issues the tokens `t1`, `t2`, ….
/// The Connector's response to a call with the token `t<n>` has the HTTP status `status(n)`. Returns a
/// counter of the issued tokens.
fn tokens_and_statuses(host: &FakeHost, status: impl Fn(u32) -> u16 + 'static) -> Rc<Cell<u32>> {
    let logins = Rc::new(Cell::new(0));
    let counted = Rc::clone(&logins);
    host.answers(move |request| {
        if request.uri().path().ends_with("/token") {
            counted.set(counted.get() + 1);
            return Some(token_response(&format!("t{}", counted.get())));
        }
        let authorization = request.headers()["authorization"].to_str().unwrap();
        let number = authorization.strip_prefix("Bearer t").unwrap().parse().unwrap();
        Some(Ok(response(status(number), "")))
    });
    logins
}

fn send_once(host: &FakeHost) -> Verdict {
    let bot = bot(host);
    run(send(host, &Tokens::new(host, &bot), "https://smba.trafficmanager.net/amer/"))
}

/// Returns one text for each request, in order: `login` for a request to a login host, `nothing` for a
/// request without `Authorization`, and the value of `Authorization` for any other request.
fn trace(host: &FakeHost) -> Vec<String> {
    let sent = host.sent.borrow();
    let line = |request: &http::Request<Bytes>| {
        let authorization =
            request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        if request.uri().path().ends_with("/oauth2/v2.0/token") {
            assert_eq!(authorization, None, "the login host must get the credential in the body");
            "login".into()
        } else {
            authorization.unwrap_or_else(|| "nothing".into())
        }
    };
    sent.iter().map(line).collect()
}

fn form(request: &http::Request<Bytes>) -> BTreeMap<String, String> {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(request.body()).into_owned().collect();
    let form: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(form.len(), pairs.len(), "a field must not occur twice: {pairs:?}");
    form
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn token_request_has_the_form_for_the_kind_of_credential() {
    let base = [
        ("grant_type", "client_credentials"),
        ("client_id", "app-id"),
        ("scope", "https://api.botframework.com/.default"),
    ];
    let assertion_type = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    for (variable, value, own) in [
        ("microsoftapppassword", SECRET, vec![("client_secret", SECRET)]),
        ("microsoftapppassword", &format!(" {SECRET}\n"), vec![("client_secret", SECRET)]),
        ("federatedtoken", "a.b.c", vec![assertion_type, ("client_assertion", "a.b.c")]),
    ] {
        let host = host(&[(variable, value)]);
        host.then(token_response("t")).then_status(201, "");
        assert_eq!(send_once(&host).class, Class::Accepted);
        let request = host.sent.borrow().first().unwrap().clone();
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "https://login.microsoftonline.com/own-tenant/oauth2/v2.0/token");
        assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(form(&request), fields(&[&base[..], &own].concat()));
        assert_eq!(trace(&host), ["login", "Bearer t"]);
    }
}

#[test]
fn token_request_with_a_certificate_has_a_signed_assertion() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let host = host(&[("certificate", CERTIFICATE)]);
    host.then(token_response("t")).then_status(201, "");
    assert_eq!(send_once(&host).class, Class::Accepted);
    let mut form = form(&host.sent.borrow()[0]);
    let assertion = form.remove("client_assertion").unwrap();
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert!(!form.contains_key("client_secret"));
    let parts: Vec<_> = assertion.split('.').collect();
    let json = |part: &str| -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let [header, claims, _signature] = parts[..] else { panic!("{assertion}") };
    let thumbprint = "Pjt0bBVCnjTOJpszfS1yzjicseZ4VfhyEmgFfeTRUEQ";
    assert_eq!(json(header), json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
    let mut claims = json(claims);
    assert!(claims["jti"].take().as_str().is_some_and(|jti| jti.len() >= 16));
    let now = FakeHost::START_SECONDS;
    assert_eq!(
        claims,
        json!({
            "aud": "https://login.microsoftonline.com/own-tenant/oauth2/v2.0/token", "iss": "app-id",
            "sub": "app-id", "jti": null, "iat": now, "nbf": now, "exp": now + 300,
        })
    );
}

#[test]
fn token_request_goes_to_the_login_host_of_the_cloud() {
    let (gov, china) = ("https://botframework.azure.us", "https://botframework.azure.cn");
    for (cloud, kind, override_, endpoint, scope) in [
        ("", "", "", "https://login.microsoftonline.com/own-tenant", "https://api.botframework.com"),
        (
            "",
            "MultiTenant",
            "",
            "https://login.microsoftonline.com/botframework.com",
            "https://api.botframework.com",
        ),
        (gov, "", "", "https://login.microsoftonline.us/own-tenant", "https://api.botframework.us"),
        (
            gov,
            "MultiTenant",
            "",
            "https://login.microsoftonline.us/MicrosoftServices.onmicrosoft.us",
            "https://api.botframework.us",
        ),
        (
            china,
            "SingleTenant",
            "",
            "https://login.partner.microsoftonline.cn/own-tenant",
            "https://api.botframework.azure.cn",
        ),
        (
            china,
            "MultiTenant",
            "",
            "https://login.partner.microsoftonline.cn/microsoftservices.partner.onmschina.cn",
            "https://api.botframework.azure.cn",
        ),
        (
            "",
            "",
            "http://127.0.0.1:9000/",
            "http://127.0.0.1:9000/own-tenant",
            "https://api.botframework.com",
        ),
    ] {
        let host = host(&[
            ("microsoftapppassword", SECRET),
            ("channelservice", cloud),
            ("microsoftapptype", kind),
            ("loginendpoint", override_),
        ]);
        host.then(token_response("t")).then_status(201, "");
        let bot = bot(&host);
        let verdict = run(send(&host, &Tokens::new(&host, &bot), "http://127.0.0.1:9200/"));
        assert_eq!(verdict.class, Class::Accepted);
        let request = host.sent.borrow()[0].clone();
        assert_eq!(request.uri().to_string(), format!("{endpoint}/oauth2/v2.0/token"));
        assert_eq!(form(&request)["scope"], format!("{scope}/.default"));
    }
}

#[test]
fn credential_that_is_missing_unusable_or_not_the_only_one_is_refused() {
    let every =
        [("microsoftapppassword", "hunter2"), ("federatedtoken", "hunter2"), ("certificate", CERTIFICATE)];
    for (set, name, expected_text) in [
        (vec![], "microsoftapppassword", "federatedtoken and certificate"),
        (vec![every[0], every[1]], "microsoftapppassword", "federatedtoken;"),
        (vec![every[1], every[2]], "federatedtoken", "certificate;"),
        (every.to_vec(), "microsoftapppassword", "federatedtoken and certificate;"),
        (vec![("certificate", "hunter2")], "certificate", "no private key"),
        (vec![("microsoftapppassword", " \n")], "microsoftapppassword", "is empty"),
    ] {
        let error = Credential::read(&host(&set)).expect_err("refused");
        assert_eq!(error.name, name, "{error}");
        assert!(error.problem.contains(expected_text) && !error.problem.contains("hunter2"), "{error}");
    }
    assert!(BotCredentials::read(AuthMode::Anonymous, &host(&every)).unwrap().is_none());
}

#[test]
fn token_serves_all_sends_of_two_runs() {
    let host = with_secret();
    let logins = tokens_and_statuses(&host, |_| 201);
    let bot = bot(&host);
    for _ in 0..2 {
        let tokens = Tokens::new(&host, &bot);
        let sends = (0..16).map(|_| send(&host, &tokens, "https://smba.trafficmanager.net/amer/"));
        assert!(run(join_all(sends)).iter().all(|verdict| verdict.class == Class::Accepted));
    }
    assert_eq!(logins.get(), 1, "{:?}", trace(&host));
    // Five minutes before the token expires, a run gets a new token.
    host.elapsed.set(Duration::from_secs(3599 - 300));
    send_once(&host);
    assert_eq!(logins.get(), 2);
}

#[test]
fn refused_token_is_renewed_once_for_all_sends() {
    for (good_from, expected_class, expected_logins) in
        [(2, Class::Accepted, 2), (99, Class::Unauthorized, 2)]
    {
        let host = with_secret();
        let logins = tokens_and_statuses(&host, move |number| if number >= good_from { 201 } else { 401 });
        let bot = bot(&host);
        let tokens = Tokens::new(&host, &bot);
        let sends = (0..16).map(|_| send(&host, &tokens, "https://smba.trafficmanager.net/amer/"));
        let verdicts = run(join_all(sends));
        assert!(verdicts.iter().all(|verdict| verdict.class == expected_class), "{verdicts:?}");
        // A later send of the same run uses the result of the renewal, and does not renew the token again.
        assert_eq!(run(send(&host, &tokens, "https://smba.trafficmanager.net/")).class, expected_class);
        assert_eq!(logins.get(), expected_logins, "{:?}", trace(&host));
    }
}

#[test]
fn token_is_renewed_only_after_a_401_or_after_a_403_without_an_error_code() {
    let coded = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"x"}}}}"#);
    for (status, body, renews) in [
        (401, String::new(), true),
        (401, coded("BotNotRegistered"), true),
        (403, String::new(), true),
        (403, "<html>".into(), true),
        (403, coded("BotNotInConversationRoster"), false),
        (400, String::new(), false),
        (404, String::new(), false),
        (429, String::new(), false),
        (503, String::new(), false),
        (307, String::new(), false),
    ] {
        let host = with_secret();
        host.then(token_response("t1")).then_status(status, &body);
        if renews {
            host.then(token_response("t2")).then_status(201, "");
        }
        let verdict = send_once(&host);
        let expected: &[&str] =
            if renews { &["login", "Bearer t1", "login", "Bearer t2"] } else { &["login", "Bearer t1"] };
        assert_eq!(trace(&host), expected, "{status} {body}");
        assert_eq!(verdict.class == Class::Accepted, renews, "{status} {body}");
    }
}

/// A 401 for a renewed token has the class `Unauthorized`, because the Connector refuses the bot itself. A
/// 403 without an error code has the class `Permanent`, because this 403 concerns only this message. In both
/// cases, a later message is still sent to the Connector.
#[test]
fn refusal_of_a_fresh_token_is_unauthorized_for_401_and_permanent_for_403() {
    for (status, expected) in [(401, Class::Unauthorized), (403, Class::Permanent)] {
        let host = with_secret();
        host.then(token_response("t1")).then_status(status, "");
        host.then(token_response("t2")).then_status(status, "").then_status(status, "").then_status(201, "");
        let bot = bot(&host);
        let tokens = Tokens::new(&host, &bot);
        let send = || run(send(&host, &tokens, "https://smba.trafficmanager.net/amer/")).class;
        assert_eq!(send(), expected, "{status} after a renewal");
        assert_eq!(send(), expected, "{status} in a run that has renewed its token");
        assert_eq!(send(), Class::Accepted, "{status}: the third message must still be sent");
    }
}

#[test]
fn send_that_gets_no_token_calls_only_the_login_host() {
    let refused = json!({"error": "invalid_client", "error_codes": [7_000_215]}).to_string();
    let ok = |status: u16, body: &str| Ok(response(status, body));
    let lost = || Err(TransportError::ResponseLost("hunter2".into()));
    let cases: Vec<(Vec<Result<_, TransportError>>, Class, &str)> = vec![
        (vec![ok(401, &refused)], Class::Unauthorized, "microsoftapppassword"),
        (vec![ok(503, ""), ok(401, &refused)], Class::Unauthorized, "microsoftapppassword"),
        (vec![ok(307, "")], Class::Unauthorized, "redirect"),
        (vec![ok(503, ""), ok(503, "")], Class::NoToken, "503"),
        (vec![ok(429, "")], Class::NoToken, "429"),
        (vec![lost(), lost()], Class::NoToken, "response was lost"),
        (vec![Err(TransportError::Denied)], Class::NoToken, "allowed_outbound_hosts"),
        (vec![ok(200, "{}")], Class::NoToken, "without a token"),
    ];
    for (responses, class, expected_text) in cases {
        let host = with_secret();
        let expected_logins = responses.len();
        for response in responses {
            host.then(response);
        }
        let bot = bot(&host);
        let tokens = Tokens::new(&host, &bot);
        let sends = (0..16).map(|_| send(&host, &tokens, "https://smba.trafficmanager.net/amer/"));
        for verdict in run(join_all(sends)) {
            assert_eq!((verdict.class, verdict.status), (class, None), "{verdict:?}");
            assert!(verdict.reason.contains(expected_text), "{verdict:?}");
        }
        assert_eq!(
            trace(&host),
            vec!["login"; expected_logins],
            "{expected_text}: all sends share the token requests"
        );
        assert!(host.store.borrow().is_empty(), "{expected_text}: nothing must be stored without a token");
    }
}

#[test]
fn token_request_that_fails_once_is_repeated_without_a_pause() {
    let host = with_secret();
    host.then_status(502, "<html>").then(token_response("t")).then_status(201, "");
    assert_eq!(send_once(&host).class, Class::Accepted);
    assert_eq!(trace(&host), ["login", "login", "Bearer t"]);
}

#[test]
fn short_lived_token_is_used_in_one_run_and_not_stored() {
    for expires_in in ["1", "300", "-5", "null", "\"never\""] {
        let host = with_secret();
        host.then_status(
            200,
            &format!(r#"{{"token_type":"Bearer","expires_in":{expires_in},"access_token":"t"}}"#),
        );
        host.then_status(201, "");
        assert_eq!(send_once(&host).class, Class::Accepted, "{expires_in}");
        assert!(host.store.borrow().is_empty(), "{expires_in}");
    }
}

/// The deadline passes before the token arrives. The verdict is the same as for a missing token, so the
/// poller does not count a failed try of the message.
#[test]
fn send_after_the_deadline_sends_nothing_to_the_connector() {
    let host = with_secret();
    host.then(token_response("t"));
    let bot = bot(&host);
    let tokens = Tokens::new(&host, &bot);
    let trust = TrustPolicy::read(AuthMode::Required, &host).unwrap();
    let connector = Connector::new(&host, Some(&tokens), Deadline::after(&host, Duration::ZERO));
    assert_eq!(run(send_by(&trust, connector, "http://127.0.0.1:9200/")).class, Class::NoToken);
    assert_eq!(trace(&host), ["login"]);
}

#[test]
fn service_url_checked_by_the_anonymous_policy_gets_no_token() {
    let host = with_secret();
    host.then_status(201, "");
    let bot = bot(&host);
    let tokens = Tokens::new(&host, &bot);
    let connector = Connector::new(&host, Some(&tokens), deadline(&host));
    run(send_by(&TrustPolicy::Anonymous, connector, "http://127.0.0.1:9200/"));
    assert_eq!(trace(&host), ["nothing"]);
}

#[test]
fn secrets_do_not_appear_in_debug_output_log_or_store() {
    for (name, value, clear) in [
        ("microsoftapppassword", "hunter2", "hunter2"),
        ("federatedtoken", "hunter2", "hunter2"),
        ("certificate", CERTIFICATE, "MII"),
    ] {
        let host = host(&[(name, value)]);
        host.then(token_response("hunter2token"))
            .then_status(401, "")
            .then(token_response("hunter2token"))
            .then_status(401, "");
        let bot = bot(&host);
        let tokens = Tokens::new(&host, &bot);
        let verdict = run(send(&host, &tokens, "https://smba.trafficmanager.net/"));
        let shown = format!("{bot:?} {tokens:?} {verdict:?} {:?}", host.lines.borrow());
        assert!(!shown.contains(clear) && !shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("app-id"), "the app id must be shown: {shown}");
        for (key, value) in host.store.borrow().iter() {
            let text = format!("{key} {}", String::from_utf8_lossy(value));
            assert!(!text.contains(clear) && !text.contains("hunter2"), "{text}");
        }
        assert!(!host.store.borrow().is_empty());
    }
}
