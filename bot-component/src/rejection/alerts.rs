//! Why a call of another program was turned down.

use bot_framework::json::FieldError;
use http::StatusCode;
use state::ledger::Status;
use state::{MAX_TAGS, StateError};
use storage_table::TableError;
use thiserror::Error;

use crate::limits::MAX_TARGETS;

/// Why a call was turned down. Nothing was queued.
#[derive(Debug, Clone, Error)]
pub(crate) enum AlertRejection {
    #[error("a valid alert key is required, as `Authorization: Bearer <key>`")]
    Unauthorized,
    #[error("the key `{key}` lacks the scope `{scope}`, which this call needs")]
    ScopeMissing { key: String, scope: &'static str },
    #[error("{path}: the key `{key}` is for {only} only")]
    TargetNotAllowed { path: String, key: String, only: String },
    #[error("{0}")]
    Field(#[from] FieldError),
    #[error("to: it has {targets} elements, and a call takes at most {MAX_TARGETS}")]
    TooManyTargets { targets: usize },
    #[error("{path}: no conversation is known for it")]
    UnknownTarget { path: String },
    #[error(
        "{path}: anybody can write this id, because the channel binds only those that begin with dl_; alert the \
         conversation, or set unboundusers=allow"
    )]
    UnboundUser { path: String },
    #[error("{path}: the address is in a tenant that the bot does not serve")]
    TenantNotAllowed { path: String },
    #[error("the conversation has {MAX_TAGS} tags, which are as many as one may have")]
    TooManyTags,
    #[error(
        "the conversation is forgotten, but its messages may still be in the poison queue; send the call again"
    )]
    PoisonNotSearched,
    #[error("no alert is known by this id")]
    NoSuchAlert,
    #[error("it cannot be cancelled any more: it is {}", .0.as_str())]
    AlertIsOver(Status),
    #[error(
        "the alert and its address have {json_bytes} bytes of JSON, the queue takes {}",
        envelope::MAX_JSON_BYTES
    )]
    TooLarge { json_bytes: usize },
    #[error("idempotencyKey: it was used within 24 hours for another call")]
    IdempotencyKeyReused,
    #[error("the table storage cannot be reached; nothing was queued")]
    StateUnavailable(#[from] StateError),
}

impl From<TableError> for AlertRejection {
    fn from(error: TableError) -> Self {
        Self::StateUnavailable(error.into())
    }
}

impl AlertRejection {
    pub(crate) fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::ScopeMissing { .. } => (StatusCode::FORBIDDEN, "ScopeMissing"),
            Self::TargetNotAllowed { .. } => (StatusCode::FORBIDDEN, "TargetNotAllowed"),
            Self::Field(_) => (StatusCode::BAD_REQUEST, "BadArgument"),
            Self::TooManyTargets { .. } => (StatusCode::BAD_REQUEST, "TooManyTargets"),
            Self::UnboundUser { .. } => (StatusCode::FORBIDDEN, "UserNotBound"),
            Self::TenantNotAllowed { .. } => (StatusCode::FORBIDDEN, "TenantNotAllowed"),
            Self::UnknownTarget { .. } => (StatusCode::NOT_FOUND, "TargetNotFound"),
            Self::TooManyTags => (StatusCode::CONFLICT, "TooManyTags"),
            Self::AlertIsOver(_) => (StatusCode::CONFLICT, "AlertIsOver"),
            Self::NoSuchAlert => (StatusCode::NOT_FOUND, "AlertNotFound"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "MessageSizeTooBig"),
            Self::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "IdempotencyKeyReused"),
            Self::PoisonNotSearched => (StatusCode::SERVICE_UNAVAILABLE, "QueueUnavailable"),
            Self::StateUnavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "StateUnavailable"),
        }
    }
}
