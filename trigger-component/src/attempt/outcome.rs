//! The outcome of an attempt. A *message* is a queue message: an alert, or a *job* that passes a person's
//! answer or message on to a program.

use std::time::Duration;

use bot_framework::Verdict;
use envelope::Delivery;
use state::ledger::Status;

use super::decide::{Action, Hidden, PoisonReason, Stop};

/// The outcome of an attempt. `run/apply.rs` changes the queue and the ledger according to the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The Connector accepted the alert.
    Delivered(Verdict),
    /// The alert was perhaps delivered, and its sender wants no second try.
    Dropped(Verdict),
    /// The alert had ended before this attempt, or the message is a job that has nothing to do. The field is
    /// the alert's final status. The field is `None` in two cases:
    ///
    /// - The message is a job.
    /// - The queue held two messages of the alert. A run has ended the alert with the other message.
    AlreadySent(Option<Status>),
    /// The ledger shows that a copy of this message is in the poison queue. The field is the reason in one
    /// word, e.g. `permanent` (see [`PoisonReason::word_in`]).
    AlreadyPoisoned(&'static str),
    /// The alert has expired.
    Expired,
    /// The sender has cancelled the alert.
    Cancelled,
    /// The alert belongs to an escalation (alerts that the poller sends only if no person answers), and a
    /// person has answered an earlier alert.
    AnsweredBefore,
    /// The message was a job, and the job is done.
    Answered,
    /// A newer alert with the same `key`, or a later change of the alert, takes the place of the alert. The
    /// field is the reason for the ledger.
    Replaced(String),
    /// The person has sent the command `stop`, and wants no more alerts.
    Stopped,
    /// The person asked to be forgotten after the alert was accepted.
    Forgotten,
    /// The alert becomes due after this time.
    NotDue(Duration),
    /// The person's quiet hours end after this time.
    Quiet(Duration),
    /// A newer alert of the same series (a recurring alert) is due already, so this alert is not sent.
    Missed,
    /// The message has to be hidden for `after`. The younger messages of the same conversation wait, too.
    Wait { why: Hidden, after: Duration, delivery: Delivery, reason: String },
    /// The message has to be moved to the poison queue.
    Poison { why: PoisonReason, reason: String, status: Option<u16> },
    /// The alert was not sent, because the run lock has ended. Another run can hold the lock now.
    TooLate,
    /// The run has to stop, because it can send no alert at all.
    StopRun(Stop, String),
}

impl Outcome {
    pub(super) fn poison(why: PoisonReason, reason: impl Into<String>) -> Self {
        Self::Poison { why, reason: reason.into(), status: None }
    }
}

pub(super) fn outcome_of(action: Action, verdict: Verdict) -> Outcome {
    match action {
        Action::Delete => Outcome::Delivered(verdict),
        Action::Drop => Outcome::Dropped(verdict),
        Action::Hide { after, delivery, why } => {
            Outcome::Wait { why, after, delivery, reason: verdict.reason }
        }
        Action::Poison(why) => Outcome::Poison { why, reason: verdict.reason, status: verdict.status },
        Action::StopRun(stop) => Outcome::StopRun(stop, verdict.reason),
    }
}

/// The reason why an alert was not sent to a conversation that had to be found or created first.
#[derive(Debug)]
pub(super) enum NotReached {
    /// The bot is not installed for the person or in the team. The alert waits.
    NotInstalled(Verdict),
    /// The attempt has ended with this outcome.
    Ended(Outcome),
}

impl From<Outcome> for NotReached {
    fn from(outcome: Outcome) -> Self {
        Self::Ended(outcome)
    }
}
