//! The address book: which conversations the bot knows, by whom they are found, and who wants no alerts.
//!
//! One record per conversation, `conv:<32 hexadecimal digits>`; and lists by which they are found, `index:user:…`,
//! `index:aad:…`, `index:tag:…`, `index:tenant:…:<digit>`. No hosted key-value store has compare-and-swap, so two calls
//! that change the same value at once can lose one of the changes. Hence this layout:
//!
//! - Two conversations never share a record: what was said in one cannot undo what was said in another.
//! - Lists are shared, so they can lose an entry, to a call that read the list before and writes it after. They heal: a
//!   conversation looks into all of its lists and puts back what is missing with its first message ten seconds or more
//!   after one of them changed, and with its first message of each day. So an entry that was lost as it was written is
//!   missing until the conversation's next message after these seconds; one that was lost later, until the next day's. A
//!   list only finds a record; what holds is what the record says.
//! - Nothing is written that stands there already: writes are what a host has fewest of (50 a second on Akamai Functions).
//!   Any other message of a known conversation reads that conversation's record, and nothing that all of them share.
//! - A tenant's list is spread over 16 keys by the conversation's first digit, because a whole company may install the bot
//!   within a minute.
//!
//! Everything in here is versioned. What a newer version wrote is neither read nor overwritten.
#![warn(missing_docs)]

mod book;
#[cfg(test)]
mod example;
mod healing;
mod index;
mod key;
mod list;
mod lookup;
mod record;

pub use book::{AddressBook, BookError, Sign};
pub use key::{ConversationKey, Tag};
pub use lookup::{Filter, Page, TagError};
pub use record::{MAX_TAGS, Record};
