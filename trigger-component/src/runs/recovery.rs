//! What a run left behind that was killed.
//!
//! A run that is killed hands nothing back: the queue does that when the leases end, and knows no order. So a run tells the
//! table what it was handed before it works on any of it, and the next one hands it back by the receipts. Its conversations
//! wait until those messages are back; others go on.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use platform::Host;
use state::runs::{InHand, Runs};
use storage_queue::{Hidden, QueueError};

use super::write_line;
use crate::queue::Queues;
use crate::schedule::{Age, LaneKey, Lanes, Line, Place};

/// When a message comes that is handed back: not before its line is known.
const VISIBLE_IN: Duration = Duration::from_secs(1);
/// How long one is waited for that the queue does not seem to have any more.
const IF_MISSING: Duration = Duration::from_secs(10);
/// Conversations that are seen to at once.
const CONVERSATIONS_AT_ONCE: usize = 8;

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// How many messages were handed back.
    pub(crate) put_back: usize,
    /// The ids of those that this run need not think of any more.
    pub(crate) done: Vec<String>,
}

/// Hands back what is left of an earlier run, the oldest of each conversation first. After `until` another run may be at work,
/// so no conversation is begun: what is left stays in hand.
pub(crate) async fn recover<H: Host>(
    queues: &Queues<'_, H>,
    runs: &Runs<'_, H>,
    lanes: &mut Lanes,
    left: &[InHand],
    until: Duration,
) -> Recovered {
    let mut all = Recovered::default();
    let mut left: Vec<&InHand> = left.iter().collect();
    left.sort_by_key(|one| (&one.lane, one.age));
    let conversations: Vec<(LaneKey, Line, Vec<&InHand>)> = left
        .chunk_by(|a, b| a.lane == b.lane)
        .filter_map(|some| {
            let Some(key) = LaneKey::named(&some[0].lane) else {
                // Nobody can tell which conversation that is.
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
            put_back(queues, runs, key, line, messages).await
        })
        .buffer_unordered(CONVERSATIONS_AT_ONCE)
        .collect()
        .await;
    for (key, line, recovered) in of_each {
        lanes.set_line(key, line);
        all.put_back += recovered.put_back;
        all.done.extend(recovered.done);
    }
    all
}

async fn put_back<H: Host>(
    queues: &Queues<'_, H>,
    runs: &Runs<'_, H>,
    key: LaneKey,
    mut line: Line,
    messages: Vec<&InHand>,
) -> (LaneKey, Line, Recovered) {
    let mut recovered = Recovered::default();
    let known = line.clone();
    let place = |one: &InHand| Place::new(&one.message, Age(one.age.0, one.age.1));
    for one in &messages {
        line.hidden(&place(one), queues.host.monotonic() + VISIBLE_IN);
    }
    // Written first: this run may be killed, too.
    write_line(queues, runs, &key, &line).await;
    let before = line.clone();
    let seconds = u32::try_from(VISIBLE_IN.as_secs()).unwrap_or(1);
    for one in messages {
        let (id, receipt) = (one.message.clone().into(), one.receipt.clone().into());
        let now = queues.host.monotonic();
        match queues.main.hide(&id, &receipt, seconds, None).await {
            Ok(Hidden::Surely) => {
                line.hidden(&place(one), now + VISIBLE_IN);
                recovered.put_back += 1;
            }
            Ok(Hidden::Perhaps) => line.hidden(&place(one), now + VISIBLE_IN),
            Ok(Hidden::Gone) => {
                line.remove(&one.message);
                line.expect(&place(one), now + VISIBLE_IN + IF_MISSING);
            }
            // That run had deleted or hidden it. If it was hidden, its line says so.
            Err(QueueError::LeaseLost) => line.restore(&one.message, &known),
            Err(error) => {
                queues.warn_once("recovery.failed", &error);
                line.expect(&place(one), now + queues.limits.lease);
                // It may work the next time; what is refused once is refused again.
                if error.is_retryable() {
                    continue;
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
