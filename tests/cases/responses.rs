//! Tests of the HTTP responses of the bot and the poller. The client gets the head (the status line and the
//! headers) and the body in one read. A large body arrives completely. If the client disconnects before the
//! response, the bot still finishes its work.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use end_to_end::activity::message;
use end_to_end::alerts::{self, ALERT_KEY, call};
use end_to_end::connector::Reply;
use end_to_end::stage::{POLL_KEY, Stage};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::Value;

end_to_end::cases!(
    response_with_a_body_arrives_in_one_read,
    response_larger_than_a_host_buffer_arrives_whole,
    message_is_queued_and_delivered_although_the_client_disconnects_early,
);

/// Sends a request over a new connection, and returns the open connection.
fn send(stage: &Stage, request: &str) -> TcpStream {
    let authority = stage.url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&authority).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = request.replace("HOST", &authority);
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// How often [`response_with_a_body_arrives_in_one_read`] sends each request.
const TIMES: usize = 50;

/// Reads once from the connection.
fn first_read(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 64 * 1024];
    let count = stream.read(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

/// The client must get the head and the body in one read, because a separate body can arrive 40 ms later. A
/// function of the Spin SDK passes the head to the Spin host before the body. Then the host can send the head
/// alone. So the bot and the poller do not use this function, and pass the body first.
///
/// If the components used this function, only some responses would arrive in two parts, because two threads
/// of the host compete. So the test sends each request many times.
fn response_with_a_body_arrives_in_one_read(world: &World) {
    let stage = alerts::stage(world);
    let activity = message("a:1", "1", "hello");
    let activity = stage.connector.host(&activity).to_string();
    let post = |path: &str, kind: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: HOST\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let with_key = |request: String, key: &str| {
        request.replacen("host: HOST", &format!("host: HOST\r\nauthorization: Bearer {key}"), 1)
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: HOST\r\n\r\n");
    for (request, status) in [
        (post("/api/messages", "application/json", &activity), 202),
        (post("/api/messages", "application/json", "{"), 400),
        (post("/api/messages", "text/plain", "x"), 415),
        (post("/api/alerts", "application/json", "{}"), 401),
        (with_key(post("/api/alerts", "application/json", "{}"), ALERT_KEY), 400),
        (with_key(get("/api/targets"), ALERT_KEY), 200),
        (get("/internal/poll"), 401),
        (with_key(get("/internal/poll"), POLL_KEY), 200),
    ] {
        for _ in 0..TIMES {
            let piece = first_read(&mut send(&stage, &request));
            let (head, body) = piece
                .split_once("\r\n\r\n")
                .unwrap_or_else(|| panic!("expected a whole head in the first read, found {piece}"));
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            assert_eq!(
                length,
                Some(body.len().to_string().as_str()),
                "{request}: expected the whole body in the first read, found {piece}"
            );
            assert!(!body.is_empty(), "{request}: {piece}");
        }
    }
}

fn response_larger_than_a_host_buffer_arrives_whole(world: &World) {
    const CONVERSATIONS: usize = 100;
    let stage = alerts::stage(world);
    // For each conversation, the bot stores an *address* (a conversation reference of the Bot Framework) of
    // up to 16 KiB. The address contains the name of the conversation, which has 12 000 characters here. So
    // the list of all conversations has 1.2 MB. The buffer of the Spin host has only 1 MiB.
    let name = "n".repeat(12_000);
    for index in 0..CONVERSATIONS {
        let mut activity = message(&format!("a:{index}"), "1", "hello");
        activity["conversation"]["name"] = name.as_str().into();
        activity["from"]["id"] = format!("29:{index}").into();
        stage.say(&activity);
    }
    for limit in [CONVERSATIONS / 4, CONVERSATIONS] {
        let response =
            call(&stage, "GET", &format!("/api/targets?limit={limit}"), &Value::Null).expect_status(200);
        assert!(response.body.len() > limit * name.len(), "{} bytes", response.body.len());
        assert_eq!(response.header("content-length"), response.body.len().to_string());
        let targets = response.json();
        let targets = targets["targets"].as_array().unwrap();
        assert!(targets.len() == limit && targets.iter().all(|target| target["name"] == name.as_str()));
    }
}

fn message_is_queued_and_delivered_although_the_client_disconnects_early(world: &World) {
    let stage = alerts::stage(world);
    // The Connector responds one second after it received the bot's reply. In this second, the bot is still
    // at work, and the client disconnects.
    stage.connector.on(|_| Some(Reply::created("1").after(Duration::from_secs(1))));
    let activity = stage.connector.host(&message("a:gone", "1", "hello")).to_string();
    let request = format!(
        "POST /api/messages HTTP/1.1\r\nhost: HOST\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{activity}",
        activity.len()
    );
    let stream = send(&stage, &request);
    eventually("the message on the queue", || {
        (stage.queue.exists() && stage.queue.count() == 1).then_some(())
    });
    drop(stream);
    assert!(stage.connector.wait_for(1)[0].is_acknowledgement());
    // The Spin host still runs, and the poller delivers the alerts of both messages.
    stage.say(&message("a:gone", "2", "hello"));
    assert_eq!(stage.poll()["delivered"], 2);
}
