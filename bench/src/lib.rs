//! The application measured as a whole: the built components in the embedded host, between stubs that cost next to
//! nothing, each figure beside its baseline. `docs/performance.md` is what came of it.
//!
//! The deterministic figures (instructions, memory, calls, sizes) are [`exact`]: a test holds the components to them.
//! Times are [`figures`]: measured, and never asserted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod contender;
pub mod driver;
pub mod exact;
pub mod figures;
pub mod listing;
pub mod machine;
pub mod meter;
pub mod native;
pub mod record;
pub mod report;
pub mod statistics;
pub mod stubs;
pub mod workload;
