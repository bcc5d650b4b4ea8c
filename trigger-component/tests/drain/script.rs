//! The responses of the Connector and the failures of storage calls, which a test sets for the simulated
//! world. Also the requests to the Connector that the world records.

use std::time::Duration;

/// A failure of a storage call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The service returns this status, and does not carry out the call.
    Status(u16),
    /// The connection breaks before the request reaches the service.
    CutBefore,
    /// The service carries out the call, but the response is lost.
    CutAfter,
    /// The service does not respond before the time-out.
    Hang,
}

/// A response of the Connector.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) delay: Duration,
    /// Whether the response is lost. If the status is 2xx, the Connector still carries out the call.
    pub(crate) cut: bool,
    /// The error code in the body.
    pub(crate) code: &'static str,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        let delay = Duration::from_millis(10);
        Self { status, retry_after: None, delay, cut: false, code: "Scripted" }
    }
    pub(crate) fn coded(status: u16, code: &'static str) -> Self {
        Self { code, ..Self::status(status) }
    }
    pub(crate) fn retry_after(seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::status(429) }
    }
    pub(crate) fn cut() -> Self {
        Self { cut: true, ..Self::status(201) }
    }
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A request that the Connector received, and its result. The request sends, changes or deletes a chat
/// message.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) at: Duration,
    pub(crate) conversation: String,
    pub(crate) method: http::Method,
    /// The id of the chat message that was sent, changed or deleted; empty if the Connector refused the
    /// request.
    pub(crate) activity: String,
    /// The alert's text, without the prefix `Alert: `.
    pub(crate) text: String,
    /// Whether the Connector carried out the request, so that the person saw the result.
    pub(crate) shown: bool,
    /// Whether the poller received the response. `false` if the response was lost, or if the run was killed
    /// before the response arrived.
    pub(crate) got_response: bool,
}
