//! The operations of the fake service.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::Response;
use serde_json::{Map, Value, json};

use super::FakeTables;
use super::filter::Condition;
use super::request::{ParsedRequest, Target, check_key};
use super::responses::{CHANGED, EXISTS, NOT_FOUND, Refused, TABLE_NOT_FOUND, done, json_response};
use crate::names::TableName;

/// The prefix of the partition key and of the row key in a continuation. Without the prefix, an empty
/// partition key would give an empty header, and the client ignores an empty header. An empty row key gives
/// no header.
const TOKEN: &str = "1!";

impl FakeTables {
    pub(super) fn serve(&mut self, parsed: &ParsedRequest, now: DateTime<Utc>) -> Response<Bytes> {
        match (parsed.method.as_str(), &parsed.target) {
            ("POST", Target::Tables) => self.create(parsed),
            ("POST", Target::Batch) => self.transact(parsed, now),
            ("GET", Target::TableForQuery(table)) => self.query(table, parsed),
            ("GET", Target::Entity(table, key)) => self.get(table, key, parsed),
            _ => match self.write(parsed, now) {
                Ok(etag) => done(etag.as_deref()),
                Err(refused) => refused.response(),
            },
        }
    }

    fn create(&mut self, parsed: &ParsedRequest) -> Response<Bytes> {
        let body = object(&parsed.body);
        let name = body["TableName"].as_str().expect("TableName is text");
        assert!(TableName::parse(name).is_ok(), "not a table's name: {name}");
        let name = name.to_ascii_lowercase();
        if self.tables.contains_key(&name) {
            return Refused { status: 409, code: "TableAlreadyExists" }.response();
        }
        self.tables.insert(name, Default::default());
        done(None)
    }

    /// Does one write. `parsed` is a whole request, or one operation of a transaction. Returns the new
    /// version of the entity. `None` after a delete.
    pub(super) fn write(
        &mut self,
        parsed: &ParsedRequest,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, Refused> {
        let mut body = if parsed.method == "DELETE" { Map::new() } else { object(&parsed.body) };
        let in_body = ["PartitionKey", "RowKey"].map(|name| body.remove(name));
        let (table, key) = match (parsed.method.as_str(), &parsed.target) {
            ("POST", Target::TableForInsert(table)) => {
                let [partition, row] = in_body.map(|key| key.expect("an insert has both keys in its body"));
                let [partition, row] =
                    [partition, row].map(|key| key.as_str().expect("keys are text").to_owned());
                check_key(&partition);
                check_key(&row);
                (table, (partition, row))
            }
            ("PUT" | "PATCH" | "DELETE", Target::Entity(table, key)) => (table, key.clone()),
            _ => panic!("the fake table service does not know {parsed:?}"),
        };
        check_properties(&body);
        let table = self.tables.get_mut(&table.to_ascii_lowercase()).ok_or(TABLE_NOT_FOUND)?;
        let exists = table.entities.contains_key(&key);
        match (parsed.method.as_str(), parsed.if_match.as_deref()) {
            ("POST", _) if exists => return Err(EXISTS),
            ("POST", _) | (_, None) => {}
            (_, Some(_)) if !exists => return Err(NOT_FOUND),
            (_, Some("*")) => {}
            (_, Some(etag)) if etag != table.etag(&key) => return Err(CHANGED),
            _ => {}
        }
        if parsed.method == "DELETE" {
            table.delete(&key);
            return Ok(None);
        }
        if parsed.method == "PATCH"
            && let Some(old) = table.entities.get(&key)
        {
            let mut merged = old.clone();
            for name in body.keys() {
                // The merge removes the type of the old value, because the new value can have another type.
                merged.remove(&format!("{name}@odata.type"));
            }
            merged.extend(body);
            body = merged;
        }
        self.version += 1;
        table.write(key.clone(), body, self.version, now);
        Ok(Some(table.etag(&key)))
    }

    fn get(&self, table: &str, key: &(String, String), parsed: &ParsedRequest) -> Response<Bytes> {
        let Some(table) = self.tables.get(&table.to_ascii_lowercase()) else {
            return TABLE_NOT_FOUND.response();
        };
        if !table.entities.contains_key(key) {
            return NOT_FOUND.response();
        }
        let mut response = json_response(&table.plain(key, parsed.parameter("$select")));
        response.headers_mut().insert("etag", table.etag(key).parse().unwrap());
        response
    }

    fn query(&mut self, name: &str, parsed: &ParsedRequest) -> Response<Bytes> {
        const KNOWN: [&str; 5] = ["$filter", "$top", "$select", "NextPartitionKey", "NextRowKey"];
        for (name, _) in &parsed.query {
            let of_sas =
                ["sv", "ss", "srt", "sp", "se", "st", "spr", "sip", "sig", "tn"].contains(&name.as_str());
            assert!(KNOWN.contains(&name.as_str()) || of_sas, "the fake table service does not know {name}");
        }
        let Some(table) = self.tables.get(&name.to_ascii_lowercase()) else {
            return TABLE_NOT_FOUND.response();
        };
        let condition = Condition::read(parsed.parameter("$filter").unwrap_or_default());
        let top: usize = parsed.parameter("$top").unwrap_or("1000").parse().expect("$top is a number");
        assert!((1..=1000).contains(&top), "$top: expected 1 to 1000, found {top}");
        let continuation_key = |name| {
            let text = parsed.parameter(name)?;
            let bytes = text.strip_prefix(TOKEN).and_then(|text| STANDARD.decode(text).ok());
            Some(
                String::from_utf8(
                    bytes.unwrap_or_else(|| panic!("{name} does not come from a response: {text}")),
                )
                .unwrap(),
            )
        };
        let from = (
            continuation_key("NextPartitionKey").unwrap_or_default(),
            continuation_key("NextRowKey").unwrap_or_default(),
        );
        let empty = self.empty_pages > 0;
        self.empty_pages = self.empty_pages.saturating_sub(1);
        let mut scanned = table
            .entities
            .range(from.clone()..)
            .filter(|(key, _)| condition.allows_partition(key))
            .peekable();
        let partition = scanned.peek().map(|((partition, _), _)| partition);
        let (mut page, mut next) = (Vec::new(), empty.then_some(&from));
        for (key, properties) in scanned.take_while(|_| !empty) {
            let matches = condition.matches(key, properties);
            let is_other_partition = Some(&key.0) != partition;
            if (self.one_partition_a_page && is_other_partition) || (matches && page.len() == top) {
                next = Some(key);
                break;
            }
            if matches {
                page.push(key);
            }
        }
        let rows: Vec<_> = page.iter().map(|key| table.plain(key, parsed.parameter("$select"))).collect();
        let mut response = json_response(&json!({"value": rows}));
        if let Some((partition, row)) = next {
            let mut header = |name: &'static str, text: &str| {
                let token = format!("{TOKEN}{}", STANDARD.encode(text));
                response.headers_mut().insert(name, token.parse().unwrap());
            };
            header("x-ms-continuation-nextpartitionkey", partition);
            if !row.is_empty() {
                header("x-ms-continuation-nextrowkey", row);
            }
        }
        response
    }
}

fn object(body: &[u8]) -> Map<String, Value> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        _ => panic!("not a JSON object: {}", String::from_utf8_lossy(body)),
    }
}

/// Panics on a property that Azure refuses, even if Azurite (the storage emulator) accepts the property.
fn check_properties(properties: &Map<String, Value>) {
    for (name, value) in properties {
        let is_text_or_plain = match value {
            Value::String(text) => text.encode_utf16().count() <= 32_768,
            Value::Number(number) => {
                number.is_f64() || number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
            }
            Value::Bool(_) => true,
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        assert!(is_text_or_plain, "Azure does not store this value of {name}");
        assert!(
            !name.is_empty() && !name.contains('-') && name.len() <= 267,
            "not a property's name: {name}"
        );
    }
    assert!(properties.keys().filter(|name| !name.contains('@')).count() <= 252, "too many properties");
}
