//! The poller: dequeues envelopes from the Azure Storage queue, and posts their alerts to the Bot Connector.
//! Deploy it beside the bot; without it, queued alerts are not delivered.
//!
//! The poller is one wasm component. Two entry points start the same [`run`]: the export for the cron
//! trigger, and the HTTP route `/internal/poll`. The bot calls this route after it has put a message on the
//! queue. This call is the *kick*. Schedulers can call the route, too. The poller accepts neither activities
//! nor alerts over HTTP. In this crate, a *message* is a message of the queue, unless the text says *chat
//! message*. The poller deletes a message only after the message's alert has reached a final status.
//!
//! Sources: the rules of delivery are in `docs/delivery.md`. The queue is specified at
//! <https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api>.
//!
//! | to change | look in |
//! |---|---|
//! | who is allowed to start a run; the response to the caller | `entry_points/` |
//! | how a run begins | `run/begin.rs` |
//! | the run lock: how a run renews and releases it | `runs/exclusive.rs`, `crates/state/src/runs/` |
//! | a limit: batch, lease, budget, tries, pauses, pace | `limits.rs` |
//! | when messages are fetched | `run/intake.rs` |
//! | the order within a conversation, the pace | `schedule/` (`line.rs`: for which older messages a message has to wait; `lanes.rs`: which message is next) |
//! | the checks before a message is sent | `attempt/checks.rs` |
//! | which chat message an alert with a `key` changes | `attempt/standing.rs`, `attempt/standing/` |
//! | how alerts with the same `key` are sent one after the other | `turns.rs` |
//! | how a chat or a thread is created | `attempt/create.rs` |
//! | the decision that follows from the Connector's response | `attempt/decide.rs` |
//! | how the run carries out this decision, and records the result in the ledger | `run/apply.rs`, `run/ledger_writes.rs`, `run/write_transitions.rs` |
//! | the calls that delete or hide a queue message (Delete Message, Update Message); the poison queue | `queue/` |
//! | the recovery after a run was killed | `runs/recovery.rs` |
//! | the run's line in the log; the counts in the HTTP response | `run/report.rs` |
//! | the figures: the counts of messages over all runs | `run/figures.rs` |

mod attempt;
mod entry_points;
mod limits;
mod poll_refusal;
mod queue;
pub mod run;
mod runs;
mod schedule;
mod settings;
mod turns;

pub use entry_points::handle;
pub use limits::Limits;
pub use poll_refusal::PollRefusal;
pub use run::Report;
pub use settings::{JOINED, check_settings};
