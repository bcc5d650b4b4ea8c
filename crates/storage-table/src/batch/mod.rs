//! Entity group transactions, each with several writes to one partition
//! (<https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions>).

mod read;
mod write;

pub(crate) use read::Outcome;
pub(crate) use write::Transaction;

use crate::entity::Entity;
use crate::key::Key;
use crate::names::ETag;

/// One write of a transaction.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'e> {
    /// Insert Entity.
    Insert(&'e Entity),
    /// Insert Or Replace Entity.
    Put(&'e Entity),
    /// Insert Or Merge Entity.
    PutMerge(&'e Entity),
    /// Merge Entity, if the entity has this version. Without an ETag, the version does not matter.
    Merge(&'e Entity, Option<&'e ETag>),
    /// Update Entity, if the entity has this version.
    Replace(&'e Entity, &'e ETag),
    /// Delete Entity, if the entity has this version. Without an ETag, the version does not matter.
    Delete(&'e Key, Option<&'e ETag>),
}

impl<'e> Operation<'e> {
    pub(crate) fn key(self) -> &'e Key {
        match self {
            Self::Insert(entity)
            | Self::Put(entity)
            | Self::PutMerge(entity)
            | Self::Merge(entity, _)
            | Self::Replace(entity, _) => &entity.key,
            Self::Delete(key, _) => key,
        }
    }
}

/// The result of a transaction. If the result is unknown, the call returns an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// The service did every operation.
    Done,
    /// The service did no operation, because it refused the operation at `index`.
    Refused {
        /// The index of the operation, counted from 0.
        index: usize,
        /// The HTTP status of the operation: 404 (the entity is missing), 409 (the entity exists), 412 (the
        /// entity has another version), or 400 (the operation is invalid).
        status: u16,
        /// The service's error code, or the empty string.
        code: String,
    },
}
