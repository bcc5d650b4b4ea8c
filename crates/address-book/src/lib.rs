//! The address book: which conversations the bot knows, by whom they are found, and who wants no alerts.
//!
//! One record per conversation, `conv:<32 hexadecimal digits>`; and lists by which they are found, `index:user:…`,
//! `index:aad:…`, `index:tag:…`, `index:tenant:…:<digit>`. No hosted key-value store has compare-and-swap, so two calls
//! that change the same value at once can lose one of the changes. Hence this layout:
//!
//! - Two conversations never share a record: what was said in one cannot undo what was said in another.
//! - Lists are shared, so they can lose an entry. They heal: every message of a conversation looks into one of its lists,
//!   and puts back what is missing. A list only finds a record; what holds is what the record says.
//! - Nothing is written that stands there already: writes are what a host has fewest of (50 a second on Akamai Functions),
//!   and reads are what each message pays, two of them.
//! - A tenant's list is spread over 16 keys by the conversation's first digit, because a whole company may install the bot
//!   within a minute.
//!
//! Everything in here is versioned. What a newer version wrote is neither read nor overwritten.
#![warn(missing_docs)]

mod book;
mod index;
mod key;
mod list;
mod lookup;
mod record;

pub use book::{AddressBook, BookError, Sign};
pub use key::{ConversationKey, Tag};
pub use lookup::{Filter, Page, TagError};
pub use record::{MAX_TAGS, Record};
