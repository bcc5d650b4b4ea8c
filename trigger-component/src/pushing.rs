//! Messages that go behind others of their conversation, and what a run left behind that is over.

use std::time::Duration;

use platform::Host;
use storage_queue::{Hidden, MessageId, QueueError};

use crate::custody::{Custody, Taken};
use crate::delivery::Desk;
use crate::disposition::{Poison, hide_for};
use crate::held::Held;
use crate::hold::{Change, Hold};
use crate::lanes::Push;
use crate::limits::LONGEST_PUSH;
use crate::report::Count;

/// When a message comes that a run handed back for another: not before everybody has been told. Whoever is handed it
/// earlier would not know that it stands in line, and would leave it there.
const HANDED_BACK_IN_SECONDS: u32 = 1;

/// How long it is waited for if it may have been off the queue already.
const IF_AT_ALL: Duration = Duration::from_secs(10);

/// Messages that were hidden behind another, or given up.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) messages: Vec<MessageId>,
    pub(crate) counts: Vec<Count>,
    /// What the store was told before they were hidden.
    pub(crate) told: Change,
    /// What came out otherwise.
    pub(crate) news: [Change; 2],
}

impl<H: Host> Desk<'_, H> {
    /// Hides messages behind one that has to wait. Told first: a run that is killed in between leaves a line that is waited
    /// for in vain for a while, not one that nobody knows of.
    pub(crate) async fn push_behind(&self, push: &Push) -> Pushed {
        let Push { key, messages, hold } = push;
        let mut tail = hold.tail;
        let (mut pauses, mut places) = (Vec::new(), Vec::new());
        for held in messages {
            let pause = self.pause_behind(held, hold, tail);
            if let Some(pause) = pause {
                tail = tail.max(self.host.monotonic() + pause);
                places.push((held.place(), tail));
            }
            pauses.push(pause);
        }
        let told = Change::Pushed(places);
        self.holds.tell(self.host, &key.name(), &told).await;
        let mut counts = Vec::new();
        let (mut late, mut given_up) = (Vec::new(), Vec::new());
        // One after the other: their order is the order in which they come back.
        for (held, pause) in messages.iter().zip(pauses) {
            let Some(pause) = pause else {
                let reason = "the queue forgets it before its turn comes";
                let count = self.poison(held, Poison::OutOfTime, reason, None).await.count;
                if count == Count::StorageTrouble {
                    late.push((held.place(), held.leased_at + self.limits.lease));
                } else {
                    given_up.push(held.message.id.to_string());
                }
                counts.push(count);
                continue;
            };
            counts.push(Count::HeldBack);
            let away = self.hide(held, pause, None).await;
            if away > pause {
                late.push((held.place(), self.host.monotonic() + away));
            }
        }
        let messages = messages.iter().map(|held| held.message.id.clone()).collect();
        Pushed { messages, counts, told, news: [Change::Pushed(late), Change::Settled(given_up)] }
    }

    /// For how long to hide a message behind the first in line, and behind the last one that was hidden so, which comes back
    /// at `tail`. `None` if the queue forgets it before.
    fn pause_behind(&self, held: &Held, hold: &Hold, tail: Duration) -> Option<Duration> {
        let now = self.host.monotonic();
        // A second more than the one in front, so that it is alone when it comes back: it may fail again.
        let earliest = (hold.until + Duration::from_secs(1)).max(tail);
        // The longer that one is awaited, the longer it will be: a run that was killed may have had it.
        let overdue = (hold.overdue(now) / 2).min(LONGEST_PUSH);
        hide_for(earliest.saturating_sub(now).max(overdue), self.until_forgotten(&held.message))
    }

    /// Hands back what a run held that is over, the oldest of each conversation first. Returns how many there were, and
    /// whether that was all.
    pub(crate) async fn hand_back(&self, custody: &Custody) -> (usize, bool) {
        let mut messages: Vec<&Taken> = Vec::new();
        for taken in &custody.messages {
            let before = |other: &&Taken| (&other.lane, other.age) <= (&taken.lane, taken.age);
            messages.insert(messages.partition_point(before), taken);
        }
        let pause = Duration::from_secs(HANDED_BACK_IN_SECONDS.into());
        let (mut handed_back, mut all) = (0, true);
        for messages in messages.chunk_by(|a, b| a.lane == b.lane) {
            let (mut back, mut perhaps) = (Vec::new(), Vec::new());
            for taken in messages {
                match self.queue.hide(&taken.id, &taken.receipt, HANDED_BACK_IN_SECONDS, None).await {
                    Ok(Hidden::Surely) => back.push((taken.place(), self.host.monotonic() + pause)),
                    Ok(Hidden::Perhaps) => {
                        perhaps.push((taken.place(), self.host.monotonic() + pause + IF_AT_ALL));
                    }
                    // That run had deleted or hidden it, which it told before it did so; or somebody else has it.
                    Err(QueueError::LeaseLost) => {}
                    Err(_) => all = false,
                }
            }
            handed_back += back.len();
            for change in [Change::Pushed(back), Change::Expected(perhaps)] {
                self.holds.tell(self.host, &messages[0].lane, &change).await;
            }
        }
        (handed_back, all)
    }
}
