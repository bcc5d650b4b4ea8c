//! Waits until a condition is true. A test then need not sleep for a guessed time.

use std::time::{Duration, Instant};

/// The longest time that [`eventually`] waits. On a busy machine, even a quick step can take many seconds.
pub const SOON: Duration = Duration::from_secs(20);

/// Repeats `attempt` until it returns a result. Fails the test if no result comes within [`SOON`]. `awaited`
/// describes the result in the failure message.
#[track_caller]
pub fn eventually<T>(awaited: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "expected {awaited} within {} s, found nothing", SOON.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}
