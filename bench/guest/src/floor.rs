//! Handles the requests to the guest. The *guest* is a WebAssembly component for benchmarks, and its *host*
//! is the program that runs the guest. A *host call* is a call of a component to its host.
//!
//! For an activity, the guest makes host calls like the bot. For a run (one execution of the poller), the
//! guest makes host calls like the poller.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use platform::spin::{SpinBody, SpinHost};
use platform::{Clock, HttpClient, KeyValue, RequestBody, Settings, Timeouts};

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(5),
    between_bytes: Duration::from_secs(5),
    total: Duration::from_secs(12),
    max_response_bytes: 16 * 1024 * 1024,
};

/// The number of queue messages that the guest handles at once. The poller has the same limit.
const AT_ONCE: usize = 16;

/// The host calls that a request asks for. Each field comes from a header.
struct Calls {
    /// `x-variables`: the names of the variables to read, separated by commas.
    variables: Vec<String>,
    /// `x-reads`: the number of key-value reads. For an activity, the guest makes these reads once. For a
    /// run, the guest makes these reads again after each Get Messages (an operation of the queue).
    reads: u32,
    /// `x-writes`: the number of key-value writes. The guest makes the writes directly after the reads.
    writes: u32,
    /// `x-queue`: the URL of the queue's messages, such as `http://…/bot-queue/messages`.
    queue: String,
    /// `x-connector`: the URL to which the guest posts activities.
    connector: String,
    /// `x-outbound`: the number of outbound calls (HTTP requests of the guest to other servers) for an
    /// activity. For each activity, the guest makes at least two outbound calls: a Put Message, and a call to
    /// the Connector. All further outbound calls go to the Connector, too.
    outbound: u32,
}

pub(crate) async fn handle(host: &SpinHost, request: Request<SpinBody>) -> Response<Bytes> {
    let path = request.uri().path().to_owned();
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if header("prefer") == "respond-async" {
        // The kick (the bot's call to the poller) has this header. A test replaces the poller with this
        // guest, to get a poller that hangs. The guest sleeps for longer than the bot waits for the response.
        host.sleep(Duration::from_secs(20)).await;
    }
    let queue = header("x-queue").to_owned();
    if queue.is_empty() {
        return empty(StatusCode::OK);
    }
    let number = |name: &str| header(name).parse().unwrap_or_default();
    let calls = Calls {
        variables: header("x-variables").split(',').map(str::to_owned).collect(),
        reads: number("x-reads"),
        writes: number("x-writes"),
        queue,
        connector: header("x-connector").to_owned(),
        outbound: number("x-outbound"),
    };
    for name in &calls.variables {
        _ = host.setting(name);
    }
    if path == "/internal/poll" {
        run(host, &calls).await;
        return empty(StatusCode::OK);
    }
    let body = request.into_body().read(1024 * 1024).await.unwrap_or_default();
    key_value(host, &calls).await;
    let message = [&b"<QueueMessage><MessageText>"[..], &body, b"</MessageText></QueueMessage>"].concat();
    send(host, "POST", &calls.queue, message.into()).await;
    send(host, "POST", &calls.connector, body.clone()).await;
    for _ in 2..calls.outbound {
        send(host, "POST", &calls.connector, body.clone()).await;
    }
    let mut response = Response::new(Bytes::from_static(b"{}"));
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

async fn run(host: &SpinHost, calls: &Calls) {
    let get = format!("{}?numofmessages=32&visibilitytimeout=60", calls.queue);
    loop {
        let response = send(host, "GET", &get, Bytes::new()).await;
        key_value(host, calls).await;
        let response = String::from_utf8_lossy(&response);
        let ids: Vec<&str> =
            response.split("<MessageId>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
        if ids.is_empty() {
            return;
        }
        let alert = Bytes::from(vec![b'x'; 700]);
        stream::iter(ids)
            .for_each_concurrent(AT_ONCE, |id| {
                let alert = alert.clone();
                async move {
                    send(host, "POST", &calls.connector, alert).await;
                    let delete = format!("{}/{id}?popreceipt=AgAAAAMAAAAAAAAA", calls.queue);
                    send(host, "DELETE", &delete, Bytes::new()).await;
                }
            })
            .await;
    }
}

async fn key_value(host: &SpinHost, calls: &Calls) {
    for index in 0..calls.reads {
        _ = host.get(&format!("floor:{index}")).await;
    }
    for index in 0..calls.writes {
        // Each write changes the stored value. With unchanged values, the measured cost would be too low,
        // because a write of an unchanged value costs hardly anything.
        let value = format!("{:?}", host.now());
        _ = host.set(&format!("floor:{index}"), value.as_bytes()).await;
    }
}

async fn send(host: &SpinHost, method: &str, url: &str, body: Bytes) -> Bytes {
    let request = Request::builder().method(method).uri(url).header("authorization", "Bearer x").body(body);
    match request {
        Ok(request) => host.send(request, TIMEOUTS).await.map(Response::into_body).unwrap_or_default(),
        Err(_) => Bytes::new(),
    }
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
