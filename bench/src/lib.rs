//! Measures the built components (bot and poller) in a host. The *host* is the program that runs the
//! components: Spin, or the project's own program (the *embedded host*). The components call *stubs* instead
//! of the real services. A stub is a small server that responds in hardly any time. `docs/performance.md`
//! describes the method and has the results.
//!
//! `cargo dev bench` runs this crate. No component contains this crate.
//!
//! The *exact figures* ([`exact`]: instructions, memory, calls, sizes) are the same on every machine. Tests
//! check these figures, most of them against `docs/performance.json`. The other figures ([`figures`]), such
//! as times, depend on the machine. The report compares these figures with *baselines*, e.g. with a component
//! that does nothing. No test checks these figures, because they differ from one measurement to the next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod contender;
pub mod drain;
pub mod driver;
pub mod exact;
pub mod figures;
pub mod host_calls;
pub mod listing;
pub mod machine;
pub mod meter;
pub mod native;
pub mod record;
pub mod report;
pub mod statistics;
pub mod stubs;
pub mod workload;
