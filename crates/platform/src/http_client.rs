//! Outbound HTTP.

use std::time::Duration;

use bytes::Bytes;

use crate::TransportError;

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

/// How long a request may take, by phase and in total, and how large its answer may be.
///
/// The phases alone end nothing: a server that sends a byte now and then stays within each of them for days. So `total`
/// ends the call whatever goes on. It is at least `connect` and `first_byte` together, with a few seconds on top for the
/// body: less would cut off answers that the phases allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands; with TLS, where the host counts it (Spin 4.1 does not).
    pub connect: Duration,
    /// From there until the first byte of the answer.
    pub first_byte: Duration,
    /// Between two reads of the answer's body.
    pub between_bytes: Duration,
    /// From the beginning until the last byte of the answer. A call that it ends before the answer's head has come fails
    /// with [`TransportError::AnswerLost`]: nobody knows what was sent by then.
    pub total: Duration,
    /// Of an answer with a larger body, only the head comes back: [`BodyProblem::TooLong`](crate::BodyProblem).
    pub max_answer_bytes: usize,
}

/// So much earlier than the whole call, a connection is given up that does not come to stand: "nothing was sent" is worth
/// knowing, and after the total nobody knows it.
const CONNECT_ENDS_BEFORE: Duration = Duration::from_millis(100);

impl Timeouts {
    /// Shortens the call, and every phase of it, to at most `remaining`: no call outlives its run's deadline.
    #[must_use]
    pub fn within(mut self, remaining: Duration) -> Self {
        // The host takes a time-out of zero for "none at all".
        let least = Duration::from_millis(1);
        let remaining = remaining.max(least);
        self.connect = self.connect.min(remaining.saturating_sub(CONNECT_ENDS_BEFORE)).max(least);
        self.first_byte = self.first_byte.min(remaining);
        self.between_bytes = self.between_bytes.min(remaining);
        self.total = self.total.min(remaining);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_bounds_the_call_and_its_phases() {
        let milliseconds = Duration::from_millis;
        let timeouts = |[connect, first_byte, between_bytes, total]: [u64; 4]| Timeouts {
            connect: milliseconds(connect),
            first_byte: milliseconds(first_byte),
            between_bytes: milliseconds(between_bytes),
            total: milliseconds(total),
            max_answer_bytes: 7,
        };
        let whole = [3_000, 8_000, 2_000, 13_000];
        for (remaining, expected) in [
            (60_000, whole),
            (13_000, whole),
            (12_999, [3_000, 8_000, 2_000, 12_999]),
            (3_000, [2_900, 3_000, 2_000, 3_000]),
            (1_000, [900, 1_000, 1_000, 1_000]),
            (100, [1, 100, 100, 100]),
            // Zero would be "for ever".
            (0, [1, 1, 1, 1]),
        ] {
            assert_eq!(timeouts(whole).within(milliseconds(remaining)), timeouts(expected), "{remaining} ms");
        }
    }
}
