//! Entity group transactions. A transaction does 1 to 100 operations in one partition, all or none
//! (<https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions>). The client
//! sends a transaction as one *batch* request.

mod read;
mod write;

pub(crate) use read::Outcome;
pub(crate) use write::Transaction;

use crate::entity::Entity;
use crate::key::Key;
use crate::names::ETag;

/// One operation of a transaction. The brackets give the service's name of the operation. An ETag is the
/// version of an entity.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'e> {
    /// Inserts the entity (Insert Entity).
    Insert(&'e Entity),
    /// Inserts the entity, or replaces the stored entity (Insert Or Replace Entity).
    Put(&'e Entity),
    /// Inserts the entity, or sets its properties in the stored entity (Insert Or Merge Entity).
    PutMerge(&'e Entity),
    /// Sets the properties in the stored entity, if the stored version equals the ETag (Merge Entity).
    /// Without an ETag, the version does not matter.
    Merge(&'e Entity, Option<&'e ETag>),
    /// Replaces the stored entity, if the stored version equals the ETag (Update Entity).
    Replace(&'e Entity, &'e ETag),
    /// Deletes the stored entity, if the stored version equals the ETag (Delete Entity). Without an ETag, the
    /// version does not matter.
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

/// The result of a transaction. If the response does not show the result,
/// [`TableClient::batch`](crate::TableClient::batch) returns an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// The service did every operation.
    Done,
    /// In the last attempt, the service refused the operation at `index`, and did no operation. If all
    /// operations are deletes, an earlier attempt has perhaps deleted the entities.
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
