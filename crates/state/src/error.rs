//! The error of an operation on the tables.

use storage_table::TableError;
use thiserror::Error;

/// The reason for which an operation on the tables failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StateError {
    /// The table storage refused the request for now. Or its response did not arrive, or could not be read.
    /// Try again later.
    #[error("the table storage cannot be reached: {0}")]
    Unavailable(TableError),
    /// The table storage refused the credentials, or the credentials do not allow the request. An operator
    /// has to correct the credentials or their rights.
    #[error("the table storage refused access: {0}")]
    NotAuthorized(TableError),
    /// The request itself is the problem: the table storage refused the request, or the client could not send
    /// it. Another attempt would fail in the same way.
    #[error("the table storage refused the request: {0}")]
    Refused(TableError),
    /// Another writer changed the entity during each attempt. Try again later.
    #[error("another writer changed the entity during each of {attempts} attempts; try again later")]
    Contended {
        /// The number of attempts.
        attempts: usize,
    },
    /// A newer version of this program wrote the record, so this version does not change the record.
    #[error("a newer version of this program wrote the record; update this program to change the record")]
    Newer,
    /// The conversation has no record, or has a record that cannot be read.
    #[error(
        "the conversation is not stored; the bot stores it when the conversation's next activity arrives"
    )]
    NotStored,
    /// A value is too long to be stored.
    #[error("the value is too long to be stored: expected at most {most} bytes, found {bytes}")]
    TooLarge {
        /// The length of the value, in bytes.
        bytes: usize,
        /// The greatest length that can be stored, in bytes.
        most: usize,
    },
}

impl From<TableError> for StateError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::NotAuthorized { .. } => Self::NotAuthorized(error),
            TableError::Refused { .. }
            | TableError::TooLarge
            | TableError::Invalid(_)
            | TableError::Unusable(_) => Self::Refused(error),
            TableError::TableBeingDeleted
            | TableError::Busy { .. }
            | TableError::Transport(_)
            | TableError::Unreadable(_) => Self::Unavailable(error),
        }
    }
}
