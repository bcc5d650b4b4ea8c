//! Time: the calendar, a clock that never jumps, and waiting.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The port for time.
pub trait Clock {
    /// The calendar time. It may jump; measure durations with [`Clock::monotonic`].
    fn now(&self) -> DateTime<Utc>;

    /// Time since an arbitrary start; never goes back.
    fn monotonic(&self) -> Duration;

    /// Waits. Other futures of the same task go on meanwhile.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// A moment on the monotonic clock by which something must be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Duration);

impl Deadline {
    /// The deadline that lies `after` from now.
    pub fn after(clock: &impl Clock, after: Duration) -> Self {
        Self(clock.monotonic().saturating_add(after))
    }

    /// What is left; zero once it has passed.
    pub fn remaining(self, clock: &impl Clock) -> Duration {
        self.0.saturating_sub(clock.monotonic())
    }

    /// Whether nothing is left.
    pub fn has_passed(self, clock: &impl Clock) -> bool {
        self.remaining(clock).is_zero()
    }
}
