//! Tests of the fake Connector and the fake Direct Line. If a fake accepted every request, the other tests
//! would not notice a wrong request of the bot or of the poller.

use end_to_end::connector::{Connector, Reply};
use end_to_end::direct_line::DirectLine;
use end_to_end::suite::World;
use end_to_end::web;
use serde_json::json;

end_to_end::cases!(
    connector_complains_about_an_unexpected_request,
    connector_changes_and_deletes_only_messages_that_the_chat_shows,
    connector_cuts_the_connection_before_or_after_recording_the_request,
    direct_line_complains_about_an_unexpected_request,
);

fn connector_complains_about_an_unexpected_request(_: &World) {
    let connector = Connector::start();
    let call = |method: &str, path: &str, header: (&str, &str), body: &str| {
        let request =
            http::Request::builder().method(method).uri(format!("http://{}{path}", connector.authority()));
        web::send(request.header(header.0, header.1).body(web::whole(body.to_owned())).unwrap())
    };
    let json_type = ("content-type", "application/json");
    let good = r#"{"type":"message"}"#;
    call("POST", "/amer/v3/conversations/c/activities", json_type, good).expect_status(201);
    assert!(connector.take_complaints().is_empty());
    for (method, path, header, body, complaint) in [
        ("GET", "/v3/conversations/c/activities", json_type, good, "only posts"),
        ("POST", "/v3/conversations", json_type, good, "created in a tenant"),
        ("POST", "/v3/conversation", json_type, good, "no such route"),
        ("POST", "/v3/conversations//activities", json_type, good, "no such route"),
        ("POST", "/v3/conversations/c/activities", ("content-type", "text/plain"), good, "application/json"),
        ("POST", "/v3/conversations/c/activities", json_type, "{}", "has a type"),
        ("PUT", "/v3/conversations/c/activities", json_type, good, "names an activity"),
        ("PUT", "/v3/conversations/c/activities/sent-1", json_type, "{}", "has a type"),
        ("DELETE", "/v3/conversations/c/activities/sent-1", json_type, good, "has no body"),
    ] {
        let response = call(method, path, header, body).expect_status(500);
        let message = response.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            message.contains(complaint) && message.contains(method) && message.contains(path),
            "{message}"
        );
        assert_eq!(connector.take_complaints().len(), 1);
    }
}

fn connector_changes_and_deletes_only_messages_that_the_chat_shows(_: &World) {
    let connector = Connector::start();
    let call = |method: &str, path: &str, body: &str| {
        let uri = format!("http://{}/v3/conversations/c/activities{path}", connector.authority());
        let request = http::Request::builder().method(method).uri(uri);
        let request = request.header("content-type", "application/json");
        web::send(request.body(web::whole(body.to_owned())).unwrap())
    };
    let texts =
        || connector.shown("c").iter().map(|activity| activity["text"].to_string()).collect::<Vec<_>>();
    let refused = |response: web::WholeResponse, status: u16, code: &str| {
        assert_eq!(response.expect_status(status).json()["error"]["code"], code);
    };
    let gone = "ActivityNotFoundInConversation";
    refused(call("PUT", "/sent-1", r#"{"type":"message","text":"2"}"#), 404, gone);
    let response = call("POST", "", r#"{"type":"message","text":"1"}"#).expect_status(201).json();
    let path = format!("/{}", response["id"].as_str().unwrap());
    call("PUT", &path, r#"{"type":"message","text":"2"}"#).expect_status(200);
    assert_eq!(texts(), ["\"2\""]);
    call("DELETE", &path, "").expect_status(200);
    refused(call("DELETE", &path, ""), 404, gone);
    assert!(texts().is_empty());
    let web_chat = r#"{"type":"message","channelId":"webchat"}"#;
    let response = call("POST", "", web_chat).expect_status(201).json();
    let path = format!("/{}", response["id"].as_str().unwrap());
    refused(call("PUT", &path, web_chat), 405, "BadArgument");
}

fn connector_cuts_the_connection_before_or_after_recording_the_request(_: &World) {
    let connector = Connector::start();
    connector.on(|received| match received.text() {
        "unseen" => Some(Reply::cut_unseen()),
        "unanswered" => Some(Reply::cut_without_response()),
        _ => None,
    });
    for (text, recorded) in [("unseen", 0), ("unanswered", 1)] {
        let request =
            http::Request::post(format!("http://{}/v3/conversations/c/activities", connector.authority()));
        let body = web::whole(json!({"type": "message", "text": text}).to_string());
        let request = request.header("content-type", "application/json").body(body).unwrap();
        assert!(web::try_send(request).is_err());
        assert_eq!(connector.received().len(), recorded, "{text}");
    }
}

fn direct_line_complains_about_an_unexpected_request(_: &World) {
    let direct_line = DirectLine::start("secret");
    let call = |method: &str, path: &str, secret: &str, kind: &str, body: &str| {
        let uri = format!("http://{}/v3/directline/conversations{path}", direct_line.authority());
        let request = http::Request::builder().method(method).uri(uri).header("content-type", kind);
        let request = request.header("authorization", format!("Bearer {secret}"));
        web::send(request.body(web::whole(body.to_owned())).unwrap())
    };
    let json_type = "application/json";
    call("POST", "", "wrong", json_type, "").expect_status(403);
    let started = call("POST", "", "secret", json_type, "").expect_status(201).json();
    let activities = format!("/{}/activities", started["conversationId"].as_str().unwrap());
    let good = r#"{"type":"event","name":"trigger","from":{"id":"x"},"value":{}}"#;
    call("POST", &activities, "secret", json_type, good).expect_status(200);
    call("POST", &activities, "wrong", json_type, good).expect_status(403);
    assert!(direct_line.take_complaints().is_empty());
    for (method, path, kind, body, complaint) in [
        ("GET", activities.as_str(), json_type, good, "only posts"),
        ("POST", "/nope/activities", json_type, good, "no such conversation"),
        ("POST", "/nope", json_type, good, "no such route"),
        ("POST", &activities, "text/plain", good, "application/json"),
        ("POST", &activities, json_type, "hello", "is JSON"),
        ("POST", &activities, json_type, r#"{"type":"message","text":"x"}"#, "has a type, a name"),
        ("POST", &activities, json_type, r#"{"type":"event","name":"t","from":{"id":"x"}}"#, "has a value"),
    ] {
        call(method, path, "secret", kind, body).expect_status(400);
        let complaints = direct_line.take_complaints();
        assert!(complaints.len() == 1 && complaints[0].contains(complaint), "{complaint}: {complaints:#?}");
    }
    assert_eq!(direct_line.triggers().len(), 1);
}
