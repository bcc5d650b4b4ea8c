//! Builds the request of a transaction.

use std::collections::BTreeSet;

use http::{HeaderValue, Method};
use storage_account::Call;

use super::Operation;
use crate::call::{self, NO_METADATA, entity_path, if_match};
use crate::entity::Entity;
use crate::error::TableError;
use crate::key::Key;
use crate::names::{ETag, TableName};

const MOST_OPERATIONS: usize = 100;
const LARGEST_BODY_BYTES: usize = 4 * 1024 * 1024;

/// The request of a transaction. `new` has already checked the operations.
pub(crate) struct Transaction<'e> {
    call: Call,
    first_written: Option<&'e Key>,
}

impl<'e> Transaction<'e> {
    /// Checks the operations and builds the request. The request sets the property [`op`](crate::op) of every
    /// entity that the transaction writes. Later, the client can recognise the transaction's own writes by
    /// this property.
    pub(crate) fn new(
        base: &str,
        table: &TableName,
        operations: &[Operation<'e>],
        op: &str,
    ) -> Result<Self, TableError> {
        check(operations)?;
        let (batch, changeset) = (["batch_", op].concat(), ["changeset_", op].concat());
        let mut body = format!("--{batch}\r\nContent-Type: multipart/mixed; boundary={changeset}\r\n\r\n");
        for operation in operations {
            let head = "\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n";
            body.extend(["--", &changeset, head, &part(base, table, *operation, op)?]);
        }
        body.extend(["--", &changeset, "--\r\n--", &batch, "--\r\n"]);
        if body.len() > LARGEST_BODY_BYTES {
            return Err(TableError::TooLarge);
        }
        let content_type = HeaderValue::try_from(format!("multipart/mixed; boundary={batch}"))
            .map_err(|_| TableError::Invalid("transaction: the boundary is not a header value".to_owned()))?;
        let call = call::new(Method::POST, "/$batch".to_owned());
        let written = operations.iter().filter(|operation| !matches!(operation, Operation::Delete(..)));
        Ok(Self {
            call: call.body(content_type, body).reading_the_response(),
            first_written: written.map(|operation| operation.key()).next(),
        })
    }

    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    /// Returns the key of the first entity that the transaction writes. `None` if the transaction only
    /// deletes.
    pub(crate) fn first_written(&self) -> Option<&'e Key> {
        self.first_written
    }
}

fn check(operations: &[Operation<'_>]) -> Result<(), TableError> {
    let invalid = |problem: String| Err(TableError::Invalid(format!("transaction: {problem}")));
    let Some(first) = operations.first() else {
        return invalid("expected 1 to 100 operations, found none".to_owned());
    };
    if operations.len() > MOST_OPERATIONS {
        return invalid(format!("expected 1 to {MOST_OPERATIONS} operations, found {}", operations.len()));
    }
    let mut rows = BTreeSet::new();
    for operation in operations {
        let key = operation.key();
        // `Entity::body` checks the keys of all other operations.
        if let Operation::Delete(key, _) = operation {
            key.check()?;
        }
        if key.partition != first.key().partition {
            return invalid("expected entities of one partition, found several partitions".to_owned());
        }
        if !rows.insert(&key.row) {
            return invalid("expected one operation for each entity, found two for one entity".to_owned());
        }
    }
    Ok(())
}

/// Writes one operation as a request inside the body of the transaction. This inner request needs no date, no
/// authorization, and no length.
fn part(base: &str, table: &TableName, operation: Operation<'_>, op: &str) -> Result<String, TableError> {
    let keyed = |key: &Key| [base, &entity_path(table, key)].concat();
    let write = |method: &str, entity: &Entity, condition: Option<Option<&ETag>>| {
        let condition = condition.map_or_else(|| Ok(String::new()), if_match_line)?;
        Ok(request(method, &keyed(&entity.key), &condition, &entity.body(op, false)?))
    };
    match operation {
        Operation::Insert(entity) => Ok(request(
            "POST",
            &[base, "/", table.as_str()].concat(),
            "Prefer: return-no-content\r\n",
            &entity.body(op, true)?,
        )),
        Operation::Put(entity) => write("PUT", entity, None),
        Operation::PutMerge(entity) => write("PATCH", entity, None),
        Operation::Merge(entity, etag) => write("PATCH", entity, Some(etag)),
        Operation::Replace(entity, etag) => write("PUT", entity, Some(Some(etag))),
        Operation::Delete(key, etag) => Ok(request("DELETE", &keyed(key), &if_match_line(etag)?, "")),
    }
}

fn if_match_line(etag: Option<&ETag>) -> Result<String, TableError> {
    // This check refuses an ETag with a line end, which would add a line to the body.
    if_match(etag)?;
    Ok(format!("If-Match: {}\r\n", etag.map_or("*", ETag::as_str)))
}

fn request(method: &str, url: &str, headers: &str, body: &str) -> String {
    let content_type = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    [
        method,
        " ",
        url,
        " HTTP/1.1\r\n",
        content_type,
        "Accept: ",
        NO_METADATA,
        "\r\nDataServiceVersion: 3.0\r\n",
        headers,
        "\r\n",
        body,
        "\r\n",
    ]
    .concat()
}
