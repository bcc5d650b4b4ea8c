//! Stores the *waiting line* (*line*) of a conversation: the list of its hidden messages.

use std::time::Duration;

use platform::{Host, Level};
use serde_json::json;
use state::runs::Runs;

use crate::queue::Queues;
use crate::schedule::{LaneKey, Line};

/// How long the run repeats the write of a line if the write fails.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3);
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Stores the line of a conversation. If no message has to wait for a message of the line, deletes the stored
/// line. During this call, the run does not begin to work on a message of the conversation. If the write
/// fails for three seconds, this function logs the failure. After such a failure, this run keeps the order
/// of the messages, but the next run perhaps does not.
pub(crate) async fn write_line<H: Host>(
    queues: &Queues<'_, H>,
    runs: &Runs<'_, H>,
    key: &LaneKey,
    line: &Line,
) {
    let last = queues.host.monotonic() + WRITTEN_WITHIN;
    loop {
        let written = if line.is_live(queues.host.monotonic()) {
            runs.set_line(&line.to_stored(key.name(), queues.host)).await
        } else {
            runs.end_line(&key.name()).await
        };
        let Err(error) = written else { return };
        if queues.host.monotonic() >= last {
            let fields = json!({"run": queues.run, "reason": error.to_string()});
            return queues.host.event(Level::Warn, "line.not-written", fields);
        }
        queues.host.sleep(RETRY_AFTER).await;
    }
}
