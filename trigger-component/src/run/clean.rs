//! Deletes expired rows from the tables.

use futures_util::future::join;
use platform::{Deadline, Host, Level};
use serde_json::json;
use state::ledger::Ledger;
use state::runs::Runs;

use crate::settings::RunSettings;

/// One of every `ONE_IN` runs deletes expired rows. If a run finds no message, a random number decides
/// whether this run deletes expired rows. If a run finds messages, the run has a number in the record of the
/// run lock. If this number is a multiple of `ONE_IN`, the run deletes expired rows at its end.
const ONE_IN: u8 = 60;
/// The most pages of query results that one run reads from the ledger to find expired rows.
const PAGES_AT_ONCE: u32 = 8;

/// Decides at random whether a run that finds no message has to delete expired rows. This run has no number,
/// because it does not take the run lock.
pub(super) fn is_due_without_messages<H: Host>(host: &H) -> bool {
    host.up_to(u64::from(ONE_IN) - 1) == 0
}

/// Whether the run with this number has to delete expired rows at its end.
pub(super) fn is_due_after(number: i64) -> bool {
    number % i64::from(ONE_IN) == 0
}

/// Deletes expired rows from the tables, until the deadline.
pub(super) async fn clean<H: Host>(host: &H, settings: &RunSettings, deadline: Deadline) {
    let RunSettings { queue, tables, .. } = settings;
    let ledger = Ledger::new(host, &queue.account, tables, deadline);
    let runs = Runs::new(host, &queue.account, tables, queue.name.as_str(), deadline);
    let (records, rest) = join(ledger.clean(PAGES_AT_ONCE), runs.clean()).await;
    let (level, event, fields) = match (records, rest) {
        (Ok(0), Ok(0)) => return,
        (Ok(records), Ok(rest)) => (Level::Info, "tables.cleaned", json!({"records": records, "rest": rest})),
        (Err(error), _) | (_, Err(error)) => {
            (Level::Warn, "tables.not-cleaned", json!({"reason": error.to_string()}))
        }
    };
    host.event(level, event, fields);
}
