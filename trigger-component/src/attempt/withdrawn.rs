//! What was withdrawn while messages lay on the queue, as far as this run has asked.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use state::runs::{RECENTLY, Withdrawal};

use crate::schedule::Leased;

/// Whether an alert is still wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Yes,
    Cancelled,
    Stopped,
}

/// Answers for alerts that were accepted a short time ago.
#[derive(Debug, Clone, Default)]
pub(crate) struct Withdrawn {
    cancelled: BTreeSet<String>,
    /// Whether the last word in a conversation was `stop`.
    stopped: BTreeMap<String, bool>,
    /// When it was asked last; `None` if never, or if the answer was not all of it.
    asked_at: Option<DateTime<Utc>>,
}

impl Withdrawn {
    /// Since when has to be asked for these messages; `None` if none of them can be withdrawn.
    pub(crate) fn question(&self, messages: &[Leased], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let can_be = |leased: &Leased| leased.envelope.cancellable || leased.envelope.stoppable;
        // The first question reaches back as far as answers are believed: a message that comes later may be older.
        messages.iter().any(can_be).then(|| self.asked_at.unwrap_or(now - RECENTLY))
    }

    /// Takes an answer in: what was withdrawn, the oldest first, and whether that is all.
    pub(crate) fn learn(&mut self, (withdrawals, is_all): (Vec<Withdrawal>, bool), asked_at: DateTime<Utc>) {
        for withdrawal in withdrawals {
            match withdrawal {
                Withdrawal::Cancelled(id) => _ = self.cancelled.insert(id),
                Withdrawal::Stopped(conversation) => _ = self.stopped.insert(conversation, true),
                Withdrawal::Started(conversation) => _ = self.stopped.insert(conversation, false),
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

    /// Whether an alert is still wanted: `id` is of one that can be cancelled, `conversation` of one that `stop` ends.
    pub(crate) fn look_up(&self, id: Option<&str>, conversation: Option<&str>) -> Wanted {
        if id.is_some_and(|id| self.cancelled.contains(id)) {
            Wanted::Cancelled
        } else if conversation.and_then(|conversation| self.stopped.get(conversation)) == Some(&true) {
            Wanted::Stopped
        } else {
            Wanted::Yes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let mut withdrawn = Withdrawn::default();
        assert!(!withdrawn.is_complete());
        let all = vec![
            Withdrawal::Cancelled("a".into()),
            Withdrawal::Stopped("c".into()),
            Withdrawal::Stopped("d".into()),
            Withdrawal::Started("d".into()),
        ];
        withdrawn.learn((all, true), DateTime::UNIX_EPOCH);
        assert!(withdrawn.is_complete());
        for (id, conversation, expected) in [
            (Some("a"), Some("x"), Wanted::Cancelled),
            (None, Some("x"), Wanted::Yes),
            (Some("b"), Some("c"), Wanted::Stopped),
            (Some("b"), None, Wanted::Yes),
            (None, Some("d"), Wanted::Yes),
        ] {
            assert_eq!(withdrawn.look_up(id, conversation), expected, "{id:?} {conversation:?}");
        }
        withdrawn.learn((Vec::new(), false), DateTime::UNIX_EPOCH);
        assert!(!withdrawn.is_complete(), "each is looked up by itself");
        assert_eq!(withdrawn.look_up(Some("a"), None), Wanted::Cancelled);
    }
}
