//! The state of an alert as its sender sees it. Each state that is not final has a deadline. From the
//! deadline on, the state counts as final, even if no run has recorded a result.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::record::{NOT_INSTALLED, Record, Status};
use super::terms::{KEPT, KEY_TERM};

/// If the poller works, a run records a result within this time after an alert is due. The time is longer
/// than each wait of an alert:
///
/// - If the Connector host of the alert is down, the alert waits for at most a day. Then the poller moves the
///   alert to the poison queue.
/// - If a run pauses the poller, the pause is at most an hour long.
///
/// There is one exception: an alert can wait longer for an installation of the bot ([`Record::deadline`]).
pub const SETTLED_WITHIN: TimeDelta = TimeDelta::days(2);

/// If the sender cancels an alert, a run dequeues the alert's message and drops the alert within this time.
/// The time begins at the cancellation, or when the alert is due, whichever is later. The poller hides a
/// message for at most an hour after a failed try, so the time is long enough.
pub const DEQUEUED_WITHIN: TimeDelta = TimeDelta::hours(2);

/// The state of an alert as its sender sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The recorded status, or the status that follows from the results of the Puts.
    Status(Status),
    /// The sender has cancelled the alert, and no run has dropped it yet.
    Cancelling,
    /// The sender has cancelled the alert, and no run sends it any more. But no run has recorded that it
    /// dropped the alert, so a run may have sent the alert before the cancellation.
    CancelledUnseen,
    /// A killed run had the alert's message in hand, and the queue no longer holds the message. The killed
    /// run has probably delivered the alert, but could not record the delivery.
    DeliveredUnseen,
    /// No run has recorded a result by the deadline.
    Overdue,
    /// A status that a newer version of the poller recorded.
    Newer(String),
}

impl Shown {
    /// Whether this version knows a state with this word. The result is false for the word of a
    /// [`Shown::Newer`].
    pub fn is_word(word: &str) -> bool {
        Status::from_word(word).is_some()
            || [Self::Cancelling, Self::Overdue].iter().any(|it| it.as_str() == word)
    }

    /// The word for this state in HTTP responses.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Cancelling => "cancelling",
            Self::CancelledUnseen => Status::Cancelled.as_str(),
            Self::DeliveredUnseen => Status::Delivered.as_str(),
            Self::Overdue => "overdue",
            Self::Newer(word) => word,
        }
    }

    /// The reason of the state, as text for people; `None` if the state comes from a recorded status.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::CancelledUnseen => Some(
                "ledger: no run has recorded that it dropped the alert, so a run may have sent it before the \
                 cancellation; look at the conversation",
            ),
            Self::DeliveredUnseen => Some(
                "ledger: a run was killed before it could record the result; the run has probably delivered the alert; \
                 look at the conversation",
            ),
            Self::Overdue => Some(
                "ledger: no run has recorded a result in time; check whether the poller runs, and look at its log",
            ),
            Self::Status(_) | Self::Cancelling | Self::Newer(_) => None,
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Record {
    /// The state of the alert at a moment.
    pub fn shown(&self, now: DateTime<Utc>) -> Shown {
        let state = self.shown_in_time();
        if self.is_missing(now) && matches!(state, Shown::Status(_) | Shown::Cancelling) {
            return Shown::DeliveredUnseen;
        }
        match self.deadline() {
            Some(deadline) if now >= deadline => match state {
                Shown::Cancelling => Shown::CancelledUnseen,
                // The queue did not take the alert. The term of the idempotency key (24 hours) has ended, so
                // no repeated call puts the alert on the queue any more.
                Shown::Status(Status::Failed) => state,
                _ => Shown::Overdue,
            },
            _ => state,
        }
    }

    /// The moment from which the state no longer changes, unless a late run records a result; `None` if the
    /// state is final, or if a newer version recorded a status that this version does not know.
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        let deadline = match self.shown_in_time() {
            Shown::Cancelling => {
                later(self.due().max(self.cancelled_at.unwrap_or_default()), DEQUEUED_WITHIN)
            }
            // Until the term of the idempotency key ends, a repeated call can put the alert on the queue.
            Shown::Status(Status::Failed) => later(self.accepted_at.unwrap_or_default(), KEY_TERM),
            Shown::Status(status) if status.is_final() => return None,
            // An alert can wait for an installation until it expires, which can take months. After each try,
            // the run records the status `waiting` again. So the deadline counts from the last try
            // (`changed_at`).
            Shown::Status(Status::Waiting) if self.waits_for_installation() => {
                later(self.due().max(self.changed_at.unwrap_or_default()), SETTLED_WITHIN)
            }
            Shown::Status(_) => later(self.due(), SETTLED_WITHIN),
            // For `Newer`, only the newer version knows whether the status is final. The other three states
            // do not occur here, because `shown_in_time` never returns them.
            Shown::Newer(_) | Shown::CancelledUnseen | Shown::DeliveredUnseen | Shown::Overdue => {
                return None;
            }
        };
        Some(deadline)
    }

    /// Whether the alert's queue message is missing for good. A killed run had the message in hand. If the
    /// killed run had hidden the message, a run would have dequeued it by now. So the killed run had
    /// delivered the alert and deleted the message.
    pub fn is_missing(&self, now: DateTime<Utc>) -> bool {
        let was_met_since = self.changed_at > self.missed_at;
        // If the alert was cancelled before a run found that the message was missing, perhaps the killed run
        // dropped the alert.
        let was_cancelled = self.cancelled_at.is_some() && self.cancelled_at <= self.missed_at;
        !was_cancelled
            && self.answered_at.is_none()
            && !self.status.is_final()
            && !was_met_since
            && self.missing_from.is_some_and(|from| from <= now)
    }

    /// Whether the alert stays in this state until its record is deleted, unless a late run records a result.
    pub fn is_settled(&self, now: DateTime<Utc>) -> bool {
        self.is_missing(now) || self.deadline().is_none_or(|deadline| now >= deadline)
    }

    /// Whether the alert waits until the bot is installed for the person or in the team.
    fn waits_for_installation(&self) -> bool {
        self.reason.as_deref().is_some_and(|reason| reason.starts_with(NOT_INSTALLED))
    }

    fn shown_in_time(&self) -> Shown {
        match &self.newer_status {
            Some(word) => Shown::Newer(word.clone()),
            None => match self.shown_status() {
                Status::Cancelled if self.status != Status::Cancelled => Shown::Cancelling,
                status => Shown::Status(status),
            },
        }
    }

    /// The time at which the alert was due, or at which it was replayed, whichever is later. An earlier
    /// version of the bot did not record the due time. For its alerts, the time is computed from `endsAt`.
    pub(super) fn due(&self) -> DateTime<Utc> {
        let accepted_at = self.accepted_at.unwrap_or_default();
        let due = self.due_at.or(self.ends_at.map(|ends_at| later(ends_at, -KEPT))).unwrap_or_default();
        due.max(accepted_at).max(self.replayed_at.unwrap_or_default())
    }
}

/// Adds a duration to a time. If the sum is too late for the type, returns the last time of the type.
pub(super) fn later(time: DateTime<Utc>, term: TimeDelta) -> DateTime<Utc> {
    time.checked_add_signed(term).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests;
