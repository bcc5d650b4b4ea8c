//! Why there is no answer, or no whole one.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use thiserror::Error;

/// Why there is no answer, or no whole one. The variants tell whether the request may have arrived, because that decides
/// whether sending it again can double its effect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The platform does not let this component call that host (`allowed_outbound_hosts`).
    #[error("the platform refused the call: the host is not in allowed_outbound_hosts")]
    Denied,
    /// Nothing arrived on the other side: repeating is safe.
    #[error("nothing was sent: {0}")]
    NotSent(String),
    /// The request may have arrived; its answer is lost: repeating may double the effect.
    #[error("the answer was lost: {0}")]
    AnswerLost(String),
    /// The request was answered, and the answer's body did not come whole. What its status says is so all the same.
    #[error(transparent)]
    BodyLost(Box<BodyLost>),
}

/// An answer without its body.
#[derive(Clone, PartialEq, Eq, Error)]
#[error("the answer is {}, and its body was lost: {problem}", .status.as_u16())]
pub struct BodyLost {
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// What happened to the body.
    pub problem: BodyProblem,
}

/// What can happen to an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyProblem {
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// It is larger than was asked for.
    #[error("it is larger than {limit_bytes} bytes")]
    TooLong {
        /// The limit that was set.
        limit_bytes: usize,
    },
    /// The call's time was over before it had ended.
    #[error("it did not end in time")]
    OutOfTime,
}

impl TransportError {
    /// [`TransportError::BodyLost`]
    pub fn body_lost(status: StatusCode, headers: HeaderMap, problem: BodyProblem) -> Self {
        Self::BodyLost(Box::new(BodyLost { status, headers, problem }))
    }

    /// Whether the request may have had its effect.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Denied | Self::NotSent(_) => false,
            Self::AnswerLost(_) | Self::BodyLost(_) => true,
        }
    }
}

impl BodyLost {
    /// The answer with an empty body, for whoever decides by its head.
    pub fn into_answer(self) -> http::Response<Bytes> {
        let mut answer = http::Response::new(Bytes::new());
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers;
        answer
    }
}

/// Without the headers: nobody knows what stands in them.
impl fmt::Debug for BodyLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers: _, problem } = self;
        f.debug_struct("BodyLost").field("status", status).field("problem", problem).finish_non_exhaustive()
    }
}
