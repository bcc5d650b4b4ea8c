//! Outbound HTTP.

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

/// The port for outbound HTTP.
pub trait HttpClient {
    /// Sends one request and reads the whole answer, of whatever status. Redirects are never followed: an answer of
    /// 3xx comes back as it is, so that no credential travels on to a host that nobody checked.
    ///
    /// The adapter sets `content-length`; `request` carries an absolute URI.
    fn send(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> impl Future<Output = Result<http::Response<Bytes>, TransportError>>;
}

/// How long each phase of a request may take, and how large its answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From there until the first byte of the answer.
    pub first_byte: Duration,
    /// Between two reads of the answer's body.
    pub between_bytes: Duration,
    /// An answer with a larger body fails with [`TransportError::AnswerTooLarge`].
    pub max_answer_bytes: usize,
}

impl Timeouts {
    /// Shortens every phase to at most `remaining`, so that one call cannot outlive its run's deadline by far.
    #[must_use]
    pub fn within(mut self, remaining: Duration) -> Self {
        // The host takes a time-out of zero for "none at all".
        let remaining = remaining.max(Duration::from_millis(1));
        self.connect = self.connect.min(remaining);
        self.first_byte = self.first_byte.min(remaining);
        self.between_bytes = self.between_bytes.min(remaining);
        self
    }
}

/// Why there is no answer. The variants tell whether the request may have arrived, because that decides whether
/// sending it again can double its effect.
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
    /// The request arrived and was answered with more bytes than were asked for.
    #[error("the answer is larger than {limit_bytes} bytes")]
    AnswerTooLarge {
        /// The limit that was set.
        limit_bytes: usize,
    },
}

impl TransportError {
    /// Whether the request may have had its effect.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Denied | Self::NotSent(_) => false,
            Self::AnswerLost(_) | Self::AnswerTooLarge { .. } => true,
        }
    }
}
