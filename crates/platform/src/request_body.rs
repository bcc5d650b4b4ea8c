//! The body of an inbound request, read only when the door has decided that it wants it.

use bytes::Bytes;
use thiserror::Error;

/// A body that has not been read yet.
pub trait RequestBody {
    /// Reads all of it, and stops as soon as it is longer than `max_bytes`.
    fn read(self, max_bytes: usize) -> impl Future<Output = Result<Bytes, BodyError>>;
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("the body is too large")]
    TooLarge,
    /// The connection broke while it was read.
    #[error("the body could not be read")]
    Broken,
}

impl RequestBody for Bytes {
    async fn read(self, max_bytes: usize) -> Result<Bytes, BodyError> {
        if self.len() > max_bytes { Err(BodyError::TooLarge) } else { Ok(self) }
    }
}
