//! The limits of requests. A *page* of an API call is a part of the call's conversations: if a call goes to
//! many conversations, the bot alerts them page by page.

use std::time::Duration;

/// The longest body of a request. The Bot Framework limits an activity to about this size.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// The most elements of the member `to` of an API call, and the most conversations of one page of a call. The
/// bot inserts the ledger records of a page in one batch, and a batch of the table service has at most 100
/// operations.
pub(crate) const MAX_TARGETS: usize = 100;

/// The most ids in one API call that replays or drops dead letters.
pub(crate) const MAX_IDS: usize = 100;

/// The most pages of one API call. An API call has 30 s, and the bot needs one Put Message for each
/// conversation.
pub(crate) const MAX_PAGES: usize = 10;

/// The longest time from now until a new alert is due.
pub(crate) const MAX_AHEAD: Duration = Duration::from_secs(366 * 24 * 60 * 60);
