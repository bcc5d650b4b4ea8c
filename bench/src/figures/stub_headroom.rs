//! Whether the stubs could be what is measured: how many calls a second they take by themselves.

use bytes::Bytes;
use http::Request;

use crate::driver;
use crate::figures::Bench;

/// Measures Put Message and a post to the Connector, over 8 connections.
pub fn stub_headroom(bench: &mut Bench) -> anyhow::Result<()> {
    let count = if bench.quick { 2_000 } else { 10_000 };
    let message = "x".repeat(1_200);
    let put = format!("<QueueMessage><MessageText>{message}</MessageText></QueueMessage>");
    let queue = bench.stubs.queue.messages_url();
    let connector = format!("http://{}/v3/conversations/a/activities", bench.stubs.connector.authority());
    for _ in 0..bench.repetitions() {
        for (name, url, body) in [("queue", &queue, &put), ("Connector", &connector, &message)] {
            let body = Bytes::from(body.clone());
            let requests = (0..count).map(|_| post(url, body.clone())).collect::<Result<_, _>>()?;
            let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
            let outcome = driver::load(&origin, 8, requests, 201)?;
            bench.report.add("stub alone", name, "calls/s", outcome.per_second());
        }
        bench.stubs.queue.clear();
    }
    Ok(())
}

fn post(url: &str, body: Bytes) -> http::Result<Request<Bytes>> {
    let uri: http::Uri = url.parse()?;
    Request::post(uri.path()).header(http::header::AUTHORIZATION, "Bearer x").body(body)
}
