//! Calendar time, a monotonic clock, and waiting.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The trait ([port](crate)) for time.
pub trait Clock {
    /// The calendar time. This time can jump, so measure durations with [`Clock::monotonic`].
    fn now(&self) -> DateTime<Utc>;

    /// The time since an arbitrary start. This time never goes back.
    fn monotonic(&self) -> Duration;

    /// Waits for `duration`. Meanwhile, other futures of the same task continue.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// The moment on the monotonic clock at which a call or a run must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Duration);

impl Deadline {
    /// Makes a deadline. The time `after` is counted from now.
    pub fn after(clock: &impl Clock, after: Duration) -> Self {
        Self(clock.monotonic().saturating_add(after))
    }

    /// The time left; zero once the deadline has passed.
    pub fn remaining(self, clock: &impl Clock) -> Duration {
        self.0.saturating_sub(clock.monotonic())
    }

    /// Whether no time is left.
    pub fn has_passed(self, clock: &impl Clock) -> bool {
        self.remaining(clock).is_zero()
    }
}
