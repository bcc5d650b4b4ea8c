//! The types of the values in a conversation's rows: the webhook address, the open question, the quiet hours,
//! and the read receipts, reactions and replies of people. `record.rs` reads the rows into these types.

pub(super) mod hook;
pub(super) mod open_question;
pub(super) mod quiet;
pub(super) mod responses;
