//! The withdrawals that a run (one execution of the poller) has read. A withdrawal records one of these
//! events:
//!
//! - A sender has cancelled an alert.
//! - A person has sent `stop` or `start`, has changed the quiet hours, or has asked to be forgotten. (In the
//!   quiet hours, the person wants no alerts.)
//! - The bot has perhaps put an alert on the queue twice. (This event withdraws nothing, but a run has to
//!   know the event before the run sends the alert.)

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use state::runs::{RECENTLY, Withdrawal};

use crate::schedule::Leased;

/// Whether an alert is still wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Yes,
    Cancelled,
    Stopped,
    /// The bot accepted the alert, and later the person asked to be forgotten.
    Forgotten,
    /// The person's quiet hours last until this moment.
    Quiet {
        until: DateTime<Utc>,
    },
}

/// The minimum time between two reads of the withdrawals, if the run has dequeued only alerts that no
/// cancellation and no `stop` can withdraw. An example of such an alert is a person's own message, which the
/// poller sends back. Only the person's wish to be forgotten withdraws such an alert, so fewer reads are
/// enough. If a cancellation or a `stop` can withdraw a dequeued alert, the run reads the withdrawals at
/// once.
const READ_AT_MOST_EVERY: TimeDelta = TimeDelta::seconds(1);

/// The withdrawals of the last ten minutes. If the bot accepted an alert in these ten minutes, the
/// withdrawals show whether the alert is still wanted. For an older alert, the run also reads the alert's
/// record and the conversation's record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Withdrawn {
    cancelled: BTreeSet<String>,
    /// For each conversation with a recent command: `true` if the last command was `stop`, and `false` if it
    /// was `start`.
    stopped: BTreeMap<String, bool>,
    /// The ids of alerts that the queue perhaps holds twice. The bot repeated the Put Message, because the
    /// response to the first call was lost. The second message has the mark `once`, which says that there are
    /// perhaps two messages. The first message lacks this mark. So the bot also records
    /// [`Withdrawal::Doubled`] with the alert's id.
    doubled: BTreeSet<String>,
    /// For each conversation: the last time at which the person asked to be forgotten.
    forgotten: BTreeMap<String, DateTime<Utc>>,
    /// The conversations in which a person has recently changed the quiet hours.
    quieted: BTreeSet<String>,
    /// The time of the last read. `None` before the first read, after a failed read, and after a read that
    /// did not return all withdrawals.
    read_at: Option<DateTime<Utc>>,
}

impl Withdrawn {
    /// Returns a time. Before the run works on these queue messages, it has to read all withdrawals that were
    /// recorded since this time. Returns `None` if the run need not read any withdrawals.
    pub(crate) fn read_from(&self, messages: &[Leased], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let can_be = |leased: &Leased| leased.envelope.cancellable || leased.envelope.stoppable;
        let is_old = self.read_at.is_none_or(|read_at| now - read_at >= READ_AT_MOST_EVERY);
        let has_to_read = !messages.is_empty() && (is_old || messages.iter().any(can_be));
        // If `read_at` is `None`, the read covers the whole time `RECENTLY`, and not only the time since the
        // bot accepted these messages. The reason is that the run can later dequeue an older alert.
        has_to_read.then(|| self.read_at.unwrap_or(now - RECENTLY))
    }

    /// Adds the withdrawals that a read has returned, the oldest first. `is_all` says whether the read
    /// returned all withdrawals.
    pub(crate) fn add(&mut self, (withdrawals, is_all): (Vec<Withdrawal>, bool), read_at: DateTime<Utc>) {
        for withdrawal in withdrawals {
            match withdrawal {
                Withdrawal::Cancelled(id) => _ = self.cancelled.insert(id),
                Withdrawal::Doubled(id) => _ = self.doubled.insert(id),
                Withdrawal::Stopped(conversation) => _ = self.stopped.insert(conversation, true),
                Withdrawal::Started(conversation) => _ = self.stopped.insert(conversation, false),
                Withdrawal::Quieted(conversation) => _ = self.quieted.insert(conversation),
                Withdrawal::Forgotten { conversation, at } => _ = self.forgotten.insert(conversation, at),
            }
        }
        self.read_at = is_all.then_some(read_at);
    }

    /// Marks the withdrawals as incomplete after a failed read. Until the next complete read, the run reads
    /// the conversation's record and the alert's record for each queue message.
    pub(crate) fn invalidate(&mut self) {
        self.read_at = None;
    }

    /// Whether this run has read all recent withdrawals.
    pub(crate) fn is_complete(&self) -> bool {
        self.read_at.is_some()
    }

    /// Whether the bot has recorded that the queue can hold this alert twice.
    pub(crate) fn is_doubled(&self, id: &str) -> bool {
        self.doubled.contains(id)
    }

    /// Whether the run has read none of these events: a cancellation, a `stop` or `start`, a change of quiet
    /// hours, a wish to be forgotten. [`Withdrawal::Doubled`] does not count, because this event
    /// withdraws nothing.
    pub(crate) fn has_no_withdrawal(&self) -> bool {
        self.cancelled.is_empty()
            && self.stopped.is_empty()
            && self.forgotten.is_empty()
            && self.quieted.is_empty()
    }

    /// Whether the person of a conversation has recently changed the quiet hours. If so, the run has to read
    /// the quiet hours from the address book (the table of conversations).
    pub(crate) fn has_new_quiet_hours(&self, conversation: &str) -> bool {
        self.quieted.contains(conversation)
    }

    /// Returns whether an alert is still wanted. This function ignores quiet hours. `id` is the alert's id,
    /// or `None` if the alert cannot be cancelled. `is_stoppable` says whether the person's `stop` withdraws
    /// the alert.
    pub(crate) fn look_up(
        &self,
        id: Option<&str>,
        conversation: &str,
        accepted_at: DateTime<Utc>,
        is_stoppable: bool,
    ) -> Wanted {
        if id.is_some_and(|id| self.cancelled.contains(id)) {
            Wanted::Cancelled
        } else if self.forgotten.get(conversation).is_some_and(|at| accepted_at <= *at) {
            Wanted::Forgotten
        } else if is_stoppable && self.stopped.get(conversation) == Some(&true) {
            Wanted::Stopped
        } else {
            Wanted::Yes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn look_up_returns_a_withdrawal_only_if_it_concerns_the_alert() {
        let mut withdrawn = Withdrawn::default();
        assert!(!withdrawn.is_complete() && withdrawn.has_no_withdrawal());
        let all = vec![
            Withdrawal::Cancelled("a".into()),
            Withdrawal::Doubled("b".into()),
            Withdrawal::Stopped("c".into()),
            Withdrawal::Stopped("d".into()),
            Withdrawal::Started("d".into()),
            Withdrawal::Forgotten { conversation: "e".into(), at: at(10) },
            Withdrawal::Quieted("f".into()),
        ];
        withdrawn.add((all, true), DateTime::UNIX_EPOCH);
        assert!(withdrawn.is_complete() && !withdrawn.has_no_withdrawal());
        assert!(withdrawn.is_doubled("b") && !withdrawn.is_doubled("a"));
        assert!(withdrawn.has_new_quiet_hours("f") && !withdrawn.has_new_quiet_hours("e"));
        for (id, conversation, seconds, is_stoppable, expected) in [
            (Some("a"), "x", 0, true, Wanted::Cancelled),
            (None, "x", 0, true, Wanted::Yes),
            (Some("b"), "c", 0, true, Wanted::Stopped),
            (Some("b"), "c", 0, false, Wanted::Yes),
            (None, "d", 0, true, Wanted::Yes),
            // In the conversation `e`, the person asked to be forgotten at second 10. This withdraws every
            // alert to `e` that was accepted at second 10 or earlier.
            (Some("b"), "e", 9, true, Wanted::Forgotten),
            (None, "e", 10, false, Wanted::Forgotten),
            (None, "e", 11, true, Wanted::Yes),
        ] {
            let wanted = withdrawn.look_up(id, conversation, at(seconds), is_stoppable);
            assert_eq!(wanted, expected, "{id:?} {conversation:?} {seconds} {is_stoppable}");
        }
        withdrawn.add((Vec::new(), false), DateTime::UNIX_EPOCH);
        assert!(!withdrawn.is_complete(), "the last read did not return all withdrawals");
        assert_eq!(withdrawn.look_up(Some("a"), "x", at(0), false), Wanted::Cancelled);
    }
}
