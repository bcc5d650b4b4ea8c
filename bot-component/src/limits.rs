//! The limits of requests.

use std::time::Duration;

/// The longest body of a request. The Bot Framework limits an activity to about this size.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// The most elements of `to`, and the most conversations of one page. The ledger inserts the records of a
/// page in one batch, and a batch of the table service has at most 100 operations.
pub(crate) const MAX_TARGETS: usize = 100;

/// The most ids in one call that replays or drops dead letters.
pub(crate) const MAX_IDS: usize = 100;

/// The most pages of one call. A call may take at most 30 s, and each conversation needs one Put Message.
pub(crate) const MAX_PAGES: usize = 10;

/// The longest time until an alert is due.
pub(crate) const MAX_AHEAD: Duration = Duration::from_secs(366 * 24 * 60 * 60);
