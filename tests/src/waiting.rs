//! Waits for a condition, instead of sleeping for a guessed time.

use std::time::{Duration, Instant};

/// The time limit for a quick step on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Repeats `attempt` until it returns a result. If no result comes within [`SOON`], this function fails the
/// test with a message that quotes `awaited`.
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
