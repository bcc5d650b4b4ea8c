//! Builds the requests of the client.

use http::header::{ACCEPT, HeaderName, IF_MATCH};
use http::{HeaderValue, Method};
use storage_account::{Call, encoded};

use crate::error::TableError;
use crate::filter::Query;
use crate::key::Key;
use crate::names::{ETag, TableName};
use crate::page::Continuation;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The value of the header `Accept`. Without this header, the service returns Atom (XML), or refuses the
/// request.
pub(crate) const NO_METADATA: &str = "application/json;odata=nometadata";
// These names are constants, so the client does not parse them again for each request.
const VERSION_HEADER: HeaderName = HeaderName::from_static("dataserviceversion");
const MAX_VERSION_HEADER: HeaderName = HeaderName::from_static("maxdataserviceversion");
const DATA_VERSION: HeaderValue = HeaderValue::from_static("3.0;NetFx");

const MOST_ROWS: u16 = 1000;

/// Makes a storage call with the headers that every call needs.
pub(crate) fn new(method: Method, path: String) -> Call {
    Call::new(method, path)
        .header(ACCEPT, HeaderValue::from_static(NO_METADATA))
        .header(VERSION_HEADER, DATA_VERSION)
        .header(MAX_VERSION_HEADER, DATA_VERSION)
}

pub(crate) fn create(table: &TableName) -> Call {
    let body = serde_json::json!({"TableName": table.as_str()}).to_string();
    without_content(new(Method::POST, "/Tables".to_owned())).body(JSON, body)
}

pub(crate) fn insert(table: &TableName, body: String) -> Call {
    without_content(new(Method::POST, format!("/{}", table.as_str()))).body(JSON, body)
}

/// Asks the service for a response without a body.
fn without_content(call: Call) -> Call {
    call.header(HeaderName::from_static("prefer"), HeaderValue::from_static("return-no-content"))
}

/// Returns the value of `If-Match`. Without an ETag, the value is `*`, which matches any version.
pub(crate) fn if_match(etag: Option<&ETag>) -> Result<HeaderValue, TableError> {
    HeaderValue::from_str(etag.map_or("*", ETag::as_str)).map_err(|_| {
        TableError::Invalid(
            "If-Match: the ETag is not valid in a header; use an ETag that the service returned".to_owned(),
        )
    })
}

/// Adds the condition that the entity exists and that its version is `etag`. Without `etag`, the entity must
/// exist, but the version does not matter.
pub(crate) fn matching(call: Call, etag: Option<&ETag>) -> Result<Call, TableError> {
    Ok(call.header(IF_MATCH, if_match(etag)?))
}

pub(crate) fn query(
    table: &TableName,
    query: &Query,
    from: Option<&Continuation>,
) -> Result<Call, TableError> {
    if !(1..=MOST_ROWS).contains(&query.top) {
        return Err(TableError::Invalid(format!("top: expected 1 to {MOST_ROWS}, found {}", query.top)));
    }
    let mut call = new(Method::GET, format!("/{}()", table.as_str())).reading_the_response();
    if let Some(expression) = query.filter.expression() {
        call = call.query("$filter", expression);
    }
    call = call.query("$top", query.top);
    if !query.select.is_empty() {
        call = call.query("$select", format!("PartitionKey,RowKey,{}", query.select.join(",")));
    }
    if let Some(from) = from {
        call = call.query("NextPartitionKey", &from.partition);
        if let Some(row) = &from.row {
            call = call.query("NextRowKey", row);
        }
    }
    Ok(call)
}

/// Returns the path of one entity. First, the function doubles each single quote in the keys, because single
/// quotes enclose the keys. Then, the function encodes special characters.
pub(crate) fn entity_path(table: &TableName, key: &Key) -> String {
    let quoted = |text: &str| encoded(&text.replace('\'', "''")).to_string();
    format!("/{}(PartitionKey='{}',RowKey='{}')", table.as_str(), quoted(&key.partition), quoted(&key.row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_an_entity_has_doubled_quotes_and_encoded_characters() {
        let table = TableName::parse("vectors1").unwrap();
        assert_eq!(
            entity_path(&table, &Key::new("19:abc@thread.v2", "o'brien")),
            "/vectors1(PartitionKey='19%3Aabc%40thread.v2',RowKey='o%27%27brien')"
        );
        assert_eq!(
            entity_path(&table, &Key::new("", "a b%ü")),
            "/vectors1(PartitionKey='',RowKey='a%20b%25%C3%BC')"
        );
    }
}
