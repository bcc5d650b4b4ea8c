//! A response body that the fake Connector sends byte by byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;

use crate::loopback_server::BrokenConnection;

/// An endless response body. The fake Connector sends one byte at a time. All clones of a body share one
/// state.
#[derive(Debug, Clone)]
pub struct EndlessBody {
    every: Duration,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    sent_bytes: AtomicUsize,
    client_disconnected: AtomicBool,
}

impl EndlessBody {
    /// Makes a body. The fake waits for the time `every` before it sends each byte.
    pub fn every(every: Duration) -> Self {
        Self { every, state: Arc::default() }
    }

    /// The number of bytes that the fake has sent so far.
    pub fn sent_bytes(&self) -> usize {
        self.state.sent_bytes.load(Ordering::SeqCst)
    }

    /// Whether the client has closed the connection. Only the client can end the body.
    pub fn client_has_disconnected(&self) -> bool {
        self.state.client_disconnected.load(Ordering::SeqCst)
    }

    pub(super) fn bytes(self) -> impl Stream<Item = Result<Bytes, BrokenConnection>> + Send + 'static {
        let guard = UntilDisconnected(self.state);
        unfold(guard, move |guard| async move {
            tokio::time::sleep(self.every).await;
            guard.0.sent_bytes.fetch_add(1, Ordering::SeqCst);
            Some((Ok(Bytes::from_static(b" ")), guard))
        })
    }
}

/// Records the end of the connection when this value is dropped. The endless body owns this value, and the
/// server drops the body when the client disconnects.
struct UntilDisconnected(Arc<State>);

impl Drop for UntilDisconnected {
    fn drop(&mut self) {
        self.0.client_disconnected.store(true, Ordering::SeqCst);
    }
}
