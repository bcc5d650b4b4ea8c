//! The poller: dequeues messages from the Azure Storage queue, and posts their alerts to the Bot Connector.
//! Deploy the poller beside the bot. Without the poller, no queued alert is delivered.
//!
//! The poller is one wasm component. A *run* is one execution of the poller. Two entry points start a
//! [`run`]: the export for the cron trigger, and the HTTP route `/internal/poll`. The bot calls this route
//! after it has put a message on the queue. The bot's call is the *kick*. Schedulers can call this route,
//! too. The poller accepts neither activities nor alerts over HTTP.
//!
//! In this crate, a *message* is a message of the queue, unless the text says *chat message*. A message holds
//! an *envelope*: an alert or a job, as JSON. (A *job* sends no alert. For example, a job passes a person's
//! answer on to a program.) The poller deletes a message only after the message's alert has reached a final
//! status, such as `delivered`.
//!
//! Sources: the rules of delivery are in `docs/delivery.md`. The queue is specified at
//! <https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api>.
//!
//! | to change | look in |
//! |---|---|
//! | who is allowed to start a run; the response to the caller | `entry_points/` |
//! | how a run begins | `run/begin.rs` |
//! | the run lock (no run sends alerts without it): how a run renews and releases the lock | `runs/exclusive.rs`, `crates/state/src/runs/` |
//! | a limit of a run: e.g. how long it works, and how often it tries an alert | `limits.rs` |
//! | when messages are fetched | `run/intake.rs` |
//! | the order within a conversation; the pace (the minimum time between two chat messages) | `schedule/` (`line.rs`: for which older messages a message has to wait; `lanes.rs`: which message is next) |
//! | the checks before an alert is sent | `attempt/checks.rs` |
//! | which chat message an alert changes if it has a `key` (the sender's name for a problem) | `attempt/standing.rs`, `attempt/standing/` |
//! | how alerts with the same `key` are sent one after the other | `turns.rs` |
//! | how a chat or a thread is created | `attempt/create.rs` |
//! | the run's decision about a message, after the Connector's response | `attempt/decide.rs` |
//! | how the run carries out this decision, and records the result in the ledger (the table with a record for each alert) | `run/apply.rs`, `run/ledger_writes.rs`, `run/write_transitions.rs` |
//! | the calls that delete or hide a queue message (Delete Message, Update Message); the poison queue | `queue/` |
//! | the recovery after a run was killed | `runs/recovery.rs` |
//! | the report of a run: its line in the log, and the body of the HTTP response | `run/report.rs` |
//! | the figures: the counts of messages, added up over all runs | `run/figures.rs` |

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
