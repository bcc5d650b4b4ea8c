//! What can go wrong, by what a caller can do about it.

use platform::TransportError;
use thiserror::Error;

/// A storage call that failed. From the tables of
/// <https://learn.microsoft.com/rest/api/storageservices/queue-service-error-codes>.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueueError {
    /// There is no such queue: create it, or take it for an empty one.
    #[error("the queue does not exist")]
    QueueMissing,
    /// The message is not ours any more: deleted, or handed out again. An ordinary outcome.
    #[error("the lease on the message is lost")]
    LeaseLost,
    /// The message does not fit; it never will.
    #[error("the message is too large for the queue")]
    MessageTooLarge,
    /// The queue is being deleted: that takes tens of seconds.
    #[error("the queue is being deleted; it can be used again in a minute")]
    QueueBeingDeleted,
    /// The service cannot just now: it was tried again already.
    #[error("the storage service is busy ({status} {code}); it may work in a moment")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// The service's code, or nothing.
        code: String,
        /// What it asked for by `Retry-After`.
        retry_after_seconds: Option<u64>,
    },
    /// The credentials are not taken: the key, the SAS or the clock is wrong.
    #[error("the storage account does not accept the credentials ({status} {code}); check storageconnection and the clock")]
    NotAuthorized {
        /// The HTTP status.
        status: u16,
        /// The service's code, or nothing.
        code: String,
    },
    /// The service does not understand what it is asked: wrong account, wrong name, or a mistake of ours.
    #[error("the storage service refused the request ({status} {code}); check storageconnection and queuename")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The service's code, or nothing.
        code: String,
    },
    /// There is no answer.
    #[error("the storage service was not reached: {0}")]
    Transport(#[from] TransportError),
    /// The answer makes no sense.
    #[error("the storage service's answer cannot be read: {0}")]
    Unreadable(String),
}

impl QueueError {
    /// Whether trying again in a moment makes sense.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Transport(error) => *error != TransportError::Denied,
            _ => false,
        }
    }

    /// What an answer that is not a success means. Status first: some answers have neither code nor body.
    pub(crate) fn classify(status: u16, code: &str, retry_after_seconds: Option<u64>) -> Self {
        let code_text = || code.to_owned();
        match (status, code) {
            (404, "QueueNotFound") => Self::QueueMissing,
            // The service says 404, Azurite 400.
            (404, "MessageNotFound") | (400, "PopReceiptMismatch") => Self::LeaseLost,
            (413, _) | (400, "MessageTooLarge" | "RequestBodyTooLarge") => Self::MessageTooLarge,
            (409, "QueueBeingDeleted") => Self::QueueBeingDeleted,
            (401 | 403, _) | (400, "InvalidAuthenticationInfo") => Self::NotAuthorized { status, code: code_text() },
            (408 | 429 | 500 | 502 | 503 | 504, _) => Self::Busy { status, code: code_text(), retry_after_seconds },
            _ => Self::Refused { status, code: code_text() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_codes() {
        #[derive(Debug, PartialEq)]
        enum Kind {
            Missing,
            Lost,
            TooLarge,
            Deleting,
            Busy,
            Auth,
            Refused,
        }
        for (status, code, expected) in [
            (404, "QueueNotFound", Kind::Missing),
            (409, "QueueAlreadyExists", Kind::Refused),
            (409, "QueueBeingDeleted", Kind::Deleting),
            (409, "QueueDisabled", Kind::Refused),
            (404, "MessageNotFound", Kind::Lost),
            (400, "PopReceiptMismatch", Kind::Lost),
            (400, "MessageTooLarge", Kind::TooLarge),
            (413, "RequestBodyTooLarge", Kind::TooLarge),
            (413, "", Kind::TooLarge),
            (400, "InvalidXmlDocument", Kind::Refused),
            (400, "InvalidXmlNodeValue", Kind::Refused),
            (400, "MissingRequiredXmlNode", Kind::Refused),
            (400, "InvalidQueryParameterValue", Kind::Refused),
            (400, "OutOfRangeQueryParameterValue", Kind::Refused),
            (400, "OutOfRangeInput", Kind::Refused),
            (400, "InvalidResourceName", Kind::Refused),
            (400, "InvalidUri", Kind::Refused),
            (400, "InvalidHeaderValue", Kind::Refused),
            (400, "", Kind::Refused),
            (411, "MissingContentLengthHeader", Kind::Refused),
            (403, "AuthenticationFailed", Kind::Auth),
            (403, "AuthorizationFailure", Kind::Auth),
            (403, "AuthorizationPermissionMismatch", Kind::Auth),
            (403, "AuthorizationServiceMismatch", Kind::Auth),
            (403, "", Kind::Auth),
            (401, "NoAuthenticationInformation", Kind::Auth),
            (401, "InvalidAuthenticationInfo", Kind::Auth),
            (400, "InvalidAuthenticationInfo", Kind::Auth),
            (404, "ResourceNotFound", Kind::Refused),
            (404, "", Kind::Refused),
            (500, "InternalError", Kind::Busy),
            (500, "OperationTimedOut", Kind::Busy),
            (503, "ServerBusy", Kind::Busy),
            (503, "", Kind::Busy),
            (502, "", Kind::Busy),
            (504, "", Kind::Busy),
            (429, "", Kind::Busy),
            (408, "", Kind::Busy),
            (301, "", Kind::Refused),
        ] {
            let error = QueueError::classify(status, code, None);
            let kind = match &error {
                QueueError::QueueMissing => Kind::Missing,
                QueueError::LeaseLost => Kind::Lost,
                QueueError::MessageTooLarge => Kind::TooLarge,
                QueueError::QueueBeingDeleted => Kind::Deleting,
                QueueError::Busy { .. } => Kind::Busy,
                QueueError::NotAuthorized { .. } => Kind::Auth,
                QueueError::Refused { .. } => Kind::Refused,
                QueueError::Transport(_) | QueueError::Unreadable(_) => unreachable!(),
            };
            assert_eq!(kind, expected, "{status} {code}");
            assert_eq!(error.is_retryable(), expected == Kind::Busy, "{status} {code}");
        }
        assert!(QueueError::from(TransportError::AnswerLost(String::new())).is_retryable());
        assert!(!QueueError::from(TransportError::Denied).is_retryable());
    }
}
