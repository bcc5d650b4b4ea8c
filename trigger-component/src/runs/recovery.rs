//! The recovery of the messages that a killed run had *in hand* (dequeued and not finished).
//!
//! A killed run leaves its messages hidden until their *leases* end, i.e. for up to a minute. Then the queue
//! makes the messages visible, but not in their order. To keep the order, each run records its messages in
//! hand before it works on them. The record has the *pop receipt* of each message. A run can update or delete
//! a message only with the valid pop receipt. If a run is killed, the next run makes the messages visible
//! again with the recorded pop receipts, the oldest first. Until the messages are visible, their
//! conversations wait, and other conversations go on.
//!
//! A message is *missing* if the queue reports that it finds no message with the recorded pop receipt. Then
//! the killed run has probably deleted the message. But perhaps the killed run has only hidden the message,
//! so that the message has got a new pop receipt. The queue can also report that the message is on the queue
//! and has another pop receipt. Then the message is not missing.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt;
use futures_util::stream;
use platform::Host;
use state::ledger::Missed;
use state::runs::{EndedAlert, InHand, Runs};
use storage_queue::{Hidden, QueueError};
use storage_table::TableError;

use super::write_line;
use crate::queue::Queues;
use crate::schedule::{Age, LaneKey, Lanes, Line, Place};

/// How long a recovered message stays hidden. During this time, the run stores the waiting line (the list of
/// a conversation's hidden messages) again, if the recovery has changed it. So the line is stored before a
/// run can dequeue the message.
const VISIBLE_IN: Duration = Duration::from_secs(1);
/// How long younger messages wait, after [`VISIBLE_IN`], for a message that the queue probably no longer
/// holds ([`Hidden::NotFound`]).
const WAIT_FOR_MISSING: Duration = Duration::from_secs(10);
/// The greatest number of conversations whose messages the run recovers at the same time.
const CONVERSATIONS_AT_ONCE: usize = 8;

/// The result of a recovery.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// The number of messages that the run has certainly put back on the queue.
    pub(crate) put_back: usize,
    /// The ids of the messages that leave the list of messages in hand.
    pub(crate) done: Vec<String>,
    /// The ids of the missing messages. Each id has a [`Missed`], which says whether the alert has ended. If
    /// the killed run has only hidden a missing message, a run dequeues the message later.
    pub(crate) missed: Vec<(String, Missed)>,
}

/// Puts the messages that the last run had in hand (`left`) back on the queue, the oldest of each
/// conversation first. `ended` are the alerts that the last run had finished. After `until`, another run can
/// hold the run lock, so this run puts no more messages back. The remaining messages stay in hand.
pub(crate) async fn recover<H: Host>(
    queues: &Queues<'_, H>,
    runs: &Runs<'_, H>,
    lanes: &mut Lanes,
    left: &[InHand],
    ended: &[EndedAlert],
    until: Duration,
) -> Recovered {
    let mut all = Recovered::default();
    let mut left: Vec<&InHand> = left.iter().collect();
    left.sort_by_key(|one| (&one.lane, one.age));
    let conversations: Vec<(LaneKey, Line, Vec<&InHand>)> = left
        .chunk_by(|a, b| a.lane == b.lane)
        .filter_map(|some| {
            let Some(key) = LaneKey::named(&some[0].lane) else {
                // This run cannot read the name of the *lane* (the list of a conversation's dequeued
                // messages). So the messages stay hidden until their leases end.
                all.done.extend(some.iter().map(|one| one.message.clone()));
                return None;
            };
            Some((key, lanes.line(&key).clone(), some.to_vec()))
        })
        .collect();
    let of_each: Vec<(LaneKey, Line, Recovered)> = stream::iter(conversations)
        .map(async |(key, line, messages)| {
            if queues.host.monotonic() >= until {
                return (key, line, Recovered::default());
            }
            put_back(queues, runs, (key, line), messages, ended, until).await
        })
        .buffer_unordered(CONVERSATIONS_AT_ONCE)
        .collect()
        .await;
    for (key, line, recovered) in of_each {
        lanes.set_line(key, line);
        all.put_back += recovered.put_back;
        all.done.extend(recovered.done);
        all.missed.extend(recovered.missed);
    }
    all
}

/// Finds out whether the alert of a missing message has ended, and how. The steps are:
///
/// 1. If `ended` has the final status of the alert, returns this status. The ledger has perhaps not recorded
///    this status yet.
/// 2. If the alert's record in the ledger has a final status, returns this status.
/// 3. Otherwise records in the ledger that the message is missing. If the killed run has only hidden the
///    message, the message becomes visible at `visible_at` at the latest.
async fn miss<H: Host>(
    queues: &Queues<'_, H>,
    one: &InHand,
    ended: &[EndedAlert],
    visible_at: Duration,
) -> Result<Missed, TableError> {
    let Some(record) = &one.record else { return Ok(Missed::Unknown) };
    let end = ended.iter().find(|end| end.record == *record);
    if let Some((end, status)) = end.and_then(|end| Some((end, end.status()?))) {
        let is_copy = end.message.as_ref().is_some_and(|message| *message != one.message);
        return Ok(Missed::Ended { status, is_copy });
    }
    let wait = visible_at.saturating_sub(queues.host.monotonic());
    let visible_at = queues.host.now() + TimeDelta::from_std(wait).unwrap_or_default();
    queues.ledger.record_missing(record, &one.message, visible_at).await
}

async fn put_back<H: Host>(
    queues: &Queues<'_, H>,
    runs: &Runs<'_, H>,
    (key, mut line): (LaneKey, Line),
    messages: Vec<&InHand>,
    ended: &[EndedAlert],
    until: Duration,
) -> (LaneKey, Line, Recovered) {
    let mut recovered = Recovered::default();
    let known = line.clone();
    let place = |one: &InHand| Place::new(&one.message, Age(one.age.0, one.age.1));
    for one in &messages {
        line.set_hidden(&place(one), queues.host.monotonic() + VISIBLE_IN);
    }
    // The run stores the line before the first call of `hide`, because this run can be killed, too. `hide`
    // makes the queue show the message after `VISIBLE_IN`.
    write_line(queues, runs, &key, &line).await;
    let before = line.clone();
    let seconds = u32::try_from(VISIBLE_IN.as_secs()).unwrap_or(1);
    for one in messages {
        let (id, receipt) = (one.message.clone().into(), one.receipt.clone().into());
        let now = queues.host.monotonic();
        // From `until` on, another run can take the run lock. That run recovers the remaining messages.
        if now >= until {
            break;
        }
        let mut is_missing = false;
        match queues.main.hide(&id, &receipt, seconds, None).await {
            Ok(Hidden::Surely) => {
                line.set_hidden(&place(one), now + VISIBLE_IN);
                recovered.put_back += 1;
            }
            Ok(Hidden::Perhaps) => line.set_hidden(&place(one), now + VISIBLE_IN),
            Ok(Hidden::NotFound) => {
                line.remove(&one.message);
                line.expect_until(&place(one), now + VISIBLE_IN + WAIT_FOR_MISSING);
                is_missing = true;
            }
            // The killed run had deleted or hidden the message. If the killed run had hidden the message, the
            // line already listed the message. So this code restores the message's earlier place in the line,
            // and a run dequeues the message later. If `is_on_queue` is true, the message is surely not
            // deleted, so the message is not missing.
            Err(QueueError::LeaseLost { is_on_queue }) => {
                line.restore(&one.message, &known);
                is_missing = !is_on_queue;
            }
            Err(QueueError::QueueMissing) => is_missing = true,
            Err(error) => {
                queues.warn_once("recovery.failed", &error);
                line.expect_until(&place(one), now + queues.limits.lease);
                // If the error is retryable, the call can succeed in the next run, so the message stays in
                // hand. Otherwise the next run does not try again, because the queue would refuse the call
                // again.
                if error.is_retryable() {
                    continue;
                }
            }
        }
        if is_missing {
            match miss(queues, one, ended, known.ends(&one.message).unwrap_or_default()).await {
                Ok(missed) => recovered.missed.push((one.message.clone(), missed)),
                Err(error) => {
                    queues.warn_once("ledger.not-noted", &error);
                    if error.is_retryable() {
                        continue;
                    }
                }
            }
        }
        recovered.done.push(one.message.clone());
    }
    if line != before {
        write_line(queues, runs, &key, &line).await;
    }
    (key, line, recovered)
}
