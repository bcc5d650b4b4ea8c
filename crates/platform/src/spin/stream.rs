//! Writes bytes into an output stream of WASI.

use wasi::io::streams::{OutputStream, StreamError};

use super::wait;

/// Writes as many bytes as the stream accepts without waiting. Returns the number of bytes written.
pub(super) fn write_now(stream: &OutputStream, bytes: &[u8]) -> Result<usize, StreamError> {
    let accepted = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX).min(bytes.len());
    stream.write(&bytes[..accepted])?;
    Ok(accepted)
}

/// Writes all bytes as fast as the stream accepts them, and then flushes the stream.
pub(super) async fn write_all(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let allowed = wait::until(
            || match stream.check_write() {
                Ok(0) => None,
                Ok(count) => Some(Ok(usize::try_from(count).unwrap_or(usize::MAX))),
                Err(error) => Some(Err(error)),
            },
            || stream.subscribe(),
        )
        .await?;
        let (now, later) = bytes.split_at(allowed.min(bytes.len()));
        stream.write(now)?;
        bytes = later;
    }
    stream.flush()
}
