//! Runs queries. A query selects rows (entities) by their PartitionKey and RowKey. Each response has one page
//! of the selected rows.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use super::entities::{Entity, Key, Metadata, Refusal, Tables, literal};
use crate::stubs::stub::json_response;

/// The most rows on a page.
const PAGE: usize = 1_000;

/// A query in the form that the components use. All conditions must hold, because the filter joins them with
/// `and`.
#[derive(Debug)]
pub(super) struct Query {
    conditions: Vec<Condition>,
    top: usize,
    selected: Vec<String>,
    /// The key of the first row on the page; `None` for the first page. For a later page, the continuation
    /// headers of the previous response contained this key as two tokens, and the client has sent these
    /// tokens back.
    from: Option<Key>,
}

#[derive(Debug)]
struct Condition {
    of: Property,
    operator: Operator,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    Partition,
    Row,
    /// The property `endsAt`. The poller uses the condition `endsAt lt …` to find rows that have expired. A
    /// benchmark takes minutes, and no row expires in that time. So the stub treats this condition as false.
    EndsAt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Query {
    /// Reads the query string of a URL. Returns `None` if the stub does not support the query.
    pub(super) fn parse(query: &str) -> Option<Self> {
        let mut parsed = Self { conditions: Vec::new(), top: PAGE, selected: Vec::new(), from: None };
        let (mut partition, mut row) = (None, None);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decode_str(value).decode_utf8().ok()?;
            match name {
                "$filter" | "%24filter" => parsed.conditions = conditions(&value)?,
                "$top" | "%24top" => {
                    parsed.top = value.parse().ok().filter(|top| (1..=PAGE).contains(top))?
                }
                "$select" | "%24select" => parsed.selected = value.split(',').map(str::to_owned).collect(),
                "NextPartitionKey" => partition = Some(key_of_token(&value)?),
                "NextRowKey" => row = Some(key_of_token(&value)?),
                "timeout" => {}
                _ => return None,
            }
        }
        parsed.from = partition.map(|partition| (partition, row.unwrap_or_default()));
        Some(parsed)
    }

    /// Returns the response with the page that the query asks for.
    pub(super) fn run(
        &self,
        tables: &Tables,
        table: &str,
        metadata: Metadata,
    ) -> Result<Response<Bytes>, Refusal> {
        let mut rows = self.rows(tables.table(table)?);
        let page: Vec<Value> = rows
            .by_ref()
            .take(self.top)
            .map(|(key, entity)| entity.show(key, metadata, &self.selected).into())
            .collect();
        let mut response = json_response(200, &json!({"value": page}));
        if let Some(((partition, row), _)) = rows.next() {
            let next = [("nextpartitionkey", partition), ("nextrowkey", row)];
            for (name, key) in next {
                let name = HeaderName::try_from(format!("x-ms-continuation-{name}")).ok();
                response.headers_mut().extend(name.zip(token(key)));
            }
        }
        Ok(response)
    }

    /// Returns the rows for which all conditions hold. The first row has the key in the field `from`, or a
    /// higher key. If the query names a partition, the function reads only the rows of this partition.
    fn rows<'a>(&self, table: &'a BTreeMap<Key, Entity>) -> impl Iterator<Item = (&'a Key, &'a Entity)> {
        let value = |of: Property, operators: &[Operator]| {
            let of_key =
                |condition: &&Condition| condition.of == of && operators.contains(&condition.operator);
            self.conditions.iter().find(of_key).map(|condition| condition.value.clone())
        };
        let partition = value(Property::Partition, &[Operator::Equal]);
        let lowest = partition.clone().map(|partition| {
            let row = value(Property::Row, &[Operator::Equal, Operator::AtLeast, Operator::Above]);
            (partition, row.unwrap_or_default())
        });
        let begin = self.from.clone().max(lowest).map_or(Bound::Unbounded, Bound::Included);
        table
            .range((begin, Bound::Unbounded))
            .take_while(move |((of, _), _)| partition.as_ref().is_none_or(|partition| of == partition))
            .filter(|(key, _)| self.conditions.iter().all(|condition| condition.holds(key)))
    }
}

impl Condition {
    fn holds(&self, (partition, row): &Key) -> bool {
        let key = match self.of {
            Property::Partition => partition,
            Property::Row => row,
            Property::EndsAt => return false,
        };
        match self.operator {
            Operator::Equal => *key == self.value,
            Operator::AtLeast => *key >= self.value,
            Operator::Above => *key > self.value,
            Operator::AtMost => *key <= self.value,
            Operator::Below => *key < self.value,
        }
    }
}

/// Reads a filter such as `PartitionKey eq 'p' and RowKey ge 'a' and RowKey lt 'b'`.
fn conditions(filter: &str) -> Option<Vec<Condition>> {
    let mut conditions = Vec::new();
    let mut rest = filter.trim();
    loop {
        let (of, behind) = rest.split_once(' ')?;
        let (operator, behind) = behind.split_once(' ')?;
        let (value, behind) = match of {
            "endsAt" => behind.split_once('L').map(|(number, behind)| (number.to_owned(), behind))?,
            _ => literal(behind)?,
        };
        let of = match of {
            "PartitionKey" => Property::Partition,
            "RowKey" => Property::Row,
            "endsAt" => Property::EndsAt,
            _ => return None,
        };
        let operator = match operator {
            "eq" => Operator::Equal,
            "ge" => Operator::AtLeast,
            "gt" => Operator::Above,
            "le" => Operator::AtMost,
            "lt" => Operator::Below,
            _ => return None,
        };
        conditions.push(Condition { of, operator, value });
        if behind.is_empty() {
            return Some(conditions);
        }
        rest = behind.strip_prefix(" and ")?;
    }
}

/// Encodes a key as a token for a continuation header. A client must send the token back unchanged. If a
/// client sends the key instead, [`key_of_token`] returns `None`, and the stub complains.
fn token(key: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("1!{}", utf8_percent_encode(key, NON_ALPHANUMERIC))).ok()
}

fn key_of_token(token: &str) -> Option<String> {
    Some(percent_decode_str(token.strip_prefix("1!")?).decode_utf8().ok()?.into_owned())
}
