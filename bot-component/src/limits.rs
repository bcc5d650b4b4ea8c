//! How much of something there may be.

use std::time::Duration;

/// The longest body of a request. The Bot Framework's own limit of an activity is about this.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// The most elements of `to`, and the most conversations of one page: their records are accepted in one batch.
pub(crate) const MAX_TARGETS: usize = 100;

/// The most pages of one call: a call has 30 s, and each conversation takes a Put.
pub(crate) const MAX_PAGES: usize = 10;

/// The furthest that an alert may lie ahead.
pub(crate) const MAX_AHEAD: Duration = Duration::from_secs(366 * 24 * 60 * 60);
