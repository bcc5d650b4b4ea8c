//! Tests that the stub responds as the table service does.

use bytes::Bytes;
use end_to_end::web::{self, WholeResponse};
use serde_json::{Value, json};

use super::Table;

const TABLE: &str = "state";

/// A stub with one table.
struct Service(Table);

impl Service {
    fn start() -> Self {
        let service = Self(Table::start());
        let body = json!({"TableName": TABLE});
        assert_eq!(service.call("POST", "Tables", &[], body).status, 204);
        service
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> WholeResponse {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let accept = [("accept", "application/json;odata=nometadata"), ("prefer", "return-no-content")];
        self.call_as_is(method, path, &[&accept, headers].concat(), body.into())
    }

    fn call_as_is(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> WholeResponse {
        let uri = format!("{}/{path}", self.0.account_url());
        let request = http::Request::builder().method(method).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        web::send(request.body(web::whole(body)).unwrap())
    }

    fn insert(&self, partition: &str, row: &str, number: u32) -> WholeResponse {
        let entity = json!({"PartitionKey": partition, "RowKey": row, "n": number});
        self.call("POST", TABLE, &[], entity)
    }

    fn get(&self, row: &str) -> WholeResponse {
        self.call("GET", &entity(row), &[], Value::Null)
    }

    /// Sends a batch of requests. Each request has a method, a path, headers and a body.
    fn batch(&self, requests: &[(&str, String, &str, &str)]) -> WholeResponse {
        let url = self.0.account_url();
        let mut body = "--b1\r\nContent-Type: multipart/mixed; boundary=c2\r\n\r\n".to_owned();
        for (method, path, headers, entity) in requests {
            body += "--c2\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n";
            body +=
                &format!("{method} {url}/{path} HTTP/1.1\r\nContent-Type: application/json\r\n{headers}\r\n");
            body += &format!("{entity}\r\n");
        }
        body += "--c2--\r\n--b1--\r\n";
        let kind = [("content-type", "multipart/mixed; boundary=b1")];
        self.call_as_is("POST", "$batch", &kind, body.into())
    }

    #[track_caller]
    fn expect_no_complaint(&self) {
        assert_eq!(self.0.complaint(), None);
    }
}

fn entity(row: &str) -> String {
    format!("{TABLE}(PartitionKey='p',RowKey='{row}')")
}

fn code(response: &WholeResponse) -> String {
    let code = response.json()["odata.error"]["code"].as_str().unwrap().to_owned();
    assert_eq!(response.header("x-ms-error-code"), code);
    code
}

#[test]
fn inserted_entity_is_read_with_keys_time_and_etag() {
    let service = Service::start();
    let inserted = service.insert("p", "o''b", 1).expect_status(204);
    assert_eq!(inserted.header("preference-applied"), "return-no-content");
    // The row key `o''b` has two quotes. A path has two quotes for each quote of the key, so this path has
    // four (`%27`).
    let read = service.get("o%27%27%27%27b").expect_status(200);
    assert_eq!(read.header("etag"), inserted.header("etag"));
    assert!(inserted.header("etag").starts_with("W/\""), "{}", inserted.describe());
    assert!(chrono::DateTime::parse_from_rfc2822(read.header("date")).is_ok(), "{}", read.describe());
    let mut body = read.json();
    let timestamp = body["Timestamp"].take();
    assert!(chrono::DateTime::parse_from_rfc3339(timestamp.as_str().unwrap()).is_ok(), "{timestamp}");
    assert_eq!(body, json!({"PartitionKey": "p", "RowKey": "o''b", "Timestamp": null, "n": 1}));
    assert_eq!(service.0.len(), 1, "entities");
    assert_eq!(service.0.calls(), 3, "calls: create, insert, get");
    service.expect_no_complaint();
}

#[test]
fn if_match_decides_whether_an_entity_is_changed() {
    let service = Service::start();
    let first = service.insert("p", "r", 1).header("etag").to_owned();
    assert_eq!(code(&service.insert("p", "r", 2).expect_status(409)), "EntityAlreadyExists");
    let merged = service.call("PATCH", &entity("r"), &[("if-match", &first)], json!({"m": "x", "n": null}));
    let second = merged.expect_status(204).header("etag").to_owned();
    assert_ne!(first, second);
    let (read, etag) = (service.get("r").json(), [("if-match", first.as_str())]);
    assert_eq!((&read["n"], &read["m"]), (&json!(1), &json!("x")), "a merge keeps the other properties");
    for method in ["PUT", "PATCH", "DELETE"] {
        let body = if method == "DELETE" { Value::Null } else { json!({"n": 3}) };
        let stale = service.call(method, &entity("r"), &etag, body.clone()).expect_status(412);
        assert_eq!(code(&stale), "UpdateConditionNotSatisfied", "{method}");
        let missing = service.call(method, &entity("s"), &etag, body).expect_status(404);
        assert_eq!(code(&missing), "ResourceNotFound", "{method}");
    }
    // Without `if-match`, a replace changes an existing entity, and creates a missing entity.
    service.call("PUT", &entity("r"), &[], json!({"n": 4})).expect_status(204);
    assert_eq!(service.get("r").json()["m"], Value::Null, "a replace keeps no old property");
    service.call("PUT", &entity("s"), &[], json!({"n": 5})).expect_status(204);
    service.call("DELETE", &entity("r"), &[("if-match", "*")], Value::Null).expect_status(204);
    assert_eq!(code(&service.get("r").expect_status(404)), "ResourceNotFound");
    service.call("DELETE", &entity("s"), &[], Value::Null).expect_status(400);
    service.expect_no_complaint();
}

#[test]
fn missing_table_and_second_creation_are_refused_and_unknown_filter_is_a_complaint() {
    let service = Service::start();
    let again = service.call("POST", "Tables", &[], json!({"TableName": "STATE"})).expect_status(409);
    assert_eq!(code(&again), "TableAlreadyExists");
    let nowhere = service.call("POST", "other", &[], json!({"PartitionKey": "p", "RowKey": "r"}));
    assert_eq!(code(&nowhere.expect_status(404)), "TableNotFound");
    service.expect_no_complaint();
    service.call("GET", "state()?$filter=n%20eq%201", &[], Value::Null).expect_status(500);
    assert!(service.0.complaint().is_some(), "the stub expects no filter by the property `n`");
}

#[test]
fn query_returns_all_matching_rows_page_by_page() {
    let service = Service::start();
    for row in 0..25 {
        service.insert("p", &format!("r{row:02}"), row).expect_status(204);
        service.insert("q", &format!("r{row:02}"), row).expect_status(204);
    }
    let filter =
        "PartitionKey%20eq%20%27p%27%20and%20RowKey%20ge%20%27r03%27%20and%20RowKey%20lt%20%27r20%27";
    let (mut found, mut next, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("state()?$filter={filter}&$top=5&$select=RowKey{next}");
        let page = service.call("GET", &path, &[], Value::Null).expect_status(200);
        pages += 1;
        found.extend(page.json()["value"].as_array().unwrap().clone());
        let token = |name: &str| page.header(&format!("x-ms-continuation-{name}")).replace('%', "%25");
        if token("NextPartitionKey").is_empty() {
            break;
        }
        next = format!("&NextPartitionKey={}&NextRowKey={}", token("NextPartitionKey"), token("NextRowKey"));
    }
    let expected: Vec<_> = (3..20).map(|row| json!({"RowKey": format!("r{row:02}")})).collect();
    assert_eq!(found, expected);
    assert_eq!(pages, 4, "17 rows, 5 on a page");
    service.expect_no_complaint();
}

#[test]
fn batch_with_a_refused_operation_changes_nothing() {
    let service = Service::start();
    let etag = service.insert("p", "old", 1).header("etag").to_owned();
    let if_match = format!("If-Match: {etag}\r\n");
    service.insert("p", "last", 1).expect_status(204);
    let new = r#"{"PartitionKey":"p","RowKey":"new","n":1}"#;
    let stale = "If-Match: W/\"stale\"\r\n";

    let refused = service
        .batch(&[
            ("POST", TABLE.into(), "", new),
            ("PUT", entity("old"), if_match.as_str(), r#"{"n":2}"#),
            ("DELETE", entity("last"), stale, ""),
        ])
        .expect_status(202);
    let text = String::from_utf8_lossy(&refused.body).into_owned();
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    assert!(text.contains("HTTP/1.1 412 ") && text.contains(r#""value":"2:"#), "{text}");
    assert_eq!(service.get("old").json()["n"], 1);
    service.get("new").expect_status(404);

    let done = service
        .batch(&[("POST", TABLE.into(), "", new), ("PATCH", entity("old"), if_match.as_str(), r#"{"n":2}"#)])
        .expect_status(202);
    let text = String::from_utf8_lossy(&done.body).into_owned();
    assert!(done.header("content-type").starts_with("multipart/mixed; boundary="), "{}", done.describe());
    assert_eq!(text.matches("HTTP/1.1 204 No Content\r\n").count(), 2, "{text}");
    let etag = service.get("old").header("etag").to_owned();
    assert!(text.contains(&format!("ETag: {etag}\r\n")), "{text}");
    assert_eq!(service.get("old").json()["n"], 2);

    let other = r#"{"PartitionKey":"q","RowKey":"r"}"#;
    for (second, code) in [(other, "CommandsInBatchActOnDifferentPartitions"), (new, "InvalidDuplicateRow")] {
        let first = ("PUT", entity("new"), "", r#"{"n":9}"#);
        let refused = service.batch(&[first, ("POST", TABLE.into(), "", second)]).expect_status(202);
        assert!(String::from_utf8_lossy(&refused.body).contains(code), "{}", refused.describe());
    }
    assert_eq!(service.get("new").json()["n"], 1);
    service.expect_no_complaint();
}
