//! All refusals of the route `/internal/poll`. The page `docs/errors.md` describes the same refusals.

use bot_framework::ForeignHost;
use bytes::Bytes;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use platform::response;
use thiserror::Error;

/// The reason why `/internal/poll` did not begin a run, or why the run failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PollRefusal {
    /// The path is not `/internal/poll`. Or the variable `pollkey` is empty, and the request is not the
    /// *kick* (the call that the bot makes after it has put a message on the queue).
    #[error("path: there is no such route; check the URL")]
    NoSuchRoute,
    /// The method is neither GET nor POST.
    #[error("method: not allowed on this route; use GET or POST")]
    MethodNotAllowed,
    /// The request is not the kick, and has no valid poll key (the value of `pollkey`).
    #[error("poll key: missing or wrong; send the value of pollkey")]
    Unauthorized,
    /// The poller is in anonymous mode (`authmode=anonymous`, for local tests), and the header `Host` does
    /// not name this machine.
    #[error("{0}")]
    ForeignHost(#[from] ForeignHost),
    /// A variable is wrong. The response does not name the variable, because the caller is perhaps not the
    /// operator. The log names the variable.
    #[error("poller: a setting is wrong; see its log for the variable and the reason")]
    Misconfigured,
    /// The queue service sent no response, or its response was an error.
    #[error("queue: cannot be read, and nothing is lost; call again later")]
    QueueUnavailable,
    /// The table service sent no response, or its response was an error. Or the login host (the host that
    /// issues access tokens) issued no token for the storage account.
    #[error("storage tables: cannot be used, so the run stopped, and nothing is lost; call again later")]
    StateUnavailable,
}

impl PollRefusal {
    /// Returns the HTTP status of the response, and the error code. The codes never change, because programs
    /// read them.
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

    pub(crate) fn response(self) -> Response<Bytes> {
        let (status, code) = self.status_and_code();
        let mut response = response::error(status, code, &self.to_string());
        match self {
            Self::MethodNotAllowed => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
            }
            Self::Unauthorized => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}
