//! The limits of requests. If an API call alerts many conversations, the bot splits the conversations into
//! *pages*, and alerts one page after the other.

use std::time::Duration;

/// The longest body of a request. The Bot Framework limits an activity to about this size.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// The most elements in the member `to` of an API call, and the most conversations on one page. The bot
/// inserts one record for each alert of a page into the ledger (the table with one record for each alert), in
/// one batch. A batch of the table service has at most 100 operations.
pub(crate) const MAX_TARGETS: usize = 100;

/// The most ids in one API call that replays or drops dead letters (messages in the poison queue).
pub(crate) const MAX_IDS: usize = 100;

/// The most pages that the bot alerts in one API call. Ten pages have up to 1000 conversations, and the bot
/// makes one storage call (Put Message) for each conversation. With more pages, the API call could take
/// longer than 30 s. Hosted platforms end a request after 30 s.
pub(crate) const MAX_PAGES: usize = 10;

/// The longest time from now until a new alert is due.
pub(crate) const MAX_AHEAD: Duration = Duration::from_secs(366 * 24 * 60 * 60);
