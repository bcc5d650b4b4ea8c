//! Outbound HTTP, and the limits of a request.

use std::time::Duration;

use bytes::Bytes;

use crate::TransportError;

/// The trait for outbound HTTP, one of the [ports](crate) to the platform.
pub trait HttpClient {
    /// Sends one request, and returns the whole response. A response of any status is `Ok`. The client never
    /// follows a redirect, so the caller gets the response with 3xx. The reason is that no code has checked
    /// the host in the redirect, and an unchecked host must not get a credential.
    ///
    /// `request` must have an absolute URI. If the header `content-length` is necessary, the client adds this
    /// header.
    fn send(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> impl Future<Output = Result<http::Response<Bytes>, TransportError>>;
}

/// The limits of one request: the time of each phase, the total time, and the size of the response.
///
/// The limits of the phases do not end every call of [`HttpClient::send`]. For example, a server can send one
/// byte at a time, always within `between_bytes`, for days. `total` ends every call. Set `total` to at least
/// `connect` plus `first_byte`, with a few more seconds for the body. With a smaller `total`, a call can fail
/// although each phase is within its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the beginning of the call until the connection is open. On some platforms, this phase includes
    /// the TLS handshake. On Spin 4.1, the phase does not include the handshake.
    pub connect: Duration,
    /// From the end of the connect phase until the first byte of the response.
    pub first_byte: Duration,
    /// Between two reads of the response's body.
    pub between_bytes: Duration,
    /// From the beginning of the call until the last byte of the response. If `total` ends a call before the
    /// head of the response has arrived, the call fails with [`TransportError::ResponseLost`]. This error
    /// means that the server has perhaps received the request.
    pub total: Duration,
    /// The largest body that the client reads. If the body of a response is larger, the caller gets only the
    /// head of the response, with [`BodyProblem::TooLong`](crate::BodyProblem::TooLong).
    pub max_response_bytes: usize,
}

/// [`Timeouts::within`] ends the connect phase at least this long before the caller's deadline. So if a host
/// cannot be reached, the connect phase fails before `total` ends the call, and the error is
/// [`TransportError::NotSent`]. If `total` ended the call first, the error would be
/// [`TransportError::ResponseLost`], although nothing was sent. If only this time or less is left until the
/// deadline, the connect phase gets 1 ms.
const CONNECT_ENDS_BEFORE: Duration = Duration::from_millis(100);

impl Timeouts {
    /// Shortens the call, and each phase of the call, to at most `remaining`, the time until the caller's
    /// [`Deadline`](crate::Deadline). So no call continues after this deadline.
    #[must_use]
    pub fn within(mut self, remaining: Duration) -> Self {
        // For the platform, a time-out of zero means no time-out.
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
    fn timeouts_within_the_remaining_time_shorten_the_call_and_each_phase() {
        let milliseconds = Duration::from_millis;
        let timeouts = |[connect, first_byte, between_bytes, total]: [u64; 4]| Timeouts {
            connect: milliseconds(connect),
            first_byte: milliseconds(first_byte),
            between_bytes: milliseconds(between_bytes),
            total: milliseconds(total),
            max_response_bytes: 7,
        };
        let whole = [3_000, 8_000, 2_000, 13_000];
        for (remaining, expected) in [
            (60_000, whole),
            (13_000, whole),
            (12_999, [3_000, 8_000, 2_000, 12_999]),
            (3_000, [2_900, 3_000, 2_000, 3_000]),
            (1_000, [900, 1_000, 1_000, 1_000]),
            (100, [1, 100, 100, 100]),
            // A time-out of zero would mean no time-out.
            (0, [1, 1, 1, 1]),
        ] {
            assert_eq!(timeouts(whole).within(milliseconds(remaining)), timeouts(expected), "{remaining} ms");
        }
    }
}
