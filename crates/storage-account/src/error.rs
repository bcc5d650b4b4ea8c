//! The errors that the queue service and the table service have in common. The errors that only one service
//! has are in `storage_queue` and `storage_table`.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Response};
use platform::{BodyProblem, TransportError};
use thiserror::Error;

use crate::xml::ErrorBody;

/// A problem in a connection string. The error's text names the setting, but never contains the setting's
/// value, because the value can be the account key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConnectionStringError(pub(crate) String);

pub(crate) fn wrong<T>(problem: impl Into<String>) -> Result<T, ConnectionStringError> {
    Err(ConnectionStringError(problem.into()))
}

/// Why the client cannot use the account. If a call returns this error, the client has sent no request. The
/// error's texts contain no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unusable {
    /// The client cannot derive the URL of the service from the connection string.
    #[error(
        "{setting} is missing; add it to storageconnection, because the bot cannot derive the service's URL"
    )]
    NoEndpoint {
        /// The name of the missing setting.
        setting: &'static str,
    },
    /// The account has neither account key nor SAS, and no usable token.
    #[error(
        "storageconnection has neither AccountKey nor SharedAccessSignature, and the bot has no usable token of \
         Entra ID; add a key or a SAS, or check the bot's credential"
    )]
    NoToken,
    /// The endpoint and the names in the path (e.g. of the queue) do not form a valid URL.
    #[error("storageconnection and queuename do not form a valid URL; check both")]
    NoUrl,
}

/// Why an attempt (one HTTP request for a call) did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The service returned an HTTP status other than 2xx.
    Answered(Response<Bytes>),
    /// The attempt got no response, or only a part of a response.
    Transport(TransportError),
    /// The client sent nothing.
    Unusable(Unusable),
}

/// A storage call whose last attempt failed.
#[derive(Debug)]
pub struct Failed {
    /// The failure of the last attempt.
    pub failure: Failure,
    /// Whether an attempt before the last attempt perhaps reached the service. An attempt that
    /// the service refused (429, 503) also reached the service.
    ///
    /// Example: the last attempt to delete a message finds no message (404). If this field is `true`, an
    /// earlier attempt perhaps deleted the message.
    pub may_be_done: bool,
    /// Whether the result of the last attempt or of an earlier attempt is unknown, e.g. because the response
    /// was lost. If `true`, the call has perhaps taken effect. A refusal (429, 503) is a known result: the
    /// attempt has taken no effect.
    pub is_doubtful: bool,
}

impl Failed {
    /// Returns the HTTP status of the response to the last attempt. `None` if the last attempt got no
    /// response, or only a part of a response.
    pub fn status(&self) -> Option<u16> {
        match &self.failure {
            Failure::Answered(response) => Some(response.status().as_u16()),
            Failure::Transport(_) | Failure::Unusable(_) => None,
        }
    }
}

impl Failure {
    /// Whether another attempt can succeed.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Answered(response) => is_busy(response.status().as_u16()),
            Self::Transport(error) => is_retryable(error),
            Self::Unusable(_) => false,
        }
    }

    /// Whether the attempt perhaps reached the service.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self {
            Self::Answered(_) => true,
            Self::Transport(error) => error.may_have_arrived(),
            Self::Unusable(_) => false,
        }
    }

    /// Whether the result of the attempt is unknown. A service that returns 429 or 503 has done nothing.
    /// After a time-out (408), an internal error (500, e.g. `OperationTimedOut`) or a gateway's failure (502,
    /// 504), the attempt has perhaps taken effect.
    pub(crate) fn is_doubtful(&self) -> bool {
        match self {
            Self::Answered(response) => matches!(response.status().as_u16(), 408 | 500 | 502 | 504),
            Self::Transport(error) => error.may_have_arrived(),
            Self::Unusable(_) => false,
        }
    }

    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Answered(response) if self.is_retryable() => retry_after_seconds(response.headers()),
            _ => None,
        }
    }
}

/// Whether another attempt can succeed after a response with this HTTP status.
pub fn is_busy(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Whether another attempt can succeed after this error.
pub fn is_retryable(error: &TransportError) -> bool {
    match error {
        TransportError::NotSent(_) | TransportError::ResponseLost(_) => true,
        // If one response is too long, the response to the next attempt would also be too long. And if the
        // call is Get Messages, each attempt hides more queue messages from other callers.
        TransportError::BodyLost(lost) => !matches!(lost.problem, BodyProblem::TooLong { .. }),
        TransportError::Denied => false,
    }
}

/// Returns the value of a header, if the value is text.
pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the number of seconds in `Retry-After`. `None` if the header is missing or is no number.
pub fn retry_after_seconds(headers: &HeaderMap) -> Option<u64> {
    header(headers, RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok())
}

/// Returns the service's error code, or an empty string if the code has other characters than letters and
/// digits. The bot logs error codes. A text with other characters is perhaps no error code, and can contain a
/// secret.
pub fn word(code: &str) -> &str {
    if code.bytes().all(|byte| byte.is_ascii_alphanumeric()) { code } else { "" }
}

/// Explains why the service refused the credentials, and what to do. If a SAS or a role does not allow the
/// call, the function returns `mismatch`. The function never returns the service's own text, because the
/// service's text can contain the signature.
pub fn denial(code: &str, body: &ErrorBody, mismatch: &'static str) -> &'static str {
    if matches!(
        code,
        "AuthorizationPermissionMismatch"
            | "AuthorizationServiceMismatch"
            | "AuthorizationResourceTypeMismatch"
    ) {
        return mismatch;
    }
    let begins = |text| body.authentication_detail.starts_with(text);
    if begins("Request date header too old") {
        "the clock of this machine is wrong; set it"
    } else if begins("The MAC signature found") {
        "the AccountKey in storageconnection does not belong to this account; copy the account's key"
    } else if begins("Signature not valid in the specified time frame") {
        "the SAS in storageconnection has expired, or is not valid yet; make a new SAS"
    } else if begins("Signature did not match") || begins("Signature fields not well formed") {
        "the SAS in storageconnection was not made with this account's key, or was changed; make a new SAS"
    } else {
        "check storageconnection and the clock"
    }
}
