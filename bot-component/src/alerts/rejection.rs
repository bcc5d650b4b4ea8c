//! Why a call of another program was turned down.

use address_book::BookError;
use bot_framework::json::FieldError;
use http::StatusCode;
use platform::KeyValueError;
use thiserror::Error;

use super::target::MAX_TARGETS;

/// Why a call was turned down. Nothing was queued.
#[derive(Debug, Error)]
pub(crate) enum AlertRejection {
    #[error("a valid alert key is required")]
    Unauthorized,
    #[error("{0}")]
    Field(#[from] FieldError),
    #[error("{path}: it leads to {targets} conversations, and a call takes at most {MAX_TARGETS}")]
    TooManyTargets { path: String, targets: usize },
    #[error("{path}: no conversation is known for it")]
    UnknownTarget { path: String },
    #[error("no alert can have this id")]
    NoSuchAlert,
    #[error(
        "the alert and its address have {json_bytes} bytes of JSON, the queue takes {}",
        envelope::MAX_JSON_BYTES
    )]
    TooLarge { json_bytes: usize },
    #[error("idempotencyKey: it was used within 24 hours for another call")]
    IdempotencyKeyReused,
    #[error("the address book cannot be reached; nothing was queued")]
    StoreUnavailable(#[from] BookError),
}

impl From<KeyValueError> for AlertRejection {
    fn from(error: KeyValueError) -> Self {
        Self::StoreUnavailable(error.into())
    }
}

impl AlertRejection {
    pub(crate) fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::Field(_) => (StatusCode::BAD_REQUEST, "BadArgument"),
            Self::TooManyTargets { .. } => (StatusCode::BAD_REQUEST, "TooManyTargets"),
            Self::UnknownTarget { .. } => (StatusCode::NOT_FOUND, "TargetNotFound"),
            Self::NoSuchAlert => (StatusCode::NOT_FOUND, "AlertNotFound"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "MessageSizeTooBig"),
            Self::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "IdempotencyKeyReused"),
            Self::StoreUnavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "StoreUnavailable"),
        }
    }
}
