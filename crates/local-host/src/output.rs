//! Prints the host's own lines, and the lines of guests (running instances of components). Each line of a
//! guest begins with the id of the component, e.g. `[bot]`.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Prints a line on stdout. If stdout is closed, the host continues.
pub(crate) fn print(line: &str) {
    _ = write_line(&mut std::io::stdout().lock(), &[line.as_bytes()]);
}

/// Prints a line on stderr.
pub(crate) fn error(line: &str) {
    _ = write_line(&mut std::io::stderr().lock(), &[line.as_bytes()]);
}

/// Writes the line and its end together, so that no other thread or process can write into the line.
fn write_line(to: &mut dyn std::io::Write, parts: &[&[u8]]) -> std::io::Result<()> {
    let mut line = parts.concat();
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Sink {
    Stdout,
    Stderr,
    /// The host prints no lines of guests, because of `--quiet`.
    Nowhere,
}

/// A guest's stdout or stderr: collects bytes until a line is complete.
#[derive(Clone, Debug)]
pub(crate) struct GuestOutput(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    component: Arc<str>,
    sink: Sink,
    pending: Vec<u8>,
}

impl GuestOutput {
    pub(crate) fn new(component: Arc<str>, sink: Sink) -> Self {
        Self(Arc::new(Mutex::new(Lines { component, sink, pending: Vec::new() })))
    }

    fn push(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        if matches!(self.sink, Sink::Nowhere) {
            return;
        }
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(&rest[..end]);
            self.print();
            rest = &rest[end + 1..];
        }
        self.pending.extend_from_slice(rest);
    }

    fn print(&mut self) {
        let prefix = format!("[{}] ", self.component);
        let parts = [prefix.as_bytes(), &self.pending];
        // The guest gets no error, because a guest cannot repair the host's output.
        _ = match self.sink {
            Sink::Stdout => write_line(&mut std::io::stdout().lock(), &parts),
            Sink::Stderr => write_line(&mut std::io::stderr().lock(), &parts),
            Sink::Nowhere => Ok(()),
        };
        self.pending.clear();
    }
}

/// Prints the last line of a guest, if this line has no line end.
impl Drop for Lines {
    fn drop(&mut self) {
        if !self.pending.is_empty() {
            self.print();
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: hyper::body::Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
