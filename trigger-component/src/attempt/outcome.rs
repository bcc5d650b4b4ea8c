//! The outcomes of attempts. A *message* is a queue message: an alert, or a *job* that passes a person's
//! answer or chat message on to a program. A *run* is one execution of the poller.

use std::time::Duration;

use bot_framework::Verdict;
use envelope::Delivery;
use state::ledger::Status;

use super::decide::{Action, Hidden, PoisonReason, Stop};

/// The outcome of an attempt. `run/apply.rs` changes the queue and the ledger (the table of all alerts)
/// according to the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The call for the alert succeeded, or the conversation already shows the alert's content.
    Delivered(Verdict),
    /// The alert was perhaps delivered, and its sender has set `onUncertain: drop`.
    Dropped(Verdict),
    /// The alert had ended before this attempt, or the message is a job that has nothing to do. The value is
    /// the alert's final status. The value is `None` in two cases:
    ///
    /// - The message is a job.
    /// - The queue held two messages of the alert, and a run ended the alert with the other message. The
    ///   *figures* (the numbers of messages over all runs) count this message as a copy, so that they count
    ///   the final status of the alert only once.
    AlreadyEnded(Option<Status>),
    /// The ledger shows that a copy of this message is in the poison queue. The value is the reason in one
    /// word, e.g. `permanent` (see [`PoisonReason::word_in`]).
    AlreadyPoisoned(&'static str),
    /// The alert has expired.
    Expired,
    /// The sender has cancelled the alert.
    Cancelled,
    /// The alert belongs to an escalation, and a person has answered an earlier alert of the escalation. (The
    /// poller sends the later alerts of an escalation only if no person answers the earlier alerts.)
    AnsweredBefore,
    /// The message is a job, and the job is done.
    JobDone,
    /// The alert is no longer needed. For example, a newer alert with the same `key` takes the place of this
    /// alert. The value is the reason for the ledger.
    Replaced(String),
    /// The person has sent the command `stop`, and wants no more alerts.
    PersonStopped,
    /// The bot accepted the alert, and later the person asked to be forgotten.
    Forgotten,
    /// The alert becomes due after this time.
    NotDue(Duration),
    /// The person's quiet hours end after this time.
    Quiet(Duration),
    /// The alert belongs to a series (a recurring alert), and is not sent. The reason is that a newer alert
    /// of the same series is due already.
    Missed,
    /// The run has to hide the message for `after`. The younger messages of the same conversation wait, too.
    Wait { why: Hidden, after: Duration, delivery: Delivery, reason: String },
    /// The run has to move the message to the poison queue.
    Poison { why: PoisonReason, reason: String, status: Option<u16> },
    /// The alert was not sent, because the run lock has ended. No run sends anything without the run lock,
    /// and another run can hold the lock now.
    TooLate,
    /// The run has to stop, because the run can send no alert at all.
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

/// The result of an attempt to send an alert, if there is no verdict for `decide`.
#[derive(Debug)]
pub(super) enum NotReached {
    /// The bot is not installed for the person or in the team. The alert waits.
    NotInstalled(Verdict),
    /// The attempt has ended with this outcome, e.g. because the person wants no alerts.
    Ended(Outcome),
}

impl From<Outcome> for NotReached {
    fn from(outcome: Outcome) -> Self {
        Self::Ended(outcome)
    }
}
