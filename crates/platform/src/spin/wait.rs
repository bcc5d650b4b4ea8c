//! Waiting for something of WASI inside spin-executor's loop.

use std::future::poll_fn;
use std::task::Poll;

use spin_executor::CancelOnDropToken;
use wasi::io::poll::Pollable;

/// Waits until `attempt` yields something; between attempts the task sleeps on the pollable of `subscribe`.
///
/// The registration is cancelled when the future is dropped: a pollable has to go before the resource that it belongs
/// to, else the host traps.
pub(super) async fn until<T>(mut attempt: impl FnMut() -> Option<T>, subscribe: impl Fn() -> Pollable) -> T {
    let mut registration: Option<CancelOnDropToken> = None;
    poll_fn(|context| {
        drop(registration.take());
        if let Some(value) = attempt() {
            return Poll::Ready(value);
        }
        let token = spin_executor::push_waker_and_get_token(subscribe(), context.waker().clone());
        registration = Some(token.into());
        Poll::Pending
    })
    .await
}
