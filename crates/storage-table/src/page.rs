//! The pages of query results. A *continuation* is the position at which the next page begins.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use platform::value_of;
use serde_json::Value;
use storage_account::header;
use thiserror::Error;

use crate::entity::Entity;
use crate::error::TableError;

/// One page of query results. A page can be empty although more pages follow.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The entities, sorted by partition key and row key.
    pub entities: Vec<Entity>,
    /// The continuation to the next page. `None` if this is the last page.
    pub next: Option<Continuation>,
}

/// The position at which the next page of a query begins. The position is valid only for the same query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    pub(crate) partition: String,
    /// The row key at which the next page begins. The service can leave the row key out.
    pub(crate) row: Option<String>,
}

/// The text does not come from [`Continuation::to_text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the text is not a page token; use the token of the last response")]
pub struct InvalidContinuation;

/// An upper limit for the text of a continuation. A continuation contains a partition key and a row key, each
/// of at most 1 KiB, so every continuation from the service is shorter.
const LONGEST_TEXT_BYTES: usize = 16 * 1024;

impl Continuation {
    /// Returns the continuation as text of letters, digits, `-` and `_`, for use as the page token of an API.
    pub fn to_text(&self) -> String {
        let parts = match &self.row {
            Some(row) => Value::from(vec![self.partition.as_str(), row]),
            None => Value::from(vec![self.partition.as_str()]),
        };
        URL_SAFE_NO_PAD.encode(parts.to_string())
    }

    /// Reads the text that [`Continuation::to_text`] returned.
    pub fn from_text(text: &str) -> Result<Self, InvalidContinuation> {
        if text.len() > LONGEST_TEXT_BYTES {
            return Err(InvalidContinuation);
        }
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidContinuation)?;
        let parts: Vec<String> = match value_of(&json) {
            Some(Value::Array(parts)) => {
                parts.iter().map(|part| part.as_str().map(str::to_owned).ok_or(InvalidContinuation)).collect()
            }
            _ => Err(InvalidContinuation),
        }?;
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(partition), row, None) if !partition.is_empty() => Ok(Self { partition, row }),
            _ => Err(InvalidContinuation),
        }
    }

    fn of_response(headers: &HeaderMap) -> Option<Self> {
        let value = |name| header(headers, name).filter(|text| !text.is_empty()).map(str::to_owned);
        let partition = value("x-ms-continuation-NextPartitionKey")?;
        Some(Self { partition, row: value("x-ms-continuation-NextRowKey") })
    }
}

impl Page {
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, TableError> {
        let unreadable = || TableError::Unreadable("the body is not a page of entities".to_owned());
        let mut body = value_of(body).ok_or_else(unreadable)?;
        let Some(Value::Array(rows)) = body.get_mut("value").map(Value::take) else {
            return Err(unreadable());
        };
        let entities = rows.into_iter().map(|row| Entity::read(row).map(|(entity, _)| entity));
        Ok(Self { entities: entities.collect::<Result<_, _>>()?, next: Continuation::of_response(headers) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn continuation_survives_a_round_trip_as_text(partition in ".{1,40}", row in proptest::option::of(".{0,40}")) {
            let continuation = Continuation { partition, row };
            let text = continuation.to_text();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            prop_assert_eq!(Continuation::from_text(&text), Ok(continuation));
        }

        #[test]
        fn continuation_of_any_text_never_panics(text in ".{0,60}") {
            _ = Continuation::from_text(&text);
        }
    }

    #[test]
    fn text_that_is_not_a_continuation_is_an_error() {
        for json in ["", "[]", "[\"\"]", "[1]", "{}", "[\"a\",\"b\",\"c\"]", "\"a\""] {
            assert_eq!(
                Continuation::from_text(&URL_SAFE_NO_PAD.encode(json)),
                Err(InvalidContinuation),
                "{json}"
            );
        }
        let long = Continuation { partition: "a".repeat(20_000), row: None };
        assert!(Continuation::from_text(&long.to_text()).is_err());
    }
}
