//! Reads the response to a transaction. In the body, each *part* is the response to one operation. This
//! module searches the body for the status lines of the parts, because Azurite (the storage emulator) and
//! Azure write different text around the parts.

use bytes::Bytes;
use http::{HeaderMap, Response};
use platform::value_of;
use serde_json::Value;

use crate::error::TableError;

/// The result of a transaction, according to the response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused { index: usize, status: u16, code: String },
}

impl Outcome {
    /// Reads the response to a transaction. The status of the response is 202, even if the service refused
    /// one of the operations. `operations` is the number of operations in the transaction.
    ///
    /// If `with_token` is `true` (the account uses Entra ID), the detail of [`TableError::NotAuthorized`]
    /// names the missing role instead of the missing rights of the SAS (shared access signature). The error
    /// [`TableError::Unreadable`] means that the response does not show the result of the transaction.
    pub(crate) fn read(
        response: &Response<Bytes>,
        operations: usize,
        with_token: bool,
    ) -> Result<Self, TableError> {
        let unknown = |problem: &str| {
            TableError::Unreadable(format!("{problem}; the result of the transaction is unknown"))
        };
        let body = std::str::from_utf8(response.body()).map_err(|_| unknown("the body is not UTF-8"))?;
        let parts: Vec<Part<'_>> = parts(body);
        if let Some(refused) = parts.iter().find(|part| !(200..300).contains(&part.status)) {
            return refused.refusal(operations, with_token);
        }
        if parts.len() == operations {
            return Ok(Self::Done);
        }
        Err(unknown(&format!("expected {operations} parts, found {}", parts.len())))
    }
}

/// The response to one operation, inside the response to the transaction.
struct Part<'b> {
    status: u16,
    /// The text after the status line.
    rest: &'b str,
}

fn parts(body: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = body;
    while let Some((line, after)) = rest.split_once('\n') {
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3)?.parse().ok());
        if let Some(status) = status {
            parts.push(Part { status, rest: after });
        }
        rest = after;
    }
    parts
}

impl Part<'_> {
    fn refusal(&self, operations: usize, with_token: bool) -> Result<Outcome, TableError> {
        let json = self.json();
        let error = json.get("odata.error");
        let body = json.to_string();
        match TableError::from_parts(self.status, &HeaderMap::new(), body.as_bytes(), with_token) {
            TableError::Refused { status, code } => {
                let message = error.and_then(|error| error.get("message")?.get("value")?.as_str());
                let index = message.and_then(|message| message.split_once(':')?.0.trim().parse().ok());
                // The message begins with the index of the refused operation, such as `1:The specified entity
                // already exists.` If the transaction has one operation, the message needs no index.
                let index = index.or((operations == 1).then_some(0)).filter(|index| *index < operations);
                let index = index.ok_or_else(|| {
                    TableError::Unreadable(format!(
                        "the service refused a transaction ({status} {code}), but the response names no operation"
                    ))
                })?;
                Ok(Outcome::Refused { index, status, code })
            }
            other => Err(other),
        }
    }

    /// Returns the JSON object after the headers. Without a valid object, the result is null.
    fn json(&self) -> Value {
        let Some(begin) = self.rest.find('{') else { return Value::Null };
        let text = self.rest.get(begin..).unwrap_or_default();
        // The JSON ends before the next boundary, which begins with two dashes.
        let json = text.split("\n--").next().unwrap_or_default();
        value_of(json.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: &str = "HTTP/1.1 204 No Content\r\nETag: W/\"x\"\r\n\r\n\r\n";

    fn refused(status: &str, code: &str, message: &str) -> String {
        let json = serde_json::json!({"odata.error": {"code": code, "message": {"value": message}}});
        format!("HTTP/1.1 {status}\r\nContent-ID: 2\r\nContent-Type: application/json\r\n\r\n{json}\r\n")
    }

    fn read(operations: usize, parts: &[&str]) -> Result<Outcome, TableError> {
        let mut body =
            "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_2\r\n\r\n"
                .to_owned();
        for part in parts {
            body.push_str("--changesetresponse_2\r\nContent-Type: application/http\r\n\r\n");
            body.push_str(part);
        }
        body.push_str("--changesetresponse_2--\r\n--batchresponse_1--\r\n");
        Outcome::read(&platform::testing::response(202, &body), operations, false)
    }

    #[test]
    fn response_to_a_transaction_is_read_as_done_or_as_refused_or_as_an_error() {
        let exists = refused(
            "409 Conflict",
            "EntityAlreadyExists",
            "1:The specified entity already exists.\nRequestId:x",
        );
        let with_stray_boundary =
            format!("changesetresponse_2\r\n{}", refused("400 Bad Request", "InvalidInput", "100:too many"));
        let busy = refused("503 Busy", "ServerBusy", "0:busy");
        let of = |index, status, code: &str| Ok(Outcome::Refused { index, status, code: code.to_owned() });
        assert_eq!(read(2, &[DONE, DONE]), Ok(Outcome::Done));
        assert_eq!(read(2, &[&exists]), of(1, 409, "EntityAlreadyExists"));
        assert_eq!(read(101, &[&with_stray_boundary]), of(100, 400, "InvalidInput"));
        assert_eq!(read(1, &["HTTP/1.1 412 Precondition Failed\r\n\r\n\r\n"]), of(0, 412, ""));
        assert!(matches!(read(2, &[&busy]), Err(TableError::Busy { status: 503, .. })));
        // These responses do not show whether the service did or refused the transaction.
        for (operations, parts) in [
            (2, vec![DONE]),
            (2, vec![]),
            (1, vec![DONE, DONE]),
            (1, vec!["HTTP/1.1 "]),
            (1, vec!["HTTP/1.1 2"]),
            (2, vec!["HTTP/1.1 409 Conflict\r\n\r\n"]),
            (2, vec!["HTTP/1.1 409 Conflict\r\n\r\n{\"odata.error\":{\"code\":\"Ent"]),
        ] {
            assert!(
                matches!(read(operations, &parts), Err(TableError::Unreadable(_))),
                "{operations} {parts:?}"
            );
        }
    }

    #[test]
    fn truncated_response_is_never_a_success() {
        let body = format!("--c\r\n\r\n{DONE}--c\r\n\r\n{DONE}--c--\r\n");
        let second = body.rfind("HTTP/1.1 204").unwrap();
        for length in 0..second + "HTTP/1.1 204 No Content\r".len() {
            let response = platform::testing::response(202, &body[..length]);
            assert!(matches!(Outcome::read(&response, 2, false), Err(TableError::Unreadable(_))), "{length}");
        }
    }
}
