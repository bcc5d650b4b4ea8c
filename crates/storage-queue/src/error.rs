//! The errors of calls to the queue service. Errors that a caller handles in the same way are one variant.

use bytes::Bytes;
use http::Response;
use platform::TransportError;
use storage_account::{
    Failure, Unusable, denial, header, is_busy, is_retryable, read_error, retry_after_seconds, word,
};
use thiserror::Error;

/// The detail of [`QueueError::NotAuthorized`] if a SAS (shared access signature) or a role does not allow
/// the call.
const MISMATCH: &str = "the SAS in storageconnection, or the role of the bot's identity, does not allow this call; grant the permission";

/// A failed call to the queue service. Source of the error codes:
/// <https://learn.microsoft.com/rest/api/storageservices/queue-service-error-codes>.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueueError {
    /// The queue does not exist. The caller can create the queue, or continue as if the queue were empty.
    #[error("the queue does not exist")]
    QueueMissing,
    /// The pop receipt of the message is no longer valid, because the message was deleted, updated or
    /// dequeued again. This error also happens in normal operation.
    #[error("the lease on the message is lost")]
    LeaseLost {
        /// Whether it is certain that the queue holds the message, with another receipt. With `false`, the
        /// queue perhaps still holds the message, because Azure gives the same response for a missing message
        /// and for an old receipt.
        is_on_queue: bool,
    },
    /// The message is too large. A repeated call fails in the same way.
    #[error("the message is too large for the queue; shorten it")]
    MessageTooLarge,
    /// The service is deleting the queue. This takes tens of seconds.
    #[error("the queue is being deleted; try again in a minute")]
    QueueBeingDeleted,
    /// The service cannot do the call now. The client has already repeated the call, if its deadline and its
    /// number of attempts allowed this.
    #[error("the queue service is busy ({status} {code}); try again in a moment")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// The service's error code, or the empty string.
        code: String,
        /// The seconds of `Retry-After`.
        retry_after_seconds: Option<u64>,
    },
    /// The service refused the credentials: the account key, the SAS or the clock is wrong, or the SAS or the
    /// role does not allow the call. Or the client had no token, and has sent nothing.
    #[error("the storage account does not accept the credentials ({status} {code}): {detail}")]
    NotAuthorized {
        /// The HTTP status.
        status: u16,
        /// The service's error code, or the empty string.
        code: String,
        /// The problem, and what to do. The text does not quote the service, because the service's own text
        /// can contain the signature.
        detail: &'static str,
    },
    /// The service refused the request. The account or the queue's name is wrong, or the program has a bug.
    #[error("the queue service refused the request ({status} {code}); check storageconnection and queuename")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The service's error code, or the empty string.
        code: String,
    },
    /// The call got no response, or only a part of a response.
    #[error("the call to the queue service failed: {0}")]
    Transport(#[from] TransportError),
    /// The client cannot read the response.
    #[error("the queue service's response cannot be read: {0}")]
    Unreadable(String),
    /// The variable `storageconnection` does not show the URL of the queue service, or this URL and the
    /// queue's name do not form a valid URL.
    #[error(transparent)]
    Unusable(Unusable),
}

impl QueueError {
    /// Whether another attempt can succeed soon.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Transport(error) => is_retryable(error),
            _ => false,
        }
    }

    /// Returns the seconds that the service asks the caller to wait. `None` if the service does not ask.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Busy { retry_after_seconds, .. } => *retry_after_seconds,
            _ => None,
        }
    }

    /// Returns the error for a response that is not a success. For some errors, e.g. 403 and 503, the HTTP
    /// status is enough, because some responses have neither an error code nor a body.
    pub(crate) fn from_response(response: &Response<Bytes>) -> Self {
        let body = read_error(response.body());
        let code = word(header(response.headers(), "x-ms-error-code").unwrap_or(&body.code));
        let retry_after_seconds = retry_after_seconds(response.headers());
        let status = response.status().as_u16();
        let code_text = || code.to_owned();
        match (status, code) {
            (404, "QueueNotFound") => Self::QueueMissing,
            // For an old receipt, Azure returns 404, and Azurite (the storage emulator) returns 400.
            (404, "MessageNotFound") => Self::LeaseLost { is_on_queue: false },
            (400, "PopReceiptMismatch") => Self::LeaseLost { is_on_queue: true },
            (413, _) | (400, "MessageTooLarge" | "RequestBodyTooLarge") => Self::MessageTooLarge,
            (409, "QueueBeingDeleted") => Self::QueueBeingDeleted,
            (401 | 403, _) | (400, "InvalidAuthenticationInfo") => {
                Self::NotAuthorized { status, code: code_text(), detail: denial(code, &body, MISMATCH) }
            }
            _ if is_busy(status) => Self::Busy { status, code: code_text(), retry_after_seconds },
            _ => Self::Refused { status, code: code_text() },
        }
    }
}

impl From<Failure> for QueueError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answered(response) => Self::from_response(&response),
            Failure::Transport(error) => Self::Transport(error),
            // The client sent nothing. This error has the status and the error code that the service would
            // return for a request without authorization.
            Failure::Unusable(Unusable::NoToken) => Self::NotAuthorized {
                status: 401,
                code: "NoAuthenticationInformation".to_owned(),
                detail: "storageconnection has neither AccountKey nor SharedAccessSignature, and the bot has no usable \
                         token of Entra ID; add a key or a SAS, or check the bot's credential",
            },
            Failure::Unusable(problem) => Self::Unusable(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;
    use http::{HeaderMap, StatusCode};
    use platform::BodyProblem;

    use super::*;

    fn response(status: u16, code: &str, body: &str) -> Response<Bytes> {
        let response = Response::builder().status(status);
        let response = if code.is_empty() { response } else { response.header("x-ms-error-code", code) };
        response.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn response_with_each_status_and_code_gives_the_expected_error() {
        #[derive(Debug, PartialEq)]
        enum Kind {
            Missing,
            Lost,
            TooLarge,
            Deleting,
            Busy,
            Auth,
            Refused,
        }
        for (status, code, expected) in [
            (404, "QueueNotFound", Kind::Missing),
            (409, "QueueAlreadyExists", Kind::Refused),
            (409, "QueueBeingDeleted", Kind::Deleting),
            (409, "QueueDisabled", Kind::Refused),
            (404, "MessageNotFound", Kind::Lost),
            (400, "PopReceiptMismatch", Kind::Lost),
            (400, "MessageTooLarge", Kind::TooLarge),
            (413, "RequestBodyTooLarge", Kind::TooLarge),
            (413, "", Kind::TooLarge),
            (400, "InvalidXmlDocument", Kind::Refused),
            (400, "InvalidXmlNodeValue", Kind::Refused),
            (400, "MissingRequiredXmlNode", Kind::Refused),
            (400, "InvalidQueryParameterValue", Kind::Refused),
            (400, "OutOfRangeQueryParameterValue", Kind::Refused),
            (400, "OutOfRangeInput", Kind::Refused),
            (400, "InvalidResourceName", Kind::Refused),
            (400, "InvalidUri", Kind::Refused),
            (400, "InvalidHeaderValue", Kind::Refused),
            (400, "", Kind::Refused),
            (411, "MissingContentLengthHeader", Kind::Refused),
            (403, "AuthenticationFailed", Kind::Auth),
            (403, "AuthorizationFailure", Kind::Auth),
            (403, "AuthorizationPermissionMismatch", Kind::Auth),
            (403, "AuthorizationServiceMismatch", Kind::Auth),
            (403, "", Kind::Auth),
            (401, "NoAuthenticationInformation", Kind::Auth),
            (401, "InvalidAuthenticationInfo", Kind::Auth),
            (400, "InvalidAuthenticationInfo", Kind::Auth),
            (404, "ResourceNotFound", Kind::Refused),
            (404, "", Kind::Refused),
            (500, "InternalError", Kind::Busy),
            (500, "OperationTimedOut", Kind::Busy),
            (503, "ServerBusy", Kind::Busy),
            (503, "", Kind::Busy),
            (502, "", Kind::Busy),
            (504, "", Kind::Busy),
            (429, "", Kind::Busy),
            (408, "", Kind::Busy),
            (301, "", Kind::Refused),
        ] {
            let error = QueueError::from_response(&response(status, code, ""));
            let body = format!(
                "\u{FEFF}<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>x</Message></Error>"
            );
            assert_eq!(
                QueueError::from_response(&response(status, "", &body)),
                error,
                "only the body contains the code"
            );
            let kind = match &error {
                QueueError::QueueMissing => Kind::Missing,
                QueueError::LeaseLost { .. } => Kind::Lost,
                QueueError::MessageTooLarge => Kind::TooLarge,
                QueueError::QueueBeingDeleted => Kind::Deleting,
                QueueError::Busy { .. } => Kind::Busy,
                QueueError::NotAuthorized { .. } => Kind::Auth,
                QueueError::Refused { .. } => Kind::Refused,
                QueueError::Transport(_) | QueueError::Unreadable(_) | QueueError::Unusable(_) => {
                    unreachable!()
                }
            };
            assert_eq!(kind, expected, "{status} {code}");
            assert_eq!(error.is_retryable(), expected == Kind::Busy, "{status} {code}");
        }
        assert!(QueueError::from(TransportError::ResponseLost(String::new())).is_retryable());
        assert!(QueueError::from(TransportError::NotSent(String::new())).is_retryable());
        assert!(!QueueError::from(TransportError::Denied).is_retryable());
        for (problem, retryable) in [
            (BodyProblem::Broken, true),
            (BodyProblem::OutOfTime, true),
            (BodyProblem::TooLong { limit_bytes: 1 }, false),
        ] {
            let lost = TransportError::body_lost(StatusCode::OK, HeaderMap::new(), problem);
            assert_eq!(QueueError::from(lost).is_retryable(), retryable, "{problem}");
        }
    }

    #[test]
    fn error_code_with_other_characters_than_letters_and_digits_is_left_out() {
        let error = QueueError::from_response(&response(400, "https://x/?sig=hunter2", ""));
        assert_eq!(error, QueueError::Refused { status: 400, code: String::new() });
    }

    #[test]
    fn retry_after_in_seconds_is_read_from_busy_responses_only() {
        for (status, value, expected) in [
            (503, "7", Some(7)),
            (429, "0", Some(0)),
            (503, "Mon, 23 Nov 2026 22:00:00 GMT", None),
            (503, "-1", None),
            (403, "7", None),
        ] {
            let mut response = response(status, "", "");
            response.headers_mut().insert(RETRY_AFTER, value.parse().unwrap());
            assert_eq!(
                QueueError::from_response(&response).retry_after_seconds(),
                expected,
                "{status} {value}"
            );
        }
    }

    #[test]
    fn error_for_a_missing_queue_endpoint_is_not_retryable() {
        let error = QueueError::from(Failure::Unusable(Unusable::NoEndpoint { setting: "QueueEndpoint" }));
        assert!(
            !error.is_retryable() && error.to_string().starts_with("QueueEndpoint is missing"),
            "{error}"
        );
    }

    #[test]
    fn refused_credentials_are_explained_without_the_text_of_the_service() {
        for (code, service_text, expected) in [
            (
                "AuthenticationFailed",
                "Request date header too old: 'Fri, 04 Oct 2019 18:02:12 GMT'",
                "the clock of this machine",
            ),
            (
                "AuthenticationFailed",
                "The MAC signature found in the HTTP request 'hunter2' is not the same",
                "the AccountKey",
            ),
            (
                "AuthenticationFailed",
                "Signature not valid in the specified time frame: Start [hunter2]",
                "has expired",
            ),
            (
                "AuthenticationFailed",
                "Signature did not match. String to sign used was hunter2",
                "was not made with",
            ),
            ("AuthenticationFailed", "Signature fields not well formed.", "was not made with"),
            ("AuthorizationPermissionMismatch", "", "does not allow this call"),
            ("AuthenticationFailed", "hunter2", "check storageconnection and the clock"),
            ("", "", "check storageconnection and the clock"),
        ] {
            let body = format!(
                "<Error><AuthenticationErrorDetail>{service_text}</AuthenticationErrorDetail></Error>"
            );
            let error = QueueError::from_response(&response(403, code, &body));
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(expected) && !shown.contains("hunter2"), "{shown}");
        }
    }
}
