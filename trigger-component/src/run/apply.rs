//! Carries out the outcome of an attempt to deliver an alert. For this, the run changes the message on the
//! queue, the *line* of the conversation, and the alert's record in the ledger. A line is the waiting line of
//! a conversation: the list of its hidden messages. The *ledger* is the table with a record for each alert.

use std::time::Duration;

use bot_framework::Verdict;
use envelope::Delivery;
use futures_util::future::join3;
use platform::{Host, Level};
use serde_json::json;
use state::ConversationKey;
use state::ledger::{NOT_INSTALLED, Status, Transition};

use super::context::RunContext;
use super::figures::Figure;
use super::report::Count;
use crate::attempt::{Hidden, Outcome, PoisonReason, Stop, hide_for, thread_to_record};
use crate::limits::POISON_RETRY_AFTER;
use crate::queue::{HasLeft, Poisoned};
use crate::runs::write_line;
use crate::schedule::{Leased, Line};

/// The reason in the record of a delivered alert, if an earlier attempt had perhaps delivered the alert, too.
const PERHAPS_SENT_TWICE: &str =
    "delivery: an earlier attempt got no response, so the person may have the alert twice";

/// The result of [`RunContext::apply`]. From this result, the loop of the run knows how the conversation goes
/// on.
#[derive(Debug)]
pub(crate) enum Applied {
    /// The run has finished its work on the message, so the next message of the conversation can start.
    Ended(Ended),
    /// The message stays on the queue. It is hidden for a pause, or it is still *leased* (hidden since the
    /// run dequeued it). The next message of the conversation can start.
    Done { count: Count, transition: Option<Transition> },
    /// The message is still leased. The caller has to hide this message for `after`. The caller also has to
    /// hide the younger messages of the conversation, so that they become visible later than this message.
    Wait { count: Count, after: Duration, delivery: Delivery, transition: Option<Transition> },
    /// The run did not send the alert, because it perhaps no longer holds the run lock. The message returns
    /// to the front of its *lane* (the messages that the run has dequeued for one conversation).
    NotSent,
    /// The run has to stop, and to make the message visible again.
    StopRun { count: Count, stop: Stop, reason: String },
}

/// The result for a message that the run has deleted, or has tried to delete. Perhaps the run has put a copy
/// into the poison queue before.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) count: Count,
    /// The counter for this message in the figures (the counts of messages over all runs). The run increments
    /// the counter only if the message has left the queue.
    pub(crate) figure: Figure,
    pub(crate) left: HasLeft,
    /// The alert's final status, if this attempt ended the alert.
    pub(crate) end: Option<Transition>,
    /// Whether the ledger has recorded `end` already. If `false`, the run's next write to the ledger records
    /// `end`.
    pub(crate) is_recorded: bool,
}

impl Ended {
    /// Returns the result for a message that was moved to the poison queue; `None` if the move failed.
    pub(super) fn of_poisoned(poisoned: Poisoned, why: PoisonReason) -> Option<Self> {
        let Poisoned::Yes { end, is_recorded, left } = poisoned else { return None };
        let figure = Figure::Dead(why.as_str());
        Some(Self { count: Count::Poisoned(why), figure, left, end: Some(*end), is_recorded })
    }

    /// Returns the result for a message that was deleted without a new final status in the ledger. The alert
    /// had ended before, or the message held no alert.
    fn of_ended_before(count: Count, figure: Figure, left: HasLeft) -> Applied {
        Applied::Ended(Self { count, figure, left, end: None, is_recorded: false })
    }
}

impl<H: Host> RunContext<'_, H> {
    /// Carries out an outcome. `line_after` is the conversation's line without the message; `None` if the
    /// message is not in the line.
    pub(super) async fn apply(&self, leased: &Leased, outcome: Outcome, line_after: Option<Line>) -> Applied {
        let until = leased.kept_until();
        let conversation = leased.sent_to.as_ref().map(|to| ConversationKey::of(to).as_str().to_owned());
        let to = |status: Status| {
            let (conversation, thread) = (conversation.clone(), thread_to_record(leased));
            let message = status.is_final().then(|| leased.id().to_owned());
            Transition {
                until,
                conversation,
                thread,
                message,
                ..Transition::to(leased.record.clone(), status)
            }
        };
        match outcome {
            Outcome::Delivered(verdict) => {
                let (status, count) = match &leased.change {
                    Some(change) if change.takes_back => (Status::Withdrawn, Count::Withdrawn),
                    _ => (Status::Delivered, Count::Delivered),
                };
                let ledger_reason = leased.change.as_ref().and_then(|change| change.ledger_reason);
                let uncertain = leased.envelope.delivery.uncertain > 0;
                let reason = ledger_reason.or(uncertain.then_some(PERHAPS_SENT_TWICE)).map(str::to_owned);
                let activity_id = verdict.activity_id.clone();
                let end = Transition { activity_id, reason, uncertain, ..to(status) };
                // These three calls run at the same time, so that `self.complete` deletes the message as soon
                // as possible. If this run were killed before the Delete, the next run would send the alert
                // again.
                let (applied, (), ()) = join3(
                    self.complete(leased, end, count),
                    self.attempts.record_change(leased),
                    self.attempts.open_question(leased, &verdict),
                )
                .await;
                self.leave_line(leased, line_after).await;
                self.log(Level::Info, "alert.delivered", leased, &verdict);
                applied
            }
            Outcome::Dropped(verdict) => {
                let reason = Some(verdict.reason.clone());
                let end = Transition { uncertain: true, reason, ..to(Status::Dropped) };
                let applied = self.complete(leased, end, Count::DroppedUncertain).await;
                self.leave_line(leased, line_after).await;
                self.log(Level::Warn, "alert.dropped", leased, &verdict);
                applied
            }
            // Here and in most arms below, the run stores the line without this message before it deletes the
            // message. In the other order, a killed run could leave a line in which messages wait for a
            // deleted message.
            Outcome::AlreadyEnded(end) => {
                self.leave_line(leased, line_after).await;
                let figure = end.map_or(Figure::Copy, Figure::Ended);
                Ended::of_ended_before(Count::AlreadySent, figure, self.queues.delete(leased).await)
            }
            Outcome::JobDone => {
                self.leave_line(leased, line_after).await;
                let left = self.queues.delete(leased).await;
                let fields = json!({"run": self.run, "envelope": leased.envelope.id.excerpt()});
                self.host.event(Level::Info, "answer.passed-on", leased.traced(fields));
                Ended::of_ended_before(Count::Answered, Figure::Ended(Status::Answered), left)
            }
            Outcome::AnsweredBefore => {
                let reason = Some("a person has answered".into());
                self.end(leased, Transition { reason, ..to(Status::Cancelled) }, Count::Cancelled, line_after)
                    .await
            }
            Outcome::AlreadyPoisoned(word) => {
                self.leave_line(leased, line_after).await;
                let left = self.queues.delete_poisoned(&leased.message).await;
                Ended::of_ended_before(Count::AlreadyPoisoned, Figure::Dead(word), left)
            }
            Outcome::Expired => self.end(leased, to(Status::Expired), Count::Expired, line_after).await,
            Outcome::Cancelled => self.end(leased, to(Status::Cancelled), Count::Cancelled, line_after).await,
            Outcome::Replaced(reason) => {
                let uncertain = leased.envelope.delivery.uncertain > 0;
                let end = Transition { reason: Some(reason), uncertain, ..to(Status::Replaced) };
                self.end(leased, end, Count::Replaced, line_after).await
            }
            Outcome::PersonStopped => self.end(leased, to(Status::Stopped), Count::Stopped, line_after).await,
            Outcome::Forgotten => {
                let reason = Some("the person asked to be forgotten".into());
                self.end(leased, Transition { reason, ..to(Status::Stopped) }, Count::Stopped, line_after)
                    .await
            }
            Outcome::Missed => {
                let reason = Some("series: a newer alert of the series was due already".into());
                let end = Transition { reason, ..to(Status::Expired) };
                self.end(leased, end, Count::Expired, line_after).await
            }
            Outcome::NotDue(pause) => self.wait_until_due(leased, pause, "not due", line_after).await,
            Outcome::Quiet(pause) => {
                let reason = "quiet: the person wants no alerts at this time";
                self.wait_until_due(leased, pause, reason, line_after).await
            }
            Outcome::Wait { why, after, delivery, reason } => {
                let count = match why {
                    Hidden::Throttled => Count::Throttled,
                    Hidden::Unavailable => Count::Retried,
                    Hidden::HostOut => Count::HostOut,
                    Hidden::NotInstalled => Count::NotInstalled,
                    Hidden::PossiblyDelivered => Count::PossiblyDelivered,
                    Hidden::StateUnknown => Count::StorageTrouble,
                };
                let reason = match why {
                    Hidden::NotInstalled => format!("{NOT_INSTALLED}: {reason}"),
                    _ => reason,
                };
                // If `answer` is set, the queue message holds no alert, but passes a person's answer or chat
                // message on to a program. Then the ledger has no alert's record for this queue message.
                let is_alert = leased.envelope.answer.is_none();
                let transition = is_alert.then(|| Transition { reason: Some(reason), ..to(Status::Waiting) });
                Applied::Wait { count, after, delivery, transition }
            }
            Outcome::Poison { why, reason, status } => {
                self.leave_line(leased, line_after).await;
                let poisoned = self.queues.move_to_poison_queue(leased, why, &reason, status).await;
                match Ended::of_poisoned(poisoned, why) {
                    Some(ended) => Applied::Ended(ended),
                    None => self.poison_put_failed(leased, why),
                }
            }
            Outcome::TooLate => Applied::NotSent,
            Outcome::StopRun(stop, reason) => {
                let count = match stop {
                    Stop::CredentialsRefused => Count::Credentials,
                    Stop::NoToken { .. } => Count::NoToken,
                };
                Applied::StopRun { count, stop, reason }
            }
        }
    }

    /// Returns the result for a message that could not be moved to the poison queue. Usually the run hides
    /// this message. The younger messages of the conversation wait for this message, because a later run
    /// perhaps delivers this message's alert. If the queue deletes this message too soon for a pause, this
    /// message stays leased, and no message waits for it.
    fn poison_put_failed(&self, leased: &Leased, why: PoisonReason) -> Applied {
        let accounted = leased.message.dequeue_count;
        let mut delivery = Delivery { accounted, ..leased.envelope.delivery.clone() };
        if why == PoisonReason::PossiblyDelivered {
            // The alert was perhaps delivered, so no run may send it again. But the message stays on the main
            // queue, because the Put to the poison queue failed. `uncertain` counts the attempts after which
            // the alert was perhaps delivered. If it is 2 or more, a run sends nothing, and only tries to
            // move the message to the poison queue. After this line, it is 2 or more, because it was at least
            // 1.
            delivery.uncertain = delivery.uncertain.saturating_add(1);
        }
        match hide_for(POISON_RETRY_AFTER, leased.until_deletion(self.host)) {
            Some(after) => Applied::Wait { count: Count::StorageTrouble, after, delivery, transition: None },
            None => Applied::Done { count: Count::StorageTrouble, transition: None },
        }
    }

    async fn end(&self, leased: &Leased, end: Transition, count: Count, line_after: Option<Line>) -> Applied {
        self.leave_line(leased, line_after).await;
        self.complete(leased, end, count).await
    }

    async fn wait_until_due(
        &self,
        leased: &Leased,
        pause: Duration,
        reason: &str,
        line_after: Option<Line>,
    ) -> Applied {
        self.leave_line(leased, line_after).await;
        self.queues.hide(leased, pause, None).await;
        let (reason, until) = (Some(reason.to_owned()), leased.kept_until());
        let waiting = Transition { reason, until, ..Transition::to(leased.record.clone(), Status::Waiting) };
        Applied::Done { count: Count::NotDue, transition: Some(waiting) }
    }

    async fn complete(&self, leased: &Leased, end: Transition, count: Count) -> Applied {
        let left = self.queues.complete(leased, &end).await;
        // `queues.complete` has perhaps recorded `end` already. But an earlier write of this run, with an
        // older status of the alert, can still be under way, and can overwrite `end`. So `is_recorded` is
        // `false`, and the run's next write to the ledger records `end` again.
        let figure = Figure::Ended(end.status);
        Applied::Ended(Ended { count, figure, left, end: Some(end), is_recorded: false })
    }

    async fn leave_line(&self, leased: &Leased, line_after: Option<Line>) {
        if let Some(line) = line_after {
            write_line(self.queues, self.runs, &leased.lane, &line).await;
        }
    }

    fn log(&self, level: Level, event: &str, leased: &Leased, verdict: &Verdict) {
        let fields = json!({
            "run": self.run, "envelope": leased.envelope.id.excerpt(),
            "dequeueCount": leased.message.dequeue_count, "shape": leased.envelope.shape.as_str(),
            "status": verdict.status, "reason": verdict.reason,
        });
        self.host.event(level, event, leased.traced(fields));
    }
}
