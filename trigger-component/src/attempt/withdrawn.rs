//! What was withdrawn while messages lay on the queue, as far as this run has asked.

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
    /// The person asked to be forgotten after it was accepted.
    Forgotten,
}

/// What a person said themselves can be dropped only because the person asked to be forgotten. For messages that nothing else
/// withdraws, a run asks no more often than that.
const FORGOTTEN_ASKED_EVERY: TimeDelta = TimeDelta::seconds(1);

/// Answers for alerts that were accepted a short time ago.
#[derive(Debug, Clone, Default)]
pub(crate) struct Withdrawn {
    cancelled: BTreeSet<String>,
    /// Whether the last word in a conversation was `stop`.
    stopped: BTreeMap<String, bool>,
    /// The alerts that the queue may hold twice, although their messages do not say so.
    doubled: BTreeSet<String>,
    /// When the person of a conversation asked to be forgotten last.
    forgotten: BTreeMap<String, DateTime<Utc>>,
    /// When it was asked last; `None` if never, or if the answer was not all of it.
    asked_at: Option<DateTime<Utc>>,
}

impl Withdrawn {
    /// Since when has to be asked for these messages; `None` if the last answer does for them.
    pub(crate) fn question(&self, messages: &[Leased], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let can_be = |leased: &Leased| leased.envelope.cancellable || leased.envelope.stoppable;
        let is_old = self.asked_at.is_none_or(|asked_at| now - asked_at >= FORGOTTEN_ASKED_EVERY);
        let has_to_ask = !messages.is_empty() && (is_old || messages.iter().any(can_be));
        // The first question reaches back as far as answers are believed: a message that comes later may be older.
        has_to_ask.then(|| self.asked_at.unwrap_or(now - RECENTLY))
    }

    /// Takes an answer in: what was withdrawn, the oldest first, and whether that is all.
    pub(crate) fn learn(&mut self, (withdrawals, is_all): (Vec<Withdrawal>, bool), asked_at: DateTime<Utc>) {
        for withdrawal in withdrawals {
            match withdrawal {
                Withdrawal::Cancelled(id) => _ = self.cancelled.insert(id),
                Withdrawal::Doubled(id) => _ = self.doubled.insert(id),
                Withdrawal::Stopped(conversation) => _ = self.stopped.insert(conversation, true),
                Withdrawal::Started(conversation) => _ = self.stopped.insert(conversation, false),
                Withdrawal::Forgotten { conversation, at } => _ = self.forgotten.insert(conversation, at),
            }
        }
        self.asked_at = is_all.then_some(asked_at);
    }

    /// There was no answer: each message is looked up by itself.
    pub(crate) fn forget(&mut self) {
        self.asked_at = None;
    }

    /// Whether [`Withdrawn::look_up`] knows everything that was withdrawn a short time ago.
    pub(crate) fn is_complete(&self) -> bool {
        self.asked_at.is_some()
    }

    /// Whether the queue may hold an alert twice. The answers so far say so, or say nothing.
    pub(crate) fn is_doubled(&self, id: &str) -> bool {
        self.doubled.contains(id)
    }

    /// Whether nothing at all was withdrawn.
    pub(crate) fn is_empty(&self) -> bool {
        self.cancelled.is_empty() && self.stopped.is_empty() && self.forgotten.is_empty()
    }

    /// Whether an alert is still wanted: `id` is of one that can be cancelled, `is_stoppable` says whether `stop` ends it.
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
    fn the_last_word_counts() {
        let mut withdrawn = Withdrawn::default();
        assert!(!withdrawn.is_complete() && withdrawn.is_empty());
        let all = vec![
            Withdrawal::Cancelled("a".into()),
            Withdrawal::Doubled("b".into()),
            Withdrawal::Stopped("c".into()),
            Withdrawal::Stopped("d".into()),
            Withdrawal::Started("d".into()),
            Withdrawal::Forgotten { conversation: "e".into(), at: at(10) },
        ];
        withdrawn.learn((all, true), DateTime::UNIX_EPOCH);
        assert!(withdrawn.is_complete() && !withdrawn.is_empty());
        assert!(withdrawn.is_doubled("b") && !withdrawn.is_doubled("a"));
        for (id, conversation, seconds, is_stoppable, expected) in [
            (Some("a"), "x", 0, true, Wanted::Cancelled),
            (None, "x", 0, true, Wanted::Yes),
            (Some("b"), "c", 0, true, Wanted::Stopped),
            (Some("b"), "c", 0, false, Wanted::Yes),
            (None, "d", 0, true, Wanted::Yes),
            // Whatever it is: what was accepted until then.
            (Some("b"), "e", 9, true, Wanted::Forgotten),
            (None, "e", 10, false, Wanted::Forgotten),
            (None, "e", 11, true, Wanted::Yes),
        ] {
            let wanted = withdrawn.look_up(id, conversation, at(seconds), is_stoppable);
            assert_eq!(wanted, expected, "{id:?} {conversation:?} {seconds} {is_stoppable}");
        }
        withdrawn.learn((Vec::new(), false), DateTime::UNIX_EPOCH);
        assert!(!withdrawn.is_complete(), "each is looked up by itself");
        assert_eq!(withdrawn.look_up(Some("a"), "x", at(0), false), Wanted::Cancelled);
    }
}
