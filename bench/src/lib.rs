//! Measures the application as a whole: the built components in a host, which is Spin or the project's
//! embedded host. The components call stubs instead of the real services. A *stub* is a small server that
//! plays a service, and responds in hardly any time. The report compares each figure with a baseline.
//! `docs/performance.md` describes the method and has the results.
//!
//! `cargo dev bench` uses this crate. No component contains this crate. The figures of [`exact`]
//! (instructions, memory, calls, sizes) are the same on every machine, and a test compares them with
//! `docs/performance.json`. The figures of [`figures`] are times. No test checks these times, because they
//! differ from one measurement to the next.
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
