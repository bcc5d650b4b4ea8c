//! The exclusive run: what one run keeps in the table while it is at work, and what it takes over from one that was killed.

mod exclusive;
mod hint;
mod lines;
mod recovery;

pub(crate) use exclusive::ExclusiveRun;
pub(crate) use hint::Hint;
pub(crate) use lines::write_line;
pub(crate) use recovery::recover;
