//! The checks before an alert is sent. In this file, a *message* is a queue message, and a *run* is one
//! execution of the poller. For example, the checks find:
//!
//! - messages that an earlier run has finished
//! - messages with a broken seal (an HMAC that only the bot and the poller can make)
//! - alerts that have expired or are not due yet
//! - alerts that the sender has cancelled, or that the person does not want
//! - alerts that were tried too often

use std::time::Duration;

use chrono::{DateTime, Utc};
use envelope::{Envelope, SealState};
use platform::{Host, Level, value_of};
use serde_json::json;
use state::ledger::{AlertId, Record, Status};
use state::runs::RECENTLY;
use state::{ConversationKey, StateError};
use storage_table::TableError;

use super::decide::{Hidden, hide_for};
use super::delivery_path::DeliveryPath;
use super::series::SeriesDecision;
use super::{Attempts, Outcome, PoisonReason, Wanted, Withdrawn};
use crate::schedule::Leased;

/// How long a message is hidden if a call to a table or a queue has failed. Without the data of a table, for
/// example, the run cannot decide whether to send the alert.
const STATE_RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long a conversation is paused if the channel (e.g. Teams) reports that it cannot reach the
/// conversation. During the pause, the conversation gets no alerts. The pause ends earlier if a person writes
/// in the conversation, or if the bot is installed there.
pub(crate) const PAUSE: chrono::TimeDelta = chrono::TimeDelta::days(1);

impl<H: Host> Attempts<'_, H> {
    /// Makes the checks. Returns `None` if the run has to send the alert. Otherwise returns the outcome of
    /// the message, e.g. [`Outcome::Expired`].
    pub(super) async fn decide_without_sending(
        &self,
        leased: &mut Leased,
        withdrawn: &Withdrawn,
    ) -> Option<Outcome> {
        leased.envelope.once |= withdrawn.is_doubled(leased.envelope.id.as_str());
        let withdrawals_suffice = self.withdrawals_suffice(leased, withdrawn);
        let record = match self.record(leased, withdrawals_suffice).await {
            Ok(record) => record,
            Err(error) => return Some(self.state_unknown(leased, &error)),
        };
        if let Some(outcome) = record.as_ref().and_then(|record| outcome_if_ended(leased, record)) {
            return Some(outcome);
        }
        // If `replayed_at` is set, a run moved the alert to the poison queue, and an operator then put the
        // alert on the main queue again. Perhaps the run could not delete the old message from the main
        // queue. The main queue then holds two messages of the alert. The mark `once` says that there can be
        // two messages.
        leased.envelope.once |= record.as_ref().is_some_and(|record| record.replayed_at.is_some());
        if let Some(tried) = record.as_ref().and_then(|record| record.tried.as_deref()) {
            let counts = value_of(tried.as_bytes()).unwrap_or_default();
            leased.envelope.delivery.raise_to(&counts);
        }
        let Leased { message, envelope, seal, .. } = &*leased;
        if *seal == SealState::Broken {
            let reason =
                "seal: broken, because the message was changed or sealed with another key; check sealkey";
            return Some(Outcome::poison(PoisonReason::SealBroken, reason));
        }
        let now = self.host.now();
        if envelope.expires.is_some_and(|expires| expires <= now) {
            return Some(Outcome::Expired);
        }
        let wanted = match self.is_wanted(leased, withdrawn, withdrawals_suffice, record.as_ref()).await {
            Ok(wanted) => wanted,
            Err(error) => return Some(self.state_unknown(leased, &error)),
        };
        match wanted {
            Wanted::Cancelled => return Some(Outcome::Cancelled),
            Wanted::Forgotten => return Some(Outcome::Forgotten),
            Wanted::Stopped | Wanted::Quiet { .. } | Wanted::Yes => {}
        }
        let wait = envelope.not_before.and_then(|due| (due - now).to_std().ok()).unwrap_or_default();
        if !wait.is_zero() {
            return Some(self.wait_until_due(leased, wait, Outcome::NotDue));
        }
        if let Wanted::Quiet { until } = wanted {
            return Some(self.wait_for_quiet(leased, until));
        }
        match self.continue_series(leased).await {
            Ok(SeriesDecision::Send) => {}
            Ok(SeriesDecision::SeriesEnded) => return Some(Outcome::Cancelled),
            Ok(SeriesDecision::Missed) => return Some(Outcome::Missed),
            Err(error) => return Some(self.state_unknown(leased, &error)),
        }
        if wanted == Wanted::Stopped {
            return Some(Outcome::PersonStopped);
        }
        if !envelope.unless_answered.is_empty() {
            let ids = envelope.unless_answered.iter().filter_map(|id| AlertId::parse(id));
            match self.ledger.is_one_answered(&ids.collect::<Vec<_>>()).await {
                Ok(true) => return Some(Outcome::AnsweredBefore),
                Ok(false) => {}
                Err(error) => return Some(self.state_unknown(leased, &error)),
            }
        }
        if envelope.delivery.uncertain > 1 {
            let reason =
                "delivery: two attempts were uncertain; find out whether the person has received the alert";
            return Some(Outcome::poison(PoisonReason::PossiblyDelivered, reason));
        }
        let unaccounted = message.dequeue_count.saturating_sub(envelope.delivery.accounted);
        if unaccounted > self.limits.max_unaccounted {
            let reason = format!(
                "message: dequeued {unaccounted} times without a result; look for runs that were killed"
            );
            return Some(Outcome::poison(PoisonReason::Abandoned, reason));
        }
        None
    }

    /// Returns the outcome that hides a message until the person's quiet hours end.
    pub(super) fn wait_for_quiet(&self, leased: &Leased, until: DateTime<Utc>) -> Outcome {
        let wait = (until - self.host.now()).to_std().unwrap_or_default();
        self.wait_until_due(leased, wait, Outcome::Quiet)
    }

    /// Checks the quiet hours for a queue message that changes an earlier alert. The caller has found that no
    /// run has sent the earlier alert, so the poller sends the change as a new chat message. A new chat
    /// message has to wait for the end of the person's quiet hours. Returns `None` if the change need not
    /// wait.
    pub(super) async fn quiet_outcome_of_new_message(&self, leased: &Leased) -> Option<Outcome> {
        if !respects_quiet_hours(&leased.envelope) {
            return None;
        }
        match self.conversations.delivery_state(&ConversationKey::of(&leased.envelope.address)).await {
            Ok(state) => {
                let until = state.quiet.and_then(|quiet| quiet.end_after(self.host.now()));
                until.map(|until| self.wait_for_quiet(leased, until))
            }
            Err(error) => Some(self.state_unknown(leased, &error)),
        }
    }

    /// Returns the outcome that hides a message for the time `wait`: until the alert is due, or until the
    /// person's quiet hours end. If the queue would delete the message earlier, the outcome hides the message
    /// for a shorter time. If too little time is left, the outcome moves the message to the poison queue.
    fn wait_until_due(
        &self,
        leased: &Leased,
        wait: Duration,
        outcome: impl FnOnce(Duration) -> Outcome,
    ) -> Outcome {
        match hide_for(wait, leased.until_deletion(self.host)) {
            Some(pause) => outcome(pause),
            None => Outcome::poison(
                PoisonReason::OutOfTime,
                "message: the queue deletes it before the poller can send the alert; use a longer time to live",
            ),
        }
    }

    /// Reads the alert's record from the ledger (the table with a record for each alert) in three cases:
    ///
    /// - The message was dequeued before.
    /// - The mark `once` is set: the queue can hold two messages of the alert.
    /// - The bot wrote the message, and `withdrawals_suffice` is false: the withdrawals that the run has read
    ///   are not enough to decide about the alert (see [`Self::withdrawals_suffice`]). Only the record then
    ///   shows whether the sender has cancelled the alert, or whether a run has delivered the alert with
    ///   another message.
    ///
    /// In all other cases, this function returns `None` without a read, because the record could not change
    /// the outcome.
    async fn record(&self, leased: &Leased, withdrawals_suffice: bool) -> Result<Option<Record>, TableError> {
        let is_uncertain = self.is_ours(leased) && !withdrawals_suffice;
        if leased.message.dequeue_count <= 1 && !leased.envelope.once && !is_uncertain {
            return Ok(None);
        }
        self.ledger.read(&leased.record).await
    }

    /// Whether the message counts as the bot's message. If the bot seals its messages, a message without a
    /// valid seal comes from another program. If the bot does not seal its messages, every message counts as
    /// the bot's message.
    ///
    /// Another program's message can have the same id as an alert of the bot. If the sender cancels the bot's
    /// alert, the poller must not drop the other program's message. So callers check `is_ours` before they
    /// obey a cancellation.
    pub(super) fn is_ours(&self, leased: &Leased) -> bool {
        leased.seal == SealState::Valid || self.seal_key.is_none()
    }

    /// Returns the time at which the alert was accepted (`enqueuedAt`). Another program can write a wrong
    /// `enqueuedAt`. So for a message of another program, the result is never later than the time at which
    /// the queue received the message.
    pub(super) fn accepted_at(&self, leased: &Leased) -> DateTime<Utc> {
        match self.is_ours(leased) {
            true => leased.envelope.enqueued_at,
            false => leased.envelope.enqueued_at.min(leased.message.insertion_time),
        }
    }

    /// Whether the withdrawals that the run has read are enough to decide about the alert. A *withdrawal*
    /// says that the sender has cancelled an alert, or that a person has sent `stop`, has set quiet hours, or
    /// has asked to be forgotten.
    ///
    /// If the run has read all withdrawals of the last ten minutes, they are enough for an alert that was
    /// accepted in these ten minutes. An older `stop` does not matter, because the bot looks for a `stop`
    /// before it accepts an alert. But other programs do not look for a `stop`. So if another program's alert
    /// is `stoppable` (a `stop` withdraws it), the result is `false`: the run also has to read the address
    /// book (the table of conversations).
    fn withdrawals_suffice(&self, leased: &Leased, withdrawn: &Withdrawn) -> bool {
        let age = (self.host.now() - self.accepted_at(leased)).to_std().unwrap_or_default();
        age < RECENTLY && withdrawn.is_complete() && (self.is_ours(leased) || !leased.envelope.stoppable)
    }

    /// Returns whether the sender and the person still want the alert. The sender can cancel the alert, but
    /// only if the bot wrote the message ([`Self::is_ours`]). The person can send `stop`, set quiet hours, or
    /// ask to be forgotten. If `withdrawals_suffice` is true, this function looks at the withdrawals that the
    /// run has read. Otherwise, or if the person has changed the quiet hours, this function reads the address
    /// book (the table of conversations).
    async fn is_wanted(
        &self,
        leased: &Leased,
        withdrawn: &Withdrawn,
        withdrawals_suffice: bool,
        record: Option<&Record>,
    ) -> Result<Wanted, StateError> {
        let envelope = &leased.envelope;
        let is_cancellable = envelope.cancellable && self.is_ours(leased);
        if withdrawals_suffice && withdrawn.has_no_withdrawal() {
            return Ok(Wanted::Yes);
        }
        let conversation = ConversationKey::of(&envelope.address);
        if withdrawals_suffice {
            let id = Some(envelope.id.as_str()).filter(|_| is_cancellable);
            let accepted_at = self.accepted_at(leased);
            let wanted = withdrawn.look_up(id, conversation.as_str(), accepted_at, envelope.stoppable);
            if wanted != Wanted::Yes
                || !waits_for_quiet_hours(envelope)
                || !withdrawn.has_new_quiet_hours(conversation.as_str())
            {
                return Ok(wanted);
            }
        }
        if is_cancellable && record.is_some_and(|record| record.cancelled_at.is_some()) {
            return Ok(Wanted::Cancelled);
        }
        self.read_wanted(leased, &conversation).await
    }

    /// Reads in the address book whether the person of a conversation wants the alert now.
    pub(super) async fn read_wanted(
        &self,
        leased: &Leased,
        conversation: &ConversationKey,
    ) -> Result<Wanted, StateError> {
        let envelope = &leased.envelope;
        let standing = self.conversations.delivery_state(conversation).await?;
        Ok(if standing.forgotten_at.is_some_and(|at| self.accepted_at(leased) <= at) {
            Wanted::Forgotten
        } else if standing.stopped && envelope.stoppable {
            Wanted::Stopped
        } else {
            let quiet = standing.quiet.filter(|_| waits_for_quiet_hours(envelope));
            let until = quiet.and_then(|quiet| quiet.end_after(self.host.now()));
            until.map_or(Wanted::Yes, |until| Wanted::Quiet { until })
        })
    }

    /// Logs that a table or a queue has failed, and returns the outcome that hides the message. The run
    /// does not send the alert now, because the person could get the alert twice, or after a withdrawal.
    pub(super) fn state_unknown(&self, leased: &Leased, error: &dyn std::error::Error) -> Outcome {
        let reason = error.to_string();
        let fields =
            json!({"run": self.run, "envelope": leased.envelope.id.excerpt(), "reason": reason.as_str()});
        self.host.event(Level::Warn, "state.trouble", leased.traced(fields));
        let mut delivery = leased.envelope.delivery.clone();
        delivery.accounted = leased.message.dequeue_count;
        Outcome::Wait { why: Hidden::StateUnknown, after: STATE_RETRY_AFTER, delivery, reason }
    }

    /// Pauses a conversation, because the channel reported that it cannot reach the conversation. If the
    /// variable `delivery` is `directline`, this function does nothing, because the bot sends the alerts. The
    /// channel then reports to the bot, and the bot pauses the conversation.
    pub(super) async fn pause_conversation(&self, leased: &Leased) {
        if !matches!(self.delivery_path, DeliveryPath::Connector(_)) {
            return;
        }
        let address = leased.destination();
        let paused = self.conversations.pause(address, self.host.now() + PAUSE).await;
        if let Err(error) = paused {
            let fields = json!({
                "run": self.run, "envelope": leased.envelope.id.excerpt(), "reason": error.to_string(),
            });
            self.host.event(Level::Warn, "conversation.not-paused", leased.traced(fields));
        }
    }
}

/// Whether an alert waits for the end of the person's quiet hours. The result is `false` if the queue message
/// changes or deletes the chat message of an earlier alert. But if no run has sent the earlier alert, the
/// poller sends a change as a new chat message, and [`Attempts::quiet_outcome_of_new_message`] checks the
/// quiet hours.
fn waits_for_quiet_hours(envelope: &Envelope) -> bool {
    // If a chat message changes, the channel notifies no person. So a change need not wait.
    let is_change =
        envelope.keyed.as_ref().is_some_and(|keyed| keyed.edits.is_some() || keyed.takes_back.is_some());
    respects_quiet_hours(envelope) && !is_change
}

/// Whether a new chat message with this alert has to wait for the end of the person's quiet hours.
fn respects_quiet_hours(envelope: &Envelope) -> bool {
    envelope.stoppable && !envelope.is_important()
}

/// Returns the outcome of an alert that has already ended, according to its record in the ledger. Returns
/// `None` if the alert has not ended.
fn outcome_if_ended(leased: &Leased, record: &Record) -> Option<Outcome> {
    let is_copy = record.message.as_deref().is_some_and(|message| message != leased.id());
    match record.status {
        // A person has answered, so the alert was delivered, even if no run has recorded the delivery.
        _ if record.answered_at.is_some() => {
            Some(Outcome::AlreadyEnded((!is_copy).then_some(Status::Delivered)))
        }
        // The record names the queue message that a run moved to the poison queue. If `leased` is another
        // message, an operator has replayed the alert (put it on the main queue again). So the run sends the
        // alert.
        Status::Dead => {
            let reason = record.reason.as_deref().unwrap_or_default();
            let is_this = record.message.is_some() && !is_copy;
            is_this.then(|| Outcome::AlreadyPoisoned(PoisonReason::word_in(reason)))
        }
        status if is_copy && status.is_final() => Some(Outcome::AlreadyEnded(None)),
        Status::Delivered | Status::Dropped | Status::Replaced | Status::Withdrawn | Status::Answered => {
            Some(Outcome::AlreadyEnded(Some(record.status)))
        }
        Status::Cancelled => Some(Outcome::Cancelled),
        Status::Expired => Some(Outcome::Expired),
        Status::Stopped => Some(Outcome::PersonStopped),
        Status::Queued
        | Status::Waiting
        | Status::Failed
        | Status::Unconfirmed
        | Status::Paused
        | Status::Untrusted
        | Status::TooLarge => None,
    }
}
