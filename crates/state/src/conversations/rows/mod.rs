//! The parts of a conversation's rows that have a form of their own. `record.rs` reads all rows with them,
//! and the modules of the commands and routes write them.

pub(super) mod hook;
pub(super) mod open_question;
pub(super) mod quiet;
pub(super) mod responses;
