//! Tests of [`FaultyTables`], the proxy that makes calls to the table service fail. The faults must happen as
//! planned. The proxy must pass all other calls on unchanged.
//!
//! All requests have a fixed date and fixed signatures for the table `vectors1`. Azurite accepts old dates,
//! so the date can be fixed. A signature does not include the body or the query. So requests for different
//! rows can have the same signature.

use std::collections::BTreeSet;

use bench::driver;
use bytes::Bytes;
use end_to_end::activity::message;
use end_to_end::dice::Dice;
use end_to_end::faulty_queue::{FaultyQueue, Plan};
use end_to_end::faulty_tables::{Fault, FaultyTables};
use end_to_end::stage::Script;
use end_to_end::suite::World;
use end_to_end::web::{self, WholeResponse};
use http::Request;

end_to_end::cases!(
    random_faults_happen_and_are_noted,
    chosen_calls_fail_and_all_further_calls_pass,
    batches_on_one_connection_pass_unchanged,
    stage_with_a_queue_proxy_and_a_table_proxy_uses_both,
);

const DATE: &str = "Mon, 23 Nov 2026 22:00:00 GMT";
const PATH: &str = "/devstoreaccount1";

/// Makes a request with this signature.
fn signed(method: &str, path: &str, kind: &str, signature: &str, body: String) -> Request<Bytes> {
    let request = Request::builder()
        .method(method)
        .uri(format!("{PATH}/{path}"))
        .header("x-ms-date", DATE)
        .header("x-ms-version", "2021-12-02")
        .header("accept", "application/json;odata=nometadata")
        .header("prefer", "return-no-content")
        .header("authorization", format!("SharedKey devstoreaccount1:{signature}"));
    let request = if kind.is_empty() { request } else { request.header("content-type", kind) };
    request.body(body.into()).unwrap()
}

fn create_table() -> Request<Bytes> {
    let body = r#"{"TableName":"vectors1"}"#.to_owned();
    signed("POST", "Tables", "application/json", "K2jw7pKXMHep5BJuUnDIlB9cHAOIfA0KHPi4Adj1gXI=", body)
}

fn insert(partition: &str, row: &str) -> Request<Bytes> {
    let body = format!(r#"{{"PartitionKey":"{partition}","RowKey":"{row}"}}"#);
    signed("POST", "vectors1", "application/json", "XuWR993ERsctrPFDPIxVnGRKHWB54585Rpe2MAN5WAo=", body)
}

fn query(partition: &str) -> Request<Bytes> {
    let path = format!("vectors1()?$filter=PartitionKey%20eq%20%27{partition}%27");
    signed("GET", &path, "", "lJW4ejjy7cQiiLq4LCfXfXlKbGMHx+VOUhW3Rx90IV4=", String::new())
}

/// Makes a batch that inserts these rows. `authority` is the proxy's address, for the URLs in the batch.
fn batch(authority: &str, partition: &str, rows: &[String]) -> Request<Bytes> {
    let mut body = "--batch_a1\r\nContent-Type: multipart/mixed; boundary=changeset_b2\r\n\r\n".to_owned();
    for row in rows {
        body += &format!(
            "--changeset_b2\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
             POST http://{authority}{PATH}/vectors1 HTTP/1.1\r\nContent-Type: application/json\r\n\
             Accept: application/json;odata=nometadata\r\nPrefer: return-no-content\r\n\
             DataServiceVersion: 3.0\r\n\r\n{{\"PartitionKey\":\"{partition}\",\"RowKey\":\"{row}\"}}\r\n"
        );
    }
    body += "--changeset_b2--\r\n--batch_a1--\r\n";
    let kind = "multipart/mixed; boundary=batch_a1";
    signed("POST", "$batch", kind, "c7U0QYQQP9VppngIx0G98Oi1nZbVhBZAuQfI4IvcARM=", body)
}

/// Sends the request to `authority`, an `address:port`, over a new connection. Returns `None` if there is no
/// response, e.g. because the proxy has closed the connection.
fn send(authority: &str, request: Request<Bytes>) -> Option<WholeResponse> {
    let (mut head, body) = request.into_parts();
    head.uri = format!("http://{authority}{}", head.uri).parse().unwrap();
    web::try_send(Request::from_parts(head, web::whole(body))).ok()
}

/// Creates the table `vectors1` if the table is missing.
fn table(world: &World) {
    let created = send(&world.azurite().table_authority(), create_table()).unwrap();
    assert!([204, 409].contains(&created.status), "{}", created.describe());
}

/// Reads the rows of a partition directly from Azurite, without the proxy.
fn rows(world: &World, partition: &str) -> BTreeSet<String> {
    let response = send(&world.azurite().table_authority(), query(partition)).unwrap().expect_status(200);
    let rows = response.json()["value"].take();
    rows.as_array().unwrap().iter().map(|row| row["RowKey"].as_str().unwrap().to_owned()).collect()
}

fn random_faults_happen_and_are_noted(world: &World) {
    const PARTITION: &str = "faulty-dice";
    table(world);
    let tables = FaultyTables::start_with_dice(&world.azurite().table_authority(), Dice::new(7));
    let (mut stored, mut refused, mut lost) = (BTreeSet::new(), 0, 0);
    for number in 0..200 {
        let row = format!("{number:03}");
        match send(tables.authority(), insert(PARTITION, &row)).map(|response| response.status) {
            Some(204) => _ = stored.insert(row),
            Some(503) => refused += 1,
            None => {
                lost += 1;
                stored.insert(row);
            }
            Some(other) => panic!("status {other}"),
        }
    }
    assert!(
        (2..30).contains(&refused) && (2..30).contains(&lost),
        "expected 2 to 29 refused and 2 to 29 lost calls, found {refused} and {lost}"
    );
    assert_eq!(rows(world, PARTITION), stored);
    assert_eq!(tables.calls_and_faults(), (200, refused + lost));
    let notes = tables.notes();
    assert_eq!(notes.len(), 200);
    assert_eq!(notes.iter().filter(|note| note.status == Some(503)).count(), refused);
    assert_eq!(notes.iter().filter(|note| note.lost && note.status == Some(204)).count(), lost);
    assert!(notes.iter().all(|note| note.method == "POST" && note.path == "vectors1"));
}

fn chosen_calls_fail_and_all_further_calls_pass(world: &World) {
    const PARTITION: &str = "faulty-rule";
    table(world);
    let tables = FaultyTables::start(&world.azurite().table_authority());
    tables.fail(|call| match (call.table(), call.path.as_str()) {
        ("vectors1", _) if call.body.contains("\"seen\"") => Some(Fault::CutAfter),
        ("", "$batch") if call.body.contains("\"unseen\"") => Some(Fault::CutBefore),
        ("vectors1", "vectors1()") if call.query.contains("eq 'faulty-rule'") => Some(Fault::Status(500)),
        _ => None,
    });
    let status = |request| send(tables.authority(), request).map(|response| response.status);
    let of_rows = |rows: &[&str]| {
        let rows: Vec<_> = rows.iter().map(|row| (*row).to_owned()).collect();
        batch(tables.authority(), PARTITION, &rows)
    };
    assert_eq!(status(insert(PARTITION, "seen")), None);
    assert_eq!(status(insert(PARTITION, "plain")), Some(204));
    assert_eq!(status(of_rows(&["unseen", "beside"])), None);
    assert_eq!(status(of_rows(&["one", "two"])), Some(202));
    assert_eq!(status(query(PARTITION)), Some(500));
    tables.fail_nothing();
    assert_eq!(status(query(PARTITION)), Some(200));
    assert_eq!(rows(world, PARTITION), ["one", "plain", "seen", "two"].map(String::from).into());
    let noted: Vec<_> = tables.notes().iter().map(|note| (note.status, note.lost)).collect();
    let of = |status: u16| (Some(status), false);
    assert_eq!(noted, [(Some(204), true), of(204), (None, false), of(202), of(500), of(200)]);
}

fn batches_on_one_connection_pass_unchanged(world: &World) {
    const PARTITION: &str = "faulty-batches";
    table(world);
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let (mut batches, mut expected) = (Vec::new(), BTreeSet::new());
    for number in 0..10 {
        let rows: Vec<_> = (0..20).map(|row| format!("{number}-{row:02}")).collect();
        batches.push(batch(tables.authority(), PARTITION, &rows));
        expected.extend(rows);
    }
    // All batches use one connection.
    driver::load(&format!("http://{}", tables.authority()), 1, batches, 202).unwrap();
    assert_eq!(rows(world, PARTITION), expected);
    // The row already exists, so the body of Azurite's response contains an error. The proxy passes the body
    // and the headers on unchanged.
    let again = batch(tables.authority(), PARTITION, &["0-00".to_owned()]);
    let response = send(tables.authority(), again).unwrap().expect_status(202);
    assert!(
        response.header("content-type").starts_with("multipart/mixed; boundary="),
        "{}",
        response.describe()
    );
    assert!(
        String::from_utf8_lossy(&response.body).contains("EntityAlreadyExists"),
        "{}",
        response.describe()
    );
}

fn stage_with_a_queue_proxy_and_a_table_proxy_uses_both(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let queue = FaultyQueue::start(&world.azurite().queue_authority(), |_, _| Plan::default());
    let stage = Script::new(world).queue_at(queue.authority()).tables_at(tables.authority()).start();
    stage.say(&message("a:moved", "1", "hello"));
    assert_eq!(stage.queue.count(), 1);
    assert!(queue.calls_and_faults().0 > 0, "expected calls at the proxy of the queue, found none");
    assert!(tables.calls_and_faults().0 > 0, "expected calls at the proxy of the tables, found none");
}
