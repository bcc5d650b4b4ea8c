//! Why the state could not be read or written.

use storage_table::TableError;
use thiserror::Error;

/// Why an operation failed, by what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StateError {
    /// The table storage did not answer in time, or refused for now. Try again later.
    #[error("the table storage cannot be reached: {0}")]
    Unavailable(TableError),
    /// The table storage refused the credential. An operator has to act.
    #[error("the table storage refused access: {0}")]
    NotAuthorized(TableError),
    /// The table storage refused the request itself. Another attempt would fail the same way.
    #[error("the table storage refused the request: {0}")]
    Refused(TableError),
    /// Others changed the entity at the same time, again and again. Try again later.
    #[error("the entity was changed by others during each of {attempts} attempts")]
    Contended {
        /// How often it was tried.
        attempts: usize,
    },
    /// A newer version of this program wrote the record. It is left alone.
    #[error("a newer version wrote the record; it is left alone")]
    Newer,
    /// The conversation has no record.
    #[error("the conversation is not stored")]
    NotStored,
    /// A value is longer than is stored.
    #[error("the value has {bytes} bytes, at most {most} are stored")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
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
