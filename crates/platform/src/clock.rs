//! Calendar time, a monotonic clock, and waiting.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The trait for time, one of the [ports](crate) to the platform.
pub trait Clock {
    /// The calendar time. This time can jump, so measure durations with [`Clock::monotonic`].
    fn now(&self) -> DateTime<Utc>;

    /// The time since an arbitrary start. This time never goes back.
    fn monotonic(&self) -> Duration;

    /// Waits for `duration`. Other futures of the same task continue during this time.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// The time on the monotonic clock at which some work must have ended, e.g. a run of the poller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Duration);

impl Deadline {
    /// Makes the deadline for work that starts now and is allowed to take the time `after`.
    pub fn after(clock: &impl Clock, after: Duration) -> Self {
        Self(clock.monotonic().saturating_add(after))
    }

    /// Returns the time until the deadline, or zero if the deadline has passed.
    pub fn remaining(self, clock: &impl Clock) -> Duration {
        self.0.saturating_sub(clock.monotonic())
    }

    /// Returns true if the deadline has passed.
    pub fn has_passed(self, clock: &impl Clock) -> bool {
        self.remaining(clock).is_zero()
    }
}
