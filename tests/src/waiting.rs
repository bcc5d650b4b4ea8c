//! Waiting without sleeping for a guess.

use std::time::{Duration, Instant};

/// How long something that happens "at once" may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer; fails the test, naming what was awaited, after [`SOON`].
#[track_caller]
pub fn eventually<T>(awaited: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain for {awaited}", SOON.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}
