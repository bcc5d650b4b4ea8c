//! How much of something there may be.

use std::time::Duration;

/// The longest body of a request. The Bot Framework's own limit of an activity is about this.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// The most conversations that one call may alert: a call has 30 s, and each of them takes a Put.
pub(crate) const MAX_TARGETS: usize = 100;

/// The furthest that an alert may lie ahead.
pub(crate) const MAX_AHEAD: Duration = Duration::from_secs(366 * 24 * 60 * 60);
