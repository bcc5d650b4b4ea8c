//! Errors of a request that has no response, or no complete response.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use thiserror::Error;

/// The reason why a request has no response, or no complete response. The variant shows whether a second send
/// is safe. If the server has perhaps received the request, a second send can repeat the effect of the
/// request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The platform refused the call, because `allowed_outbound_hosts` of the component does not allow the
    /// host.
    #[error("the platform refused the call: the host is not in allowed_outbound_hosts; add the host")]
    Denied,
    /// The request was not sent, so a second send is safe.
    #[error("nothing was sent: {0}")]
    NotSent(String),
    /// No valid response arrived, but the server has perhaps received the request.
    #[error("the response was lost: {0}")]
    ResponseLost(String),
    /// The head of the response arrived, but the body did not arrive completely. The caller can use
    /// the status and the headers.
    #[error(transparent)]
    BodyLost(Box<BodyLost>),
}

/// The head of a response whose body did not arrive completely.
#[derive(Clone, PartialEq, Eq, Error)]
#[error("the response is {}, and its body was lost: {problem}", .status.as_u16())]
pub struct BodyLost {
    /// The HTTP status of the response.
    pub status: StatusCode,
    /// The response's headers.
    pub headers: HeaderMap,
    /// The reason why the body is missing.
    pub problem: BodyProblem,
}

/// The reason why the body of a response is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyProblem {
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// The body is larger than the caller allowed.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLong {
        /// The caller's limit.
        limit_bytes: usize,
    },
    /// The call reached [`Timeouts::total`](crate::Timeouts::total) before the body was complete.
    #[error("the body did not end in time")]
    OutOfTime,
}

impl TransportError {
    /// Makes a [`TransportError::BodyLost`].
    pub fn body_lost(status: StatusCode, headers: HeaderMap, problem: BodyProblem) -> Self {
        Self::BodyLost(Box::new(BodyLost { status, headers, problem }))
    }

    /// Returns false if the server certainly did not receive the request. Otherwise, returns true: the
    /// request has perhaps arrived and taken effect.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Denied | Self::NotSent(_) => false,
            Self::ResponseLost(_) | Self::BodyLost(_) => true,
        }
    }
}

impl BodyLost {
    /// Returns the response with an empty body, for a caller that needs only the head.
    pub fn into_response(self) -> http::Response<Bytes> {
        let mut response = http::Response::new(Bytes::new());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Leaves out the headers, because they can hold a secret.
impl fmt::Debug for BodyLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers: _, problem } = self;
        f.debug_struct("BodyLost").field("status", status).field("problem", problem).finish_non_exhaustive()
    }
}
