//! The HTTP entry point of the bot: probes (calls that check whether the bot runs), methods, routes, and
//! activities that the bot ignores.

use end_to_end::activity::message;
use end_to_end::login::{Login, Proof};
use end_to_end::openid::OpenId;
use end_to_end::stage::{Script, Stage};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use end_to_end::web::{self, WholeResponse};
use serde_json::json;

end_to_end::cases!(
    probe_without_a_token_gets_200_in_anonymous_and_in_required_mode,
    unsupported_methods_are_refused,
    unknown_routes_are_refused,
    activities_that_the_bot_ignores_are_accepted,
    unsupported_invoke_gets_200_with_an_error_in_the_body,
    request_without_a_proper_token_is_refused_in_required_mode,
    wrong_setting_is_named_in_the_log_and_not_in_the_response,
);

fn call(stage: &Stage, method: &str, path: &str) -> WholeResponse {
    web::send(http::Request::builder().method(method).uri(stage.url(path)).body(web::whole("")).unwrap())
}

fn probe_without_a_token_gets_200_in_anonymous_and_in_required_mode(world: &World) {
    for mode in ["anonymous", "required"] {
        let stage = Script::new(world).variable("authmode", mode).start();
        for (method, path) in [
            ("HEAD", "/api/messages"),
            ("GET", "/api/messages"),
            ("OPTIONS", "/api/messages"),
            ("GET", "/healthz"),
            ("HEAD", "/healthz"),
        ] {
            let response = call(&stage, method, path);
            assert_eq!(response.status, 200, "{method} {path} with authmode={mode}: {}", response.describe());
            assert!(
                path == "/healthz" || response.body.is_empty(),
                "{method} {path}: {}",
                response.describe()
            );
        }
    }
}

fn unsupported_methods_are_refused(world: &World) {
    let stage = Stage::start(world);
    for method in ["PUT", "DELETE", "PATCH"] {
        for (path, allowed) in [("/api/messages", "GET, HEAD, OPTIONS, POST"), ("/healthz", "GET, HEAD")] {
            let response = call(&stage, method, path).expect_error(405, "MethodNotAllowed");
            assert_eq!(response.header("allow"), allowed, "{method} {path}");
        }
    }
}

fn unknown_routes_are_refused(world: &World) {
    let stage = Stage::start(world);
    for path in ["/", "/api", "/api/message", "/api/messages/1", "/internal", "/favicon.ico"] {
        call(&stage, "GET", path).expect_status(404);
        call(&stage, "POST", path).expect_status(404);
    }
}

fn activities_that_the_bot_ignores_are_accepted(world: &World) {
    let stage = Stage::start(world);
    for kind in [
        "typing",
        "installationUpdate",
        "messageReaction",
        "messageUpdate",
        "messageDelete",
        "event",
        "trace",
        "endOfConversation",
        "command",
        "somethingNew",
        // The bot knows the type `message`, but not the type `Message`.
        "Message",
    ] {
        let mut activity = stage.connector.host(&message("a:doors", "1", "hello"));
        activity["type"] = kind.into();
        let response = stage.post(&activity);
        assert_eq!((response.status, response.json()), (200, json!({})), "{kind}: {}", response.describe());
    }
    stage.connector.expect_silence();
    assert_eq!(stage.queue.count(), 0);
}

fn unsupported_invoke_gets_200_with_an_error_in_the_body(world: &World) {
    let stage = Stage::start(world);
    let mut activity = stage.connector.host(&message("a:doors", "1", ""));
    activity["type"] = "invoke".into();
    for (name, pointer) in [("adaptiveCard/action", "/value/code"), ("task/fetch", "/error/code")] {
        activity["name"] = name.into();
        let body = stage.post(&activity).expect_status(200).json();
        assert_eq!(body.pointer(pointer), Some(&json!("NotSupported")), "{name}: {body}");
    }
    stage.connector.expect_silence();
    assert_eq!(stage.queue.count(), 0);
}

fn request_without_a_proper_token_is_refused_in_required_mode(world: &World) {
    let login = Login::start(Proof::Secret);
    let issuer = OpenId::start();
    let stage = Script::new(world).logged_in(&login).authenticated(&issuer).start();
    let proper = stage.connector.host(&message("a:doors", "1", "hello")).to_string();
    let long = "x".repeat(300 * 1024);
    for (token, content_type, body, code) in [
        (None, "application/json", proper.as_str(), "TokenMissing"),
        (Some("Bearer e30.e30.e30"), "application/json", proper.as_str(), "WrongAlgorithm"),
        (Some("Basic dTpw"), "application/json", proper.as_str(), "NotBearer"),
        // Without a token, a malformed request gets the same response as a well-formed request.
        (None, "text/plain", "hello", "TokenMissing"),
        (None, "application/json", "{", "TokenMissing"),
        (None, "application/json", long.as_str(), "TokenMissing"),
    ] {
        let mut request =
            http::Request::post(stage.url("/api/messages")).header("content-type", content_type);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let request = request.body(()).unwrap();
        // The bot responds without reading the body. The Spin host can then reset the connection, and the
        // response can be lost (RFC 9112 section 9.6). If the response is lost, the case sends the request
        // again.
        let response = eventually("a response", || {
            web::try_send(request.clone().map(|()| web::whole(body.to_owned()))).ok()
        });
        let response = response.expect_error(401, code);
        assert_eq!(response.header("www-authenticate"), "Bearer");
    }
    assert_eq!(login.requests(), 0, "a refused request must not make the bot fetch a token");
    assert_eq!(issuer.fetches(), 0, "a refused request must not make the bot fetch keys");
    stage.connector.expect_silence();
    assert_eq!(stage.queue.count(), 0);
}

fn wrong_setting_is_named_in_the_log_and_not_in_the_response(world: &World) {
    const SECRET: &str = "bm90LWEtcmVhbC1rZXk=";
    let connection = format!("AccountName=a;AccountKey={SECRET};QueueEndpoint=not an address");
    for (name, value) in [
        ("authmode", "sometimes"),
        ("storageconnection", &connection),
        ("queuename", "Not_A_Queue"),
        ("tableprefix", "not-a-prefix"),
        // With `authmode=required` and without an app id, the bot refuses every request.
        ("microsoftappid", ""),
    ] {
        let script = Script::new(world).variable(name, value);
        let script = if name == "microsoftappid" { script.variable("authmode", "required") } else { script };
        let stage = script.start();
        let activity = stage.connector.host(&message("a:doors", "1", "hello"));
        let response = stage.post(&activity).expect_error(500, "Misconfigured");
        assert!(
            !response.describe().contains(name),
            "the response must not name {name}, found {}",
            response.describe()
        );
        let line = stage.wait_for_events("request.rejected", 1).remove(0);
        assert!(line.to_string().contains(name), "expected {name} in the log line, found {line}");
        assert!(
            !stage.host_log().contains(SECRET) && !line.to_string().contains(SECRET),
            "the account key is in the log"
        );
        stage.connector.expect_silence();
    }
}
