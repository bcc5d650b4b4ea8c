//! The state of an alert as its sender sees it. The *sender* is the program from which the bot got the alert.
//! A *run* is one execution of the poller. If a state is not final, a run should record a result by a
//! deadline. If no run has recorded a result by the deadline, the sender sees a state that counts as final,
//! e.g. `overdue`.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::record::{NOT_INSTALLED, Record, Status};
use super::terms::{KEPT, KEY_TERM};

/// The longest time from the due time of an alert to a recorded result, if the poller works. This time is
/// longer than the waits of an alert:
///
/// - If the alert's Connector host is down, the alert waits for at most a day. Then a run moves the alert to
///   the poison queue.
/// - If a response of the Connector has `Retry-After`, the alert waits for at most an hour before its next
///   try.
///
/// Only an alert that waits for the installation of the bot can wait longer ([`Record::deadline`]).
pub const SETTLED_WITHIN: TimeDelta = TimeDelta::days(2);

/// The longest time until a run dequeues the message of a cancelled alert, and drops the alert. The time
/// begins at the cancellation, or when the alert is due, whichever is later. Two hours are enough,
/// because the poller hides a message for at most an hour after a failed try.
pub const DEQUEUED_WITHIN: TimeDelta = TimeDelta::hours(2);

/// The state of an alert as its sender sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The status from [`Record::shown_status`].
    Status(Status),
    /// The sender has cancelled the alert, and no run has dropped the alert yet.
    Cancelling,
    /// The sender has cancelled the alert, and no run sends the alert any more. But no run has recorded a
    /// result by the deadline. So perhaps a run sent the alert before the cancellation.
    CancelledUnseen,
    /// A run was killed after it had dequeued the alert's message, and the queue no longer holds the message.
    /// The killed run has probably delivered the alert, but could not record the delivery.
    DeliveredUnseen,
    /// No run has recorded a result by the deadline.
    Overdue,
    /// A status that a newer version of the poller recorded.
    Newer(String),
}

impl Shown {
    /// Whether this version of the program knows a state with this word.
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

    /// The reason of the state, as text for people; `None` if this function knows no reason. The record of
    /// the alert can have a reason, too ([`Record::reason`]).
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::CancelledUnseen => Some(
                "ledger: no run has recorded that it dropped the alert, so perhaps a run has sent it before the \
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
    /// The state of the alert at the moment `now`.
    pub fn shown(&self, now: DateTime<Utc>) -> Shown {
        let state = self.state_before_deadline();
        if self.is_delivered_unseen(now) && matches!(state, Shown::Status(_) | Shown::Cancelling) {
            return Shown::DeliveredUnseen;
        }
        match self.deadline() {
            Some(deadline) if now >= deadline => match state {
                Shown::Cancelling => Shown::CancelledUnseen,
                // The bot could not put the alert on the queue. If the sender repeats the API call with the
                // same idempotency key within 24 hours, the bot tries again. The 24 hours have passed, so the
                // state is final.
                Shown::Status(Status::Failed) => state,
                _ => Shown::Overdue,
            },
            _ => state,
        }
    }

    /// The moment from which the state counts as final. Usually, a run should have recorded a final status by
    /// then. If the status is [`Status::Failed`], no run gets the alert, and the moment is the end of the
    /// idempotency key's term. From then on, the state changes only if a run records a result late. `None` if
    /// the state is final, or if a newer version of the poller recorded a status that this version does not
    /// know.
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        let deadline = match self.state_before_deadline() {
            Shown::Cancelling => {
                later(self.due().max(self.cancelled_at.unwrap_or_default()), DEQUEUED_WITHIN)
            }
            // Until the term of the idempotency key ends, a repeated API call can put the alert on the queue.
            Shown::Status(Status::Failed) => later(self.accepted_at.unwrap_or_default(), KEY_TERM),
            Shown::Status(status) if status.is_final() => return None,
            // An alert can wait for an installation until the alert expires, e.g. for months. After each try,
            // the run records the status `waiting` again. So the deadline counts from the last try
            // (`changed_at`).
            Shown::Status(Status::Waiting) if self.waits_for_installation() => {
                later(self.due().max(self.changed_at.unwrap_or_default()), SETTLED_WITHIN)
            }
            Shown::Status(_) => later(self.due(), SETTLED_WITHIN),
            // For `Newer`, only the newer version knows whether the status is final. The other three states
            // do not occur here, because `state_before_deadline` never returns them.
            Shown::Newer(_) | Shown::CancelledUnseen | Shown::DeliveredUnseen | Shown::Overdue => {
                return None;
            }
        };
        Some(deadline)
    }

    /// Whether the alert counts as delivered because its queue message is missing: the next run after a
    /// killed run did not find the message ([`missed_at`](Self::missed_at)), and no run has dequeued the
    /// message by [`missing_from`](Self::missing_from). If the killed run had failed to deliver the alert,
    /// the killed run would have hidden the message until the next try, and a run would have dequeued the
    /// message by then. So the killed run has probably delivered the alert.
    pub fn is_delivered_unseen(&self, now: DateTime<Utc>) -> bool {
        let was_dequeued_since = self.changed_at > self.missed_at;
        // If the alert was cancelled before a run found that the message was missing, perhaps the killed run
        // dropped the alert. So the alert does not count as delivered.
        let was_cancelled = self.cancelled_at.is_some() && self.cancelled_at <= self.missed_at;
        !was_cancelled
            && self.answered_at.is_none()
            && !self.status.is_final()
            && !was_dequeued_since
            && self.missing_from.is_some_and(|from| from <= now)
    }

    /// Whether the state at the moment `now` counts as final. Such a state changes only if a run records
    /// a result after the deadline.
    pub fn is_settled(&self, now: DateTime<Utc>) -> bool {
        self.is_delivered_unseen(now) || self.deadline().is_none_or(|deadline| now >= deadline)
    }

    /// Whether the alert waits until the bot is installed for the person or in the team.
    fn waits_for_installation(&self) -> bool {
        self.reason.as_deref().is_some_and(|reason| reason.starts_with(NOT_INSTALLED))
    }

    fn state_before_deadline(&self) -> Shown {
        match &self.newer_status {
            Some(word) => Shown::Newer(word.clone()),
            None => match self.shown_status() {
                Status::Cancelled if self.status != Status::Cancelled => Shown::Cancelling,
                status => Shown::Status(status),
            },
        }
    }

    /// The latest of three times: when the bot accepted the alert, when the alert was due, and when an
    /// operator replayed the alert. If the record has no due time, this function computes the time from
    /// `endsAt`: the time is [`KEPT`] before `endsAt`.
    pub(super) fn due(&self) -> DateTime<Utc> {
        let accepted_at = self.accepted_at.unwrap_or_default();
        let due = self.due_at.or(self.ends_at.map(|ends_at| later(ends_at, -KEPT))).unwrap_or_default();
        due.max(accepted_at).max(self.replayed_at.unwrap_or_default())
    }
}

/// Adds a duration to a time. If the sum is too late for `DateTime`, returns the latest possible time.
pub(super) fn later(time: DateTime<Utc>, term: TimeDelta) -> DateTime<Utc> {
    time.checked_add_signed(term).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests;
