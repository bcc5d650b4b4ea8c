//! Waits for events of WASI, such as new bytes in a stream. During the wait, spin-executor can continue other
//! futures of the component.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use spin_executor::CancelOnDropToken;
use wasi::clocks::monotonic_clock;
use wasi::io::poll::Pollable;

/// Waits for `duration` from now.
pub(super) fn pause(duration: Duration) -> impl Future<Output = ()> {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let end = monotonic_clock::now().saturating_add(nanoseconds);
    until(
        move || (monotonic_clock::now() >= end).then_some(()),
        move || monotonic_clock::subscribe_instant(end),
    )
}

/// Waits until `attempt` returns a value. `subscribe` returns a *pollable*, the WASI handle for an event.
/// Between two attempts, the task sleeps until this event happens.
///
/// spin-executor keeps the pollable during the sleep. If a caller drops this future during the sleep, the
/// [`CancelOnDropToken`] drops the pollable at once. Without the token, spin-executor would drop the pollable
/// later, perhaps after the caller has dropped the stream to which the pollable belongs. WASI does not permit
/// this order, and the WASI host would end the component's instance with an error.
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
