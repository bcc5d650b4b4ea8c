//! Every way to turn a request down: one closed list of statuses, codes and texts, so that no inner error reaches the
//! wire by accident.

mod alerts;

use bot_framework::json::FieldError;
use bot_framework::{AuthError, ForeignHost, NotTrusted, TenantRefused};
use bytes::Bytes;
use envelope::DecodeError;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use platform::{BodyError, Host, Level, SettingsError, answer};
use serde_json::{Map, Value};
use thiserror::Error;

pub(crate) use alerts::AlertRejection;

/// How an alert failed that a trigger asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// It may work later.
    ForNow,
    /// It will not.
    ForGood,
    /// Nobody knows whether it was delivered; it will not be sent again.
    Unsure,
}

/// Why a request was turned down. The text goes to the caller, except what concerns the operator.
#[derive(Debug, Error)]
pub(crate) enum Rejection {
    #[error("there is nothing here")]
    NoSuchRoute,
    #[error("this method is not allowed here")]
    MethodNotAllowed { allow: &'static str },
    #[error("{0}")]
    ForeignHost(#[from] ForeignHost),
    #[error("{0}")]
    Auth(#[from] AuthError),
    #[error("the body has to be application/json")]
    NotJson,
    #[error("{0}")]
    Body(#[from] BodyError),
    #[error("not an activity: {0}")]
    NotAnActivity(#[from] FieldError),
    #[error("{0}")]
    NotTrusted(#[from] NotTrusted),
    #[error("{0}")]
    TenantRefused(#[from] TenantRefused),
    #[error("the trigger's value is not an envelope: {0}")]
    NotATrigger(#[from] DecodeError),
    #[error("this trigger is not accepted: {0}")]
    TriggerRefused(&'static str),
    #[error("the alert was not delivered")]
    AlertNotDelivered(Undelivered),
    #[error("the queue did not take the message; nothing was stored")]
    QueueUnavailable,
    #[error("the table storage cannot be reached; nothing was stored")]
    StateUnavailable,
    #[error("{0}")]
    Alert(#[from] AlertRejection),
    #[error("{0}")]
    Misconfigured(#[from] SettingsError),
}

impl Rejection {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "NotFound"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::ForeignHost(_) => (StatusCode::FORBIDDEN, ForeignHost::CODE),
            Self::Auth(error) => (auth_status(error), error.code()),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType"),
            Self::Body(BodyError::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "MessageSizeTooBig"),
            Self::Body(BodyError::Broken) => (StatusCode::BAD_REQUEST, "BadSyntax"),
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
            Self::Misconfigured(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Misconfigured"),
        }
    }

    /// Why, for the log.
    pub(crate) fn reason(&self) -> String {
        match self {
            // Which credential or account is wrong concerns the operator, not the caller.
            Self::Alert(AlertRejection::StateUnavailable(error)) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// The answer to the caller, and the line in the log.
    pub(crate) fn log_and_answer(self, host: &impl Host) -> Response<Bytes> {
        self.log_about(host, Map::new())
    }

    /// The same, where the line says more about the caller.
    pub(crate) fn log_about(self, host: &impl Host, mut about: Map<String, Value>) -> Response<Bytes> {
        let (status, code) = self.status_and_code();
        let level = if status.is_server_error() { Level::Error } else { Level::Warn };
        about.insert("status".into(), status.as_u16().into());
        about.insert("code".into(), code.into());
        about.insert("reason".into(), self.reason().into());
        host.event(level, "request.rejected", about.into());
        let message = match &self {
            Self::Auth(AuthError::KeysUnavailable(_)) => {
                "the keys to check the token with are not available; try again later".to_owned()
            }
            // Which tenants the bot serves concerns the operator.
            Self::TenantRefused(_) => "this bot does not serve the activity's tenant".to_owned(),
            // Which variable is wrong concerns the operator, not whoever calls.
            Self::Misconfigured(_) => {
                "the bot is not configured correctly; its log says what is wrong".to_owned()
            }
            other => other.to_string(),
        };
        let mut response = answer::error(status, code, &message);
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
