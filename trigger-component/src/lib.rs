//! The poller: takes envelopes off the queue and posts the alerts to the Bot Connector.
//!
//! One wasm with two doors on one [`run`]: the cron trigger's export, and HTTP for hosts that have no cron.
//!
//! | to change | look in |
//! |---|---|
//! | who may start a run, and what the answer says | `doors/` |
//! | how a run begins | `run/begin.rs` |
//! | that there is one run at a time, and how long its hold lasts | `runs/exclusive.rs`, `crates/state/src/runs/` |
//! | a number: batch, lease, budget, tries, pauses, pace | `limits.rs` |
//! | when messages are fetched | `run/intake.rs` |
//! | the order within a conversation, the pace | `schedule/` (`line.rs`: what waits for what; `lanes.rs`: whose turn it is) |
//! | what is looked at before a message is sent | `attempt/checks.rs` |
//! | what an answer of the Connector means for the message | `attempt/decide.rs` |
//! | what is done about it, and what the ledger is told | `run/apply.rs`, `run/notes.rs` |
//! | Delete, Update, the poison queue | `queue/` |
//! | what happens after a run was killed | `runs/recovery.rs` |
//! | the line in the log, and the answer's counts | `run/report.rs` |

mod attempt;
mod doors;
mod limits;
mod poll_refusal;
mod queue;
pub mod run;
mod runs;
mod schedule;
mod settings;

pub use doors::handle;
pub use limits::Limits;
pub use poll_refusal::PollRefusal;
pub use run::Report;
pub use settings::JOINED;
