//! The data that a run stores for other runs and for the bot:
//!
//! - the run lock, with the messages that the run has *in hand* (dequeued and not finished)
//! - the waiting lines: for each conversation, a list of its hidden messages
//! - a hint in the key-value store that a run is at work
//! - the time at which a run found no message
//!
//! This module also makes the messages of a killed run visible again.

mod exclusive;
mod hint;
mod idle;
mod lines;
mod recovery;

pub(crate) use exclusive::ExclusiveRun;
pub(crate) use hint::Hint;
pub(crate) use idle::record_idle;
pub(crate) use lines::write_line;
pub(crate) use recovery::recover;
