//! The body of an inbound request. The entry point reads the body only after it has decided that it needs the
//! body.

use bytes::Bytes;
use thiserror::Error;

/// A body that has not been read yet.
pub trait RequestBody {
    /// Reads the whole body. Stops with an error as soon as the body is longer than `max_bytes`.
    fn read(self, max_bytes: usize) -> impl Future<Output = Result<Bytes, BodyError>>;
}

/// The reason why the body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// The body is longer than allowed.
    #[error("the body is too large")]
    TooLarge,
    /// The connection broke while the body was read.
    #[error("the body could not be read")]
    Broken,
}

impl RequestBody for Bytes {
    async fn read(self, max_bytes: usize) -> Result<Bytes, BodyError> {
        if self.len() > max_bytes { Err(BodyError::TooLarge) } else { Ok(self) }
    }
}
