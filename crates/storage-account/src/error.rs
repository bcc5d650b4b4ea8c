//! Why a call failed, before a service's own codes are looked at.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Response};
use platform::{BodyProblem, TransportError};
use thiserror::Error;

use crate::xml::ErrorBody;

/// Why the account cannot be used as it is. Nothing was sent. The messages hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unusable {
    /// The connection string does not say where the service is.
    #[error("{setting} is missing; add it to storageconnection, because the service's URL cannot be guessed")]
    NoEndpoint {
        /// The setting's name.
        setting: &'static str,
    },
    /// The account has neither key nor SAS, and no usable token was given.
    #[error(
        "storageconnection has neither AccountKey nor SharedAccessSignature, and there is no usable token of Entra ID"
    )]
    NoToken,
    /// Endpoint and names make no URL.
    #[error("storageconnection or queuename do not make a URL")]
    NoUrl,
}

/// Why a call has no success to show.
#[derive(Debug)]
pub enum Failure {
    /// The service answered, and it is not a success.
    Answered(Response<Bytes>),
    /// There is no answer, or no whole one.
    Transport(TransportError),
    /// Nothing was sent.
    Unusable(Unusable),
}

/// A call that failed for good.
#[derive(Debug)]
pub struct Failed {
    /// How the last attempt ended.
    pub failure: Failure,
    /// Whether an attempt before the last one may have had its effect. Of this call: others go on beside it.
    pub may_be_done: bool,
    /// Whether an attempt, the last one too, has a result that nobody knows.
    pub is_doubtful: bool,
}

impl Failed {
    /// The status of the last answer; nothing if there was none.
    pub fn status(&self) -> Option<u16> {
        match &self.failure {
            Failure::Answered(answer) => Some(answer.status().as_u16()),
            Failure::Transport(_) | Failure::Unusable(_) => None,
        }
    }
}

impl Failure {
    /// Whether trying again in a moment makes sense.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Answered(answer) => is_busy(answer.status().as_u16()),
            Self::Transport(error) => is_retryable(error),
            Self::Unusable(_) => false,
        }
    }

    /// Whether the attempt may have had its effect.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self {
            Self::Answered(_) => true,
            Self::Transport(error) => error.may_have_arrived(),
            Self::Unusable(_) => false,
        }
    }

    /// Whether nobody knows if the attempt had its effect. A service that asks its caller to come back later (429, 503) has
    /// done nothing; a time-out (408, 500 `OperationTimedOut`) or a gateway's failure does not tell.
    pub(crate) fn is_doubtful(&self) -> bool {
        match self {
            Self::Answered(answer) => matches!(answer.status().as_u16(), 408 | 500 | 502 | 504),
            Self::Transport(error) => error.may_have_arrived(),
            Self::Unusable(_) => false,
        }
    }

    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Answered(answer) if self.is_retryable() => retry_after_seconds(answer.headers()),
            _ => None,
        }
    }
}

/// Whether a status means that the service cannot just now.
pub fn is_busy(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Whether trying again makes sense after this.
pub fn is_retryable(error: &TransportError) -> bool {
    match error {
        TransportError::NotSent(_) | TransportError::AnswerLost(_) => true,
        // An answer that is too large is so the second time, too: a Get would only lease more messages.
        TransportError::BodyLost(lost) => !matches!(lost.problem, BodyProblem::TooLong { .. }),
        TransportError::Denied => false,
    }
}

/// The value of a header, if it is text.
pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The seconds of `Retry-After`, if it has some.
pub fn retry_after_seconds(headers: &HeaderMap) -> Option<u64> {
    header(headers, RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok())
}

/// An error code, or nothing if it is no word: it ends up in logs.
pub fn word(code: &str) -> &str {
    if code.bytes().all(|byte| byte.is_ascii_alphanumeric()) { code } else { "" }
}

/// What is wrong with the credentials and what to do, in words of ours, because the service's own may quote the signature.
/// `mismatch` is for a SAS or a role that does not allow the call.
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
        "the AccountKey in storageconnection is not this account's"
    } else if begins("Signature not valid in the specified time frame") {
        "the SAS in storageconnection has expired, or is not valid yet"
    } else if begins("Signature did not match") || begins("Signature fields not well formed") {
        "the SAS in storageconnection was not made with this account's key, or was changed"
    } else {
        "check storageconnection and the clock"
    }
}
