//! Every refusal of `/internal/poll`, as one closed list. `docs/errors.md` lists them, too.

use bot_framework::ForeignHost;
use bytes::Bytes;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use platform::answer;
use thiserror::Error;

const METHODS: &str = "GET, POST";

/// Why `/internal/poll` did not begin a run, or why the run ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PollRefusal {
    /// The path is another one, or no key is configured.
    #[error("path: nothing is served at this path; check the path, and whether a key for it is configured")]
    NoSuchRoute,
    /// The method is neither GET nor POST.
    #[error("method: not allowed for this path; use one of {METHODS}")]
    MethodNotAllowed,
    /// The caller has no valid key.
    #[error("Authorization: the poll key is missing or wrong; send `Bearer <the value of pollkey>`")]
    Unauthorized,
    /// `Host` names another machine, in anonymous mode.
    #[error("{0}")]
    ForeignHost(#[from] ForeignHost),
    /// A variable is wrong. The log names the variable, because only the operator may learn it.
    #[error("poller: not configured correctly; its log names the wrong variable")]
    Misconfigured,
    /// The queue did not answer, or refused the run.
    #[error("queue: cannot be read; nothing is lost, so poll again later")]
    QueueUnavailable,
    /// The tables did not answer, or there is no token for the storage account.
    #[error("table storage: cannot be used; nothing was sent and nothing is lost, so poll again later")]
    StateUnavailable,
}

impl PollRefusal {
    /// The status of the answer, and the error code, which programs read and which never changes.
    pub fn status_and_code(self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "NotFound"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::ForeignHost(_) => (StatusCode::FORBIDDEN, ForeignHost::CODE),
            Self::Misconfigured => (StatusCode::INTERNAL_SERVER_ERROR, "Misconfigured"),
            Self::QueueUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "QueueUnavailable"),
            Self::StateUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "StateUnavailable"),
        }
    }

    pub(crate) fn answer(self) -> Response<Bytes> {
        let (status, code) = self.status_and_code();
        let mut response = answer::error(status, code, &self.to_string());
        match self {
            Self::MethodNotAllowed => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
            }
            Self::Unauthorized => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}
