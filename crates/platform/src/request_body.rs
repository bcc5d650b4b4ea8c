//! The body of an inbound request. A component first checks the head of the request. Then the component reads
//! the body only if the component needs the body.

use bytes::Bytes;
use thiserror::Error;

/// A body that has not been read yet.
pub trait RequestBody {
    /// Reads the whole body. Stops with an error as soon as the body is longer than `max_bytes`.
    fn read(self, max_bytes: usize) -> impl Future<Output = Result<Bytes, BodyError>>;
}

/// The reason why the body was not read completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// The body is longer than allowed.
    #[error("the body is too large")]
    TooLarge,
    /// The connection broke before the whole body had arrived.
    #[error("the body could not be read")]
    Broken,
}

impl RequestBody for Bytes {
    async fn read(self, max_bytes: usize) -> Result<Bytes, BodyError> {
        if self.len() > max_bytes { Err(BodyError::TooLarge) } else { Ok(self) }
    }
}
