//! Refusals of posts to a webhook address. A *webhook address* is a URL of the bot: if a program posts to
//! this URL, a conversation gets the post as an alert.

use alert_shapes::ShapeError;
use http::StatusCode;
use thiserror::Error;

/// The reason why the bot refused a post to a webhook address. For a refused post, the bot puts nothing on
/// the queue.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum HookRejection {
    #[error("path: no webhook has this address; write `webhook` to the bot, and copy the address")]
    Unknown,
    #[error("path: this webhook address has ended; write `webhook` to the bot, and use the new address")]
    Ended,
    #[error("conversation: the bot is no longer there; add the bot to it again")]
    NoConversation,
    #[error("conversation: the person has said `stop`; the bot sends nothing until the person says `start`")]
    Stopped,
    #[error(
        "conversation: paused, because the channel can reach no person there; write a message to the bot in this \
         conversation, and then send the post again"
    )]
    Paused,
    #[error(
        "{header}: expected a signature; in the sender's settings, enter the secret of this webhook address"
    )]
    SignatureMissing { header: &'static str },
    #[error(
        "{header}: the signature does not fit the body; in the sender's settings, enter the secret of this \
         webhook address"
    )]
    SignatureWrong { header: &'static str },
    #[error("{0}")]
    Shape(#[from] ShapeError),
}

impl HookRejection {
    pub(crate) fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unknown => (StatusCode::NOT_FOUND, "HookNotFound"),
            Self::NoConversation => (StatusCode::NOT_FOUND, "TargetNotFound"),
            Self::Ended => (StatusCode::GONE, "HookEnded"),
            Self::Stopped => (StatusCode::GONE, "ConversationStopped"),
            Self::Paused => (StatusCode::GONE, "ConversationPaused"),
            Self::SignatureMissing { .. } | Self::SignatureWrong { .. } => {
                (StatusCode::UNAUTHORIZED, "SignatureRefused")
            }
            Self::Shape(_) => (StatusCode::UNPROCESSABLE_ENTITY, "PayloadNotUnderstood"),
        }
    }
}
