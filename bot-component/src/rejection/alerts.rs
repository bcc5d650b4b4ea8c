//! The reasons why the bot refuses a call to its API.

use bot_framework::channels::NotShown;
use bot_framework::json::FieldError;
use http::StatusCode;
use state::ledger::Status;
use state::{MAX_TAGS, StateError};
use storage_table::TableError;
use thiserror::Error;

use crate::limits::{MAX_IDS, MAX_TARGETS};

/// The reason why the bot refused a program's API call. Usually, the bot puts nothing on the queue for a
/// refused call. But the queue can hold a message of the API call in two cases. First, the storage call that
/// puts the message on the queue fails, for example because the response is lost. Second, the table service
/// fails after the bot has put the message on the queue.
#[derive(Debug, Clone, Error)]
pub(crate) enum AlertRejection {
    #[error("Authorization: expected a valid alert key; send `Bearer <key>`")]
    Unauthorized,
    #[error("key `{key}`: this call needs the scope `{scope}`; add the scope to the key")]
    ScopeMissing { key: String, scope: &'static str },
    #[error("{path}: the key `{key}` is only for {only}; name such a target, or use another key")]
    TargetNotAllowed { path: String, key: String, only: String },
    #[error("{0}")]
    Field(#[from] FieldError),
    #[error("to: expected at most {MAX_TARGETS} elements, found {targets}; send several calls")]
    TooManyTargets { targets: usize },
    #[error(
        "{path}: the bot knows no conversation for this target; list the known ones with GET /api/targets"
    )]
    UnknownTarget { path: String },
    #[error(
        "{path}: this user id does not begin with `dl_`, so any client can claim this id; alert the conversation, \
         or set unboundusers=allow"
    )]
    UnboundUser { path: String },
    #[error("{path}: the bot does not serve the tenant of this address; add the tenant to `tenants`")]
    TenantNotAllowed { path: String },
    #[error(
        "{path}: has more than {MAX_TARGETS} members, and a call alerts at most {MAX_TARGETS}; alert a tag, or smaller teams"
    )]
    TooManyMembers { path: String },
    #[error(
        "{path}: the Connector refused to name the members ({reason}); check whether the bot is still in this team \
         or chat"
    )]
    MembersRefused { path: String, reason: String },
    #[error(
        "{path}: the Connector did not return the members ({reason}); nothing was queued, so send the call again"
    )]
    MembersUnavailable { path: String, reason: String },
    #[error("conversation: has {MAX_TAGS} tags already, and no more are allowed; remove a tag")]
    TooManyTags,
    #[error(
        "conversation: the bot has deleted the conversation, but perhaps not its messages in the poison queue; \
         send the call again"
    )]
    PoisonNotSearched,
    #[error("dead letter: no dead letter has this id; list them with GET /api/dead")]
    NoSuchDeadLetter,
    #[error("ids: expected at most {MAX_IDS} elements, found {ids}; send several calls")]
    TooManyIds { ids: usize },
    #[error("poison queue: cannot be reached; nothing is lost, so send the call again")]
    PoisonNotReached,
    #[error("id: no alert with this id is known to the key; use an id from a response of POST /api/alerts")]
    NoSuchAlert,
    #[error("id: the alert is already {}; only an alert that waits can be cancelled", .0.as_str())]
    AlertIsOver(Status),
    #[error("id: the alert has the status `{}`; only an alert that waits or was delivered can be changed", .0.as_str())]
    AlertNotChangeable(Status),
    #[error(
        "id: the alert cannot be changed now, because it waits for a conversation that the bot does not know yet; \
         cancel the alert with DELETE, and send another alert"
    )]
    ConversationNotThere,
    #[error("queue: did not confirm the change; send the same call again")]
    ChangeNotQueued,
    #[error(
        "alert: its old content is not cancelled, because the storage tables cannot be reached; its new content is \
         queued already, so send the same call again"
    )]
    ChangedNotCancelled(#[source] StateError),
    #[error("queue: did not confirm the message; the dead letter stays, so send the same call again")]
    ReplayNotQueued,
    #[error(
        "alert: expected at most {} bytes of JSON for the alert and its address, found {json_bytes}; shorten \
         `text` or `activity`",
        envelope::MAX_JSON_BYTES
    )]
    TooLarge { json_bytes: usize },
    #[error("{path}: {why}")]
    NotShown { path: String, why: NotShown },
    #[error(
        "alert: expected at most {} bytes of JSON for an alert with a question, found {json_bytes}; shorten `text` \
         or `activity`",
        envelope::MAX_ASKED_BYTES
    )]
    QuestionTooLarge { json_bytes: usize },
    #[error(
        "escalate: expected at most {MAX_TARGETS} conversations in `to`, and at most {MAX_TARGETS} in all steps \
         together; name fewer, or send several calls"
    )]
    EscalationTooLarge,
    #[error("idempotencyKey: another call of the last 24 hours has this key; choose a new key")]
    IdempotencyKeyReused,
    #[error("storage account: neither the queue nor the tables can be read; send the call again")]
    NothingReadable,
    #[error("storage tables: cannot be reached; nothing was queued, so send the call again")]
    StateUnavailable(#[from] StateError),
}

impl From<TableError> for AlertRejection {
    fn from(error: TableError) -> Self {
        Self::StateUnavailable(error.into())
    }
}

impl AlertRejection {
    /// Puts `path` before the path of a field error. For example, with the path `escalate[0]`, the field
    /// error about `to` becomes an error about `escalate[0].to`. An error whose path already begins with
    /// `escalate[0]` does not change.
    pub(crate) fn below(self, path: &str) -> Self {
        let below = |inner: String| if inner.starts_with(path) { inner } else { format!("{path}.{inner}") };
        match self {
            Self::Field(FieldError { path, expected }) => {
                Self::Field(FieldError { path: below(path), expected })
            }
            other => other,
        }
    }

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
            Self::TooManyMembers { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "TooManyMembers"),
            Self::MembersRefused { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "MembersNotRead"),
            Self::MembersUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "ConnectorUnavailable"),
            Self::TooManyTags => (StatusCode::CONFLICT, "TooManyTags"),
            Self::AlertIsOver(_) => (StatusCode::CONFLICT, "AlertIsOver"),
            Self::AlertNotChangeable(_) => (StatusCode::CONFLICT, "AlertIsOver"),
            Self::ConversationNotThere => (StatusCode::CONFLICT, "ConversationNotThere"),
            Self::ChangeNotQueued | Self::ReplayNotQueued => {
                (StatusCode::SERVICE_UNAVAILABLE, "QueueUnavailable")
            }
            Self::ChangedNotCancelled(_) => (StatusCode::SERVICE_UNAVAILABLE, "StateUnavailable"),
            Self::NoSuchAlert => (StatusCode::NOT_FOUND, "AlertNotFound"),
            Self::NotShown { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "NotShown"),
            Self::TooLarge { .. } | Self::QuestionTooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "MessageSizeTooBig")
            }
            Self::EscalationTooLarge => (StatusCode::BAD_REQUEST, "TooManyTargets"),
            Self::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "IdempotencyKeyReused"),
            Self::NoSuchDeadLetter => (StatusCode::NOT_FOUND, "DeadLetterNotFound"),
            Self::TooManyIds { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "TooManyIds"),
            Self::PoisonNotSearched | Self::PoisonNotReached => {
                (StatusCode::SERVICE_UNAVAILABLE, "QueueUnavailable")
            }
            Self::NothingReadable => (StatusCode::SERVICE_UNAVAILABLE, "StateUnavailable"),
            Self::StateUnavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "StateUnavailable"),
        }
    }
}
