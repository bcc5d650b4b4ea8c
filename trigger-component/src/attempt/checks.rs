//! What is known of a message before it is sent: what an earlier run did about it, a broken seal, an end that has passed, that
//! nobody wants it any more, a time that has not come, a hopeless case.

use std::time::Duration;

use chrono::{DateTime, Utc};
use envelope::SealState;
use platform::{Host, Level};
use serde_json::{Value, json};
use state::ledger::{Record, Status};
use state::runs::RECENTLY;
use state::{ConversationKey, StateError};
use storage_table::TableError;

use super::courier::Courier;
use super::decide::{Hidden, hide_for};
use super::{Attempts, Outcome, Poison, Wanted, Withdrawn};
use crate::schedule::Leased;

/// A message of which nobody knows whether it may be sent waits for that long.
const STATE_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A conversation in which nobody is gets no alerts for that long, unless somebody writes.
const PAUSE: chrono::TimeDelta = chrono::TimeDelta::days(1);

impl<H: Host> Attempts<'_, H> {
    /// What is to become of the message, if that is known without sending it.
    pub(super) async fn what_is_known(&self, leased: &mut Leased, withdrawn: &Withdrawn) -> Option<Outcome> {
        leased.envelope.once |= withdrawn.is_doubled(leased.envelope.id.as_str());
        let is_told = self.is_told(leased, withdrawn);
        let record = match self.record(leased, is_told).await {
            Ok(record) => record,
            Err(error) => return Some(self.unknown(leased, &error)),
        };
        if let Some(outcome) = record.as_ref().and_then(|record| ended(leased, record)) {
            return Some(outcome);
        }
        if let Some(tried) = record.as_ref().and_then(|record| record.tried.as_deref()) {
            let tried: Value = serde_json::from_str(tried).unwrap_or_default();
            leased.envelope.delivery.raise_to(&tried);
        }
        let Leased { message, envelope, seal, .. } = &*leased;
        if *seal == SealState::Broken {
            let reason = "its seal is broken: it was changed on the queue, or sealed with another key";
            return Some(Outcome::given_up(Poison::SealBroken, reason));
        }
        let now = self.host.now();
        if envelope.expires.is_some_and(|expires| expires <= now) {
            return Some(Outcome::Expired);
        }
        let wanted = match self.is_wanted(leased, withdrawn, is_told, record.as_ref()).await {
            Ok(wanted) => wanted,
            Err(error) => return Some(self.unknown(leased, &error)),
        };
        match wanted {
            Wanted::Cancelled => return Some(Outcome::Cancelled),
            Wanted::Forgotten => return Some(Outcome::Forgotten),
            Wanted::Stopped | Wanted::Yes => {}
        }
        let wait = envelope.not_before.and_then(|due| (due - now).to_std().ok()).unwrap_or_default();
        if !wait.is_zero() {
            return Some(match hide_for(wait, leased.until_forgotten(self.host)) {
                Some(pause) => Outcome::NotDue(pause),
                None => Outcome::given_up(Poison::OutOfTime, "the queue forgets it before it is due"),
            });
        }
        if wanted == Wanted::Stopped {
            return Some(Outcome::Stopped);
        }
        if envelope.delivery.uncertain > 1 {
            let reason = "nobody knows whether it was delivered, twice";
            return Some(Outcome::given_up(Poison::PossiblyDelivered, reason));
        }
        let unaccounted = message.dequeue_count.saturating_sub(envelope.delivery.accounted);
        if unaccounted > self.limits.max_unaccounted {
            let reason = format!("handed out {unaccounted} times without an outcome");
            return Some(Outcome::given_up(Poison::Abandoned, reason));
        }
        None
    }

    /// The alert's record, where it can tell something: of a message that was handed out before, or that the queue may hold
    /// twice, or that may have been cancelled before the run began to ask. Of others nobody reads it.
    async fn record(&self, leased: &Leased, is_told: bool) -> Result<Option<Record>, TableError> {
        let may_be_cancelled = leased.envelope.cancellable && self.is_ours(leased) && !is_told;
        if leased.message.dequeue_count <= 1 && !leased.envelope.once && !may_be_cancelled {
            return Ok(None);
        }
        self.ledger.read(&leased.record).await
    }

    /// Whether the bot wrote it. Where alerts are sealed, one without a seal may have taken the id of another.
    fn is_ours(&self, leased: &Leased) -> bool {
        leased.seal == SealState::Valid || self.seal_key.is_none()
    }

    /// When it was accepted. The word of a message that may be somebody else's counts only if that is not after the queue got it.
    fn accepted_at(&self, leased: &Leased) -> DateTime<Utc> {
        match self.is_ours(leased) {
            true => leased.envelope.enqueued_at,
            false => leased.envelope.enqueued_at.min(leased.message.insertion_time),
        }
    }

    /// Whether the run has asked for everything that was withdrawn since the alert was accepted. Of others nobody knows whether
    /// the person had said `stop` when they wrote.
    fn is_told(&self, leased: &Leased, withdrawn: &Withdrawn) -> bool {
        let age = (self.host.now() - self.accepted_at(leased)).to_std().unwrap_or_default();
        age < RECENTLY && withdrawn.is_complete() && (self.is_ours(leased) || !leased.envelope.stoppable)
    }

    /// Whether its sender has cancelled it, or the person has said `stop`, or has asked to be forgotten. What was accepted a
    /// short time ago is among what the run has asked for; of the rest, it costs a read each. Where alerts are sealed, one
    /// without a seal cannot be cancelled.
    async fn is_wanted(
        &self,
        leased: &Leased,
        withdrawn: &Withdrawn,
        is_told: bool,
        record: Option<&Record>,
    ) -> Result<Wanted, StateError> {
        let envelope = &leased.envelope;
        let is_cancellable = envelope.cancellable && self.is_ours(leased);
        let accepted_at = self.accepted_at(leased);
        if is_told && withdrawn.is_empty() {
            return Ok(Wanted::Yes);
        }
        let conversation = ConversationKey::of(&envelope.address);
        if is_told {
            let id = Some(envelope.id.as_str()).filter(|_| is_cancellable);
            return Ok(withdrawn.look_up(id, conversation.as_str(), accepted_at, envelope.stoppable));
        }
        if is_cancellable && record.is_some_and(|record| record.cancelled_at.is_some()) {
            return Ok(Wanted::Cancelled);
        }
        let standing = self.conversations.standing(&conversation).await?;
        Ok(if standing.forgotten_at.is_some_and(|at| accepted_at <= at) {
            Wanted::Forgotten
        } else if standing.stopped && envelope.stoppable {
            Wanted::Stopped
        } else {
            Wanted::Yes
        })
    }

    /// To send it might show it twice, or to somebody who wants no more.
    fn unknown(&self, leased: &Leased, error: &dyn std::error::Error) -> Outcome {
        let reason = error.to_string();
        let fields =
            json!({"run": self.run, "envelope": leased.envelope.id.excerpt(), "reason": reason.as_str()});
        self.host.event(Level::Warn, "state.trouble", fields);
        let mut delivery = leased.envelope.delivery.clone();
        delivery.accounted = leased.message.dequeue_count;
        Outcome::Wait { why: Hidden::StateUnknown, after: STATE_AGAIN_AFTER, delivery, reason }
    }

    /// The channel says that nobody is there. Over Direct Line it says so to the bot.
    pub(super) async fn pause_conversation(&self, leased: &Leased) {
        if !matches!(self.courier, Courier::Connector(_)) {
            return;
        }
        let address = &leased.envelope.address;
        let paused = self.conversations.pause(address, self.host.now() + PAUSE).await;
        if let Err(error) = paused {
            let fields = json!({
                "run": self.run, "envelope": leased.envelope.id.excerpt(), "reason": error.to_string(),
            });
            self.host.event(Level::Warn, "conversation.not-paused", fields);
        }
    }
}

/// What the ledger says became of it before.
fn ended(leased: &Leased, record: &Record) -> Option<Outcome> {
    match record.status {
        Status::Delivered | Status::Dropped => Some(Outcome::AlreadySent),
        // Somebody may have put the alert back from the poison queue: that is another message.
        Status::Dead => (record.message.as_deref() == Some(leased.id())).then_some(Outcome::AlreadyPoisoned),
        Status::Cancelled => Some(Outcome::Cancelled),
        Status::Expired => Some(Outcome::Expired),
        Status::Stopped => Some(Outcome::Stopped),
        Status::Queued
        | Status::Waiting
        | Status::Failed
        | Status::Unconfirmed
        | Status::Paused
        | Status::Untrusted
        | Status::TooLarge => None,
    }
}
