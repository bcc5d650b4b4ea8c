//! The transactions of the fake service. The fake service does all operations of a transaction, or none.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::Response;
use serde_json::Value;

use super::FakeTables;
use super::request::{ParsedRequest, Target};

impl FakeTables {
    pub(super) fn transact(&mut self, parsed: &ParsedRequest, now: DateTime<Utc>) -> Response<Bytes> {
        let boundary = parsed
            .content_type
            .strip_prefix("multipart/mixed; boundary=")
            .expect("Content-Type has a boundary");
        let body = std::str::from_utf8(&parsed.body).expect("a transaction is UTF-8");
        assert!(body.len() <= 4 * 1024 * 1024, "the transaction is larger than 4 MiB");
        let changeset =
            body.strip_prefix(&format!("--{boundary}\r\nContent-Type: multipart/mixed; boundary="));
        let (changeset, rest) = changeset
            .and_then(|text| text.split_once("\r\n\r\n"))
            .expect("the body begins with a change set");
        let parts = rest
            .strip_suffix(&format!("--{changeset}--\r\n--{boundary}--\r\n"))
            .expect("the body ends with both closing boundaries");
        let opening = format!("--{changeset}\r\n");
        let writes: Vec<ParsedRequest> = parts.split(&*opening).skip(1).map(read_part).collect();
        check(&writes);

        let before = self.tables.clone();
        let mut response = String::new();
        for (index, write) in writes.iter().enumerate() {
            match self.write(write, now) {
                Ok(etag) => {
                    let etag = etag.map(|etag| format!("ETag: {etag}\r\n")).unwrap_or_default();
                    response.push_str(&part(&format!("HTTP/1.1 204 No Content\r\n{etag}\r\n")));
                }
                Err(refused) => {
                    self.tables = before;
                    let json = refused.body(&format!("{index}:"));
                    let head =
                        format!("HTTP/1.1 {} Refused\r\nContent-ID: {}\r\n", refused.status, index + 1);
                    response = part(&format!("{head}Content-Type: application/json\r\n\r\n{json}"));
                    break;
                }
            }
        }
        let response = format!(
            "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n\
             {response}--changesetresponse_1--\r\n--batchresponse_1--\r\n"
        );
        let head = Response::builder()
            .status(202)
            .header("content-type", "multipart/mixed; boundary=batchresponse_1");
        head.body(Bytes::from(response)).unwrap()
    }
}

fn read_part(part: &str) -> ParsedRequest {
    const HEADERS: &str = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    ParsedRequest::read_part(
        part.strip_prefix(HEADERS).unwrap_or_else(|| panic!("unexpected headers of a part: {part}")),
    )
}

fn part(text: &str) -> String {
    format!(
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n{text}\r\n"
    )
}

/// Panics on a transaction that Azure refuses, even if Azurite (the storage emulator) accepts the
/// transaction.
fn check(writes: &[ParsedRequest]) {
    assert!((1..=100).contains(&writes.len()), "expected 1 to 100 operations, found {}", writes.len());
    let keys: Vec<(String, String)> = writes.iter().map(key).collect();
    assert!(keys.iter().all(|key| key.0 == keys[0].0), "the transaction has several partitions: {keys:?}");
    assert_eq!(
        keys.iter().collect::<BTreeSet<_>>().len(),
        keys.len(),
        "the transaction has two operations on one entity: {keys:?}"
    );
}

fn key(write: &ParsedRequest) -> (String, String) {
    match &write.target {
        Target::Entity(_, key) => key.clone(),
        _ => {
            let body: Value = serde_json::from_slice(&write.body).expect("an insert has a body");
            let text = |name: &str| body[name].as_str().expect("an insert has both keys").to_owned();
            (text("PartitionKey"), text("RowKey"))
        }
    }
}
