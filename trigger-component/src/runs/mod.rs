//! The data that a run stores for other runs and for the bot: the run lock with the messages in hand, the
//! waiting lines, and a hint in the key-value store. This module also recovers the messages of a killed run.

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
