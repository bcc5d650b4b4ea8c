//! Measures how many calls per second each stub can handle. (A *stub* is a small server in place of a
//! service.) In this measurement, only the driver calls the stubs. The results must be high, because slow
//! stubs would limit the other figures.

use bytes::Bytes;
use http::Request;

use crate::driver;
use crate::figures::Bench;

/// Measures the write of a table entity, Put Message, and the post of an activity to the Connector, over 8
/// connections.
pub fn stub_headroom(bench: &mut Bench) -> anyhow::Result<()> {
    let count = if bench.quick { 2_000 } else { 10_000 };
    let message = "x".repeat(1_200);
    let put = format!("<QueueMessage><MessageText>{message}</MessageText></QueueMessage>");
    let queue = bench.stubs.queue.messages_url();
    let connector = format!("http://{}/v3/conversations/a/activities", bench.stubs.connector.authority());
    let tables = bench.stubs.table.account_url();
    for _ in 0..bench.repetitions() {
        driver::send(&origin_of(&tables), create_table(&tables)?, 204)?;
        let writes = (0..count).map(|row| write_entity(&tables, row, &message)).collect::<Result<_, _>>()?;
        let outcome = driver::load(&origin_of(&tables), 8, writes, 204)?;
        bench.report.add("stub alone", "table", "calls/s", outcome.per_second());
        bench.stubs.table.clear();
        for (name, url, body) in [("queue", &queue, &put), ("Connector", &connector, &message)] {
            let body = Bytes::from(body.clone());
            let requests = (0..count).map(|_| post(url, body.clone())).collect::<Result<_, _>>()?;
            let outcome = driver::load(&origin_of(url), 8, requests, 201)?;
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

fn origin_of(url: &str) -> String {
    url.split('/').take(3).collect::<Vec<_>>().join("/")
}

fn create_table(account: &str) -> http::Result<Request<Bytes>> {
    let body = r#"{"TableName":"headroom"}"#.into();
    table_request(Request::post(path_of(account, "Tables")?), body)
}

/// Makes the request that writes an entity. `data` is as long as a queue message. The requests write the same
/// 1 000 entities again and again, because a run (one execution of the poller) also writes few different
/// entities.
fn write_entity(account: &str, number: usize, data: &str) -> http::Result<Request<Bytes>> {
    let path = path_of(account, &format!("headroom(PartitionKey='p',RowKey='{}')", number % 1_000))?;
    table_request(Request::put(path), format!(r#"{{"data":"{data}"}}"#).into())
}

fn path_of(account: &str, below: &str) -> http::Result<String> {
    let uri: http::Uri = format!("{account}/{below}").parse()?;
    Ok(uri.path().to_owned())
}

fn table_request(request: http::request::Builder, body: Bytes) -> http::Result<Request<Bytes>> {
    let accept = "application/json;odata=nometadata";
    request.header(http::header::ACCEPT, accept).header("prefer", "return-no-content").body(body)
}
