//! Executes `$batch`: one call with several operations. Either all operations succeed, or none has an effect.

use std::collections::BTreeSet;
use std::fmt::Write;

use bytes::Bytes;
use dev::azurite::ACCOUNT;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::entities::{Operation, Refusal, Tables};
use crate::stubs::stub::response;

/// The most operations of a batch.
const MOST_OPERATIONS: usize = 100;

const DUPLICATE: Refusal = Refusal { status: 400, code: "InvalidDuplicateRow" };
const SEVERAL_PARTITIONS: Refusal = Refusal { status: 400, code: "CommandsInBatchActOnDifferentPartitions" };
const TOO_MANY: Refusal = Refusal { status: 400, code: "InvalidInput" };

/// Executes a batch, and returns the response. Returns `None` if the batch does not have the expected form.
/// `kind` is the value of the header `Content-Type`.
pub(super) fn response_to(tables: &mut Tables, kind: &str, body: &[u8]) -> Option<Response<Bytes>> {
    let body = std::str::from_utf8(body).ok()?;
    let operations = operations(kind, body)?;
    let done = match check(&operations) {
        Ok(()) => tables.write_all(&operations),
        Err(refused) => Err(refused),
    };
    let mut parts = String::new();
    match done {
        Ok(etags) => {
            for (index, etag) in etags.iter().enumerate() {
                let etag = etag.as_ref().map(|etag| format!("ETag: {etag}\r\n")).unwrap_or_default();
                part(&mut parts, index, 204, &etag, "");
            }
        }
        Err((index, refusal)) => {
            let kind = "Content-Type: application/json;odata=minimalmetadata;charset=utf-8\r\n";
            part(&mut parts, index, refusal.status, kind, &refusal.body(Some(index)).to_string());
        }
    }
    let text = format!(
        "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n\
         {parts}--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    );
    let mut response = response(202, text);
    let kind = HeaderValue::from_static("multipart/mixed; boundary=batchresponse_1");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Some(response)
}

/// Appends the response to one operation to `parts`.
fn part(parts: &mut String, index: usize, status: u16, headers: &str, body: &str) {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let id = index + 1;
    // Writing into a string does not fail.
    _ = write!(
        parts,
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
         HTTP/1.1 {status}\r\nContent-ID: {id}\r\nDataServiceVersion: 3.0;\r\n{headers}\r\n{body}\r\n"
    );
}

/// Checks the operations, as Azure does before it executes the first operation. The error contains the index
/// of the operation that fails the check.
fn check(operations: &[Operation<'_>]) -> Result<(), (usize, Refusal)> {
    let mut keys = BTreeSet::new();
    for (index, operation) in operations.iter().enumerate() {
        if index >= MOST_OPERATIONS {
            return Err((index, TOO_MANY));
        }
        if !keys.insert(&operation.key) {
            return Err((index, DUPLICATE));
        }
        if operation.key.0 != operations[0].key.0 {
            return Err((index, SEVERAL_PARTITIONS));
        }
    }
    Ok(())
}

/// Reads the operations of a batch. The *change set* is the part of the batch that contains the operations. A
/// batch has only one change set.
fn operations<'a>(kind: &str, body: &'a str) -> Option<Vec<Operation<'a>>> {
    let batch = kind.strip_prefix("multipart/mixed; boundary=")?;
    let change_set = body.strip_prefix("--")?.strip_prefix(batch)?;
    let (_, boundary) = change_set.split_once("boundary=")?;
    let (boundary, change_set) = boundary.split_once("\r\n")?;
    let boundary = format!("--{boundary}");
    let mut parts = change_set.split(&boundary);
    // The text before the first boundary belongs to the headers of the change set.
    parts.next()?;
    let mut operations = Vec::new();
    for part in parts {
        if let Some(rest) = part.strip_prefix("--") {
            let is_whole = rest.trim() == format!("--{batch}--");
            return (is_whole && !operations.is_empty()).then_some(operations);
        }
        operations.push(operation(part)?);
    }
    None
}

fn operation(part: &str) -> Option<Operation<'_>> {
    let (headers, request) = part.strip_prefix("\r\n")?.split_once("\r\n\r\n")?;
    if !headers.contains("application/http") || !headers.contains("binary") {
        return None;
    }
    let (head, body) = request.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, url, version) = (first.next()?, first.next()?, first.next()?);
    if version != "HTTP/1.1" {
        return None;
    }
    // The stub accepts only absolute URLs. The components must also work with Azurite (the emulator of Azure
    // Storage), and Azurite responds with 500 to relative URLs.
    let (_, path) = url.strip_prefix("http://")?.split_once('/')?;
    let path = path.strip_prefix(ACCOUNT)?.strip_prefix('/')?;
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let if_match = lines
        .filter_map(|line| line.split_once(": "))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("if-match").then_some(value));
    Operation::parse(method, &path, if_match, body.trim().as_bytes())
}
