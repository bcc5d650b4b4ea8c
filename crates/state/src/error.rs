//! Errors of reading and writing the state.

use storage_table::TableError;
use thiserror::Error;

/// The reason for which an operation on the tables failed. Each variant tells the caller what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StateError {
    /// The table storage did not answer in time, or refused the request for now. Try again later.
    #[error("the table storage cannot be reached: {0}")]
    Unavailable(TableError),
    /// The table storage refused the credentials. An operator has to correct them.
    #[error("the table storage refused access: {0}")]
    NotAuthorized(TableError),
    /// The table storage refused the request itself. Another attempt would fail the same way.
    #[error("the table storage refused the request: {0}")]
    Refused(TableError),
    /// Another writer changed the entity during each attempt. Try again later.
    #[error("another writer changed the entity during each of {attempts} attempts; try again later")]
    Contended {
        /// The number of attempts.
        attempts: usize,
    },
    /// A newer version of this program wrote the record. This version does not change the record.
    #[error("a newer version of this program wrote the record; update this program to change the record")]
    Newer,
    /// The conversation has no record.
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
