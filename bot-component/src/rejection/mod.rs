//! Lists the refusals of requests, each with its HTTP status, error code and message. If the bot refuses a
//! request, the caller gets only one of these messages. So no caller gets the text of an internal error by
//! accident, for example of an error in the storage client.
//!
//! `docs/errors.md` lists these refusals, and also the errors of other modules, for example of the poller and
//! of buttons. A test in `documented.rs` compares `docs/errors.md` with the code of all these modules.

mod alerts;
#[cfg(test)]
mod documented;
mod hooks;
mod triggers;

use bot_framework::json::FieldError;
use bot_framework::{AuthError, ForeignHost, NotTrusted, TenantRefused};
use bytes::Bytes;
use envelope::DecodeError;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use platform::{BodyError, Host, Level, SettingsError, response};
use serde_json::{Map, Value};
use thiserror::Error;

pub(crate) use alerts::AlertRejection;
pub(crate) use hooks::HookRejection;
pub(crate) use triggers::{TriggerRefusal, Undelivered};

use crate::limits::MAX_BODY_BYTES;

/// The reason why the bot refused a request. [`Rejection::message`] decides which text the caller gets.
#[derive(Debug, Error)]
pub(crate) enum Rejection {
    #[error("path: there is no such route; check the URL")]
    NoSuchRoute,
    #[error("method: not allowed on this route; use {allow}")]
    MethodNotAllowed { allow: &'static str },
    #[error("{0}")]
    ForeignHost(#[from] ForeignHost),
    #[error("{0}")]
    Auth(#[from] AuthError),
    #[error("Content-Type: expected application/json")]
    NotJson,
    #[error("body: expected at most {MAX_BODY_BYTES} bytes; send less")]
    BodyTooLarge,
    #[error("body: the connection broke before the end; send the request again")]
    BodyBroken,
    #[error("body: not an activity; {0}")]
    NotAnActivity(#[from] FieldError),
    #[error("{0}")]
    NotTrusted(#[from] NotTrusted),
    #[error("{0}")]
    TenantRefused(#[from] TenantRefused),
    #[error("value: not an envelope; {0}")]
    NotATrigger(#[from] DecodeError),
    #[error("{0}")]
    TriggerRefused(#[from] TriggerRefusal),
    #[error("{0}")]
    AlertNotDelivered(#[from] Undelivered),
    #[error("queue: did not confirm the message; send the activity again")]
    QueueUnavailable,
    #[error("storage tables: cannot be reached; nothing was queued, so send the request again")]
    StateUnavailable,
    #[error("{0}")]
    Alert(#[from] AlertRejection),
    #[error("{0}")]
    Hook(#[from] HookRejection),
    #[error("{0}")]
    Misconfigured(#[from] SettingsError),
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::BodyTooLarge,
            BodyError::Broken => Self::BodyBroken,
        }
    }
}

impl Rejection {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "NotFound"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::ForeignHost(_) => (StatusCode::FORBIDDEN, ForeignHost::CODE),
            Self::Auth(error) => (auth_status(error), error.code()),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "MessageSizeTooBig"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "BadSyntax"),
            Self::NotAnActivity(_) => (StatusCode::BAD_REQUEST, "BadSyntax"),
            Self::NotTrusted(_) => (StatusCode::FORBIDDEN, "ServiceUrlNotAllowed"),
            Self::TenantRefused(_) => (StatusCode::FORBIDDEN, "TenantNotAllowed"),
            Self::NotATrigger(_) => (StatusCode::BAD_REQUEST, "BadSyntax"),
            Self::TriggerRefused(_) => (StatusCode::FORBIDDEN, "TriggerNotAllowed"),
            Self::AlertNotDelivered(Undelivered::ForNow) => {
                (StatusCode::SERVICE_UNAVAILABLE, "ConnectorUnavailable")
            }
            Self::AlertNotDelivered(Undelivered::ForGood) => (StatusCode::BAD_GATEWAY, "AlertNotDelivered"),
            Self::AlertNotDelivered(Undelivered::Unsure) => {
                (StatusCode::BAD_GATEWAY, "AlertPossiblyDelivered")
            }
            Self::QueueUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "QueueUnavailable"),
            Self::StateUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "StateUnavailable"),
            Self::Alert(rejection) => rejection.status_and_code(),
            Self::Hook(rejection) => rejection.status_and_code(),
            Self::Misconfigured(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Misconfigured"),
        }
    }

    /// The message for the caller. The message leaves out the parts that only the operator is allowed to
    /// know.
    fn message(&self) -> String {
        match self {
            // The full text says why the bot has no signing keys.
            Self::Auth(AuthError::KeysUnavailable(_)) => {
                "token: the issuer's keys are not available, so no token can be checked; try again later"
                    .to_owned()
            }
            // The full text names the tenant and the variable.
            Self::TenantRefused(_) => "activity: the bot does not serve this tenant".to_owned(),
            // The full text names the variable.
            Self::Misconfigured(_) => {
                "bot: a setting is wrong; see its log for the variable and the reason".to_owned()
            }
            other => other.to_string(),
        }
    }

    /// The reason for the log, which only the operator reads.
    pub(crate) fn reason(&self) -> String {
        match self {
            // The operator needs the inner error, because its text can name the wrong credential or account.
            Self::Alert(
                AlertRejection::StateUnavailable(error) | AlertRejection::ChangedNotCancelled(error),
            ) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// Writes the log line about the refusal, and returns the response to the caller.
    pub(crate) fn log_and_respond(self, host: &impl Host) -> Response<Bytes> {
        self.log_about(host, Map::new())
    }

    /// Like [`Rejection::log_and_respond`]. The log line also gets the fields `about`, which describe the
    /// caller.
    pub(crate) fn log_about(self, host: &impl Host, mut about: Map<String, Value>) -> Response<Bytes> {
        let (status, code) = self.status_and_code();
        let level = if status.is_server_error() { Level::Error } else { Level::Warn };
        about.insert("status".into(), status.as_u16().into());
        about.insert("code".into(), code.into());
        about.insert("reason".into(), self.reason().into());
        host.event(level, "request.rejected", about.into());
        let mut response = response::error(status, code, &self.message());
        match self {
            Self::MethodNotAllowed { allow } => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            }
            Self::Auth(AuthError::Unauthorized(_)) | Self::Alert(AlertRejection::Unauthorized) => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

fn auth_status(error: &AuthError) -> StatusCode {
    match error {
        AuthError::Unauthorized(_) => StatusCode::UNAUTHORIZED,
        AuthError::Forbidden(_) => StatusCode::FORBIDDEN,
        AuthError::KeysUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
