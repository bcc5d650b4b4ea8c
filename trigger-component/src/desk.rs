//! What a run does to a message on the queue: off it, hidden, handed back, renewed, or over to the poison queue.

use std::cell::Cell;
use std::time::Duration;

use envelope::{BURIED, Delivery, Failure, SENT, SealState};
use platform::{Host, Level, Marks};
use serde_json::json;
use storage_queue::{PutOptions, QueueError, QueueMessage, TimeToLive};

use crate::delivery::{Desk, Next, Settled};
use crate::disposition::{Poison, hide_for};
use crate::held::Held;
use crate::hold::Change;
use crate::limits::{MAX_HIDE, POISON_AGAIN_AFTER};
use crate::report::Count;

impl<H: Host> Desk<'_, H> {
    /// Takes a second copy of an alert off the queue that this very run has delivered: a Put whose answer was lost is
    /// repeated, and may have stored the message twice.
    pub(crate) async fn delete_double(&self, held: &Held) -> Settled {
        self.leave_line(held).await;
        if let Err(error) = self.queue.delete(&held.message.id, &held.message.pop_receipt).await {
            self.log_queue_error("delete", held, &error);
        }
        // The mark stays: the first copy may still stand there.
        Settled::go_on(Count::AlreadySent)
    }

    /// Leases a message for another term.
    pub(crate) async fn renew(&self, held: &mut Held) -> Result<(), QueueError> {
        let seconds = self.limits.lease_seconds();
        let leased_at = self.host.monotonic();
        let receipt = self.queue.update(&held.message.id, &held.message.pop_receipt, seconds, None).await?;
        held.message.pop_receipt = receipt.pop_receipt;
        held.leased_at = leased_at;
        Ok(())
    }

    /// Until the queue forgets the message.
    pub(crate) fn until_forgotten(&self, message: &QueueMessage) -> Duration {
        (message.expiration_time - self.host.now()).to_std().unwrap_or_default().min(MAX_HIDE * 2)
    }

    /// Takes a message off the queue that was not sent in this run, and its mark out of the store.
    pub(crate) async fn delete(&self, held: &Held, count: Count) -> Settled {
        self.leave_line(held).await;
        match self.queue.delete(&held.message.id, &held.message.pop_receipt).await {
            Ok(()) => {
                if count == Count::Cancelled {
                    self.settle_cancelled(held).await;
                }
                // The queue may hold it once more: then the mark has to tell.
                if count == Count::AlreadySent && !held.envelope.once {
                    self.unmark(SENT, &held.mark_name()).await;
                }
                self.forget(held).await;
            }
            // The mark stays: it tells the run that has the message now.
            Err(error) => self.log_queue_error("delete", held, &error),
        }
        Settled::go_on(count)
    }

    /// Takes a message off the queue that was just sent. Nothing comes before the Delete, because a run that is killed in
    /// between leaves a message that is sent again. If the Delete fails, the alert is marked as sent before the Delete is
    /// repeated. An alert that the queue may hold twice is marked in any case.
    pub(crate) async fn delete_sent(&self, held: &Held, count: Count) -> Settled {
        let name = held.mark_name();
        if held.envelope.once {
            self.mark(SENT, &name).await;
        }
        let is_marked = Cell::new(held.envelope.once);
        let mark = async || {
            if !is_marked.replace(true) {
                self.mark(SENT, &name).await;
            }
        };
        let QueueMessage { id, pop_receipt, .. } = &held.message;
        match self.queue.delete_noting_trouble(id, pop_receipt, mark).await {
            Ok(()) => {
                if is_marked.get() && !held.envelope.once {
                    self.unmark(SENT, &name).await;
                }
                self.forget(held).await;
            }
            // The mark stays: it tells the run that has the message now.
            Err(error) => self.log_queue_error("delete", held, &error),
        }
        self.leave_line(held).await;
        Settled::go_on(count)
    }

    /// Hides a message, with `delivery` written into it, or remembered where it cannot be. One that was only handed back
    /// keeps its text, unless its hand-outs have to be accounted for. Returns how long it is away, at the most.
    pub(crate) async fn hide(&self, held: &Held, after: Duration, delivery: Option<Delivery>) -> Duration {
        let Held { message, envelope, .. } = held;
        let handed_back = || {
            let unaccounted = message.dequeue_count.saturating_sub(envelope.delivery.accounted);
            // The first two are within what the limit forgives; writing costs more than it tells.
            (unaccounted > 2)
                .then(|| Delivery { accounted: message.dequeue_count, ..envelope.delivery.clone() })
        };
        let delivery = delivery.or_else(handed_back);
        let text = delivery.as_ref().and_then(|delivery| self.text_with(held, delivery));
        let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX);
        let hidden = self.queue.hide(&message.id, &message.pop_receipt, seconds, text.as_deref()).await;
        if let Some(delivery) = delivery.filter(|_| text.is_none() || hidden.is_err()) {
            self.remember(held, delivery).await;
        }
        match hidden {
            Ok(_) => after,
            Err(error) => {
                self.log_queue_error("hide", held, &error);
                // Hidden all the same, if only the answer was lost. Else it comes back by itself when the lease ends, or
                // somebody else has it, for a lease of theirs.
                let lease = match error {
                    QueueError::LeaseLost => self.limits.lease,
                    _ => (held.leased_at + self.limits.lease).saturating_sub(self.host.monotonic()),
                };
                after.max(lease)
            }
        }
    }

    /// The message's text with what was tried written into it; `None` if it has to keep its text.
    fn text_with(&self, held: &Held, delivery: &Delivery) -> Option<String> {
        let Held { envelope, seal, .. } = held;
        // An older bot's message stays as that bot's tools can read it.
        if envelope.shape.is_legacy() {
            return None;
        }
        let key = match seal {
            SealState::Valid => self.seal_key,
            SealState::Missing => None,
            // What cannot be checked cannot be sealed again.
            SealState::Broken | SealState::Unchecked => return None,
        };
        let mut envelope = envelope.clone();
        envelope.delivery = delivery.clone();
        // It may no longer fit.
        envelope.encode(key).ok()
    }

    /// Gives a message up: to the poison queue, with its reason.
    pub(crate) async fn poison(
        &self,
        held: &Held,
        why: Poison,
        reason: &str,
        status: Option<u16>,
    ) -> Settled {
        let Held { message, envelope, seal, .. } = held;
        let failure = Failure {
            outcome: why.as_str(),
            reason: reason.to_owned(),
            status,
            at: self.host.now(),
            attempts: message.dequeue_count,
        };
        // Only what was ours stays sealed: a seal of ours on another's message would vouch for it.
        let text = match seal {
            // An older bot's message goes as it came, so that the older bot's tools can read it there.
            _ if envelope.shape.is_legacy() => Ok(message.text.clone()),
            SealState::Valid => envelope.encode_failed(self.seal_key, &failure),
            SealState::Missing | SealState::Unchecked => envelope.encode_failed(None, &failure),
            SealState::Broken => Ok(message.text.clone()),
        };
        self.leave_line(held).await;
        // With its reason it may no longer fit: then it goes as it is.
        let text = text.unwrap_or_else(|_| message.text.clone());
        let count = self.bury(message, &text, why, reason, Some(envelope.id.as_str())).await;
        if count != Count::StorageTrouble {
            self.forget(held).await;
            return Settled::go_on(count);
        }
        // It comes again, and may be delivered then: what is younger waits for it.
        let mut delivery = Delivery { accounted: message.dequeue_count, ..envelope.delivery.clone() };
        if why == Poison::PossiblyDelivered {
            // It must not be sent once more only because it cannot be buried yet.
            delivery.uncertain = delivery.uncertain.saturating_add(1);
        }
        let next = hide_for(POISON_AGAIN_AFTER, self.until_forgotten(message))
            .map_or(Next::GoOn, |after| Next::Wait(after, delivery));
        Settled { count, next }
    }

    /// Puts a message that is no envelope into the poison queue, byte for byte.
    pub(crate) async fn poison_unreadable(&self, message: &QueueMessage, reason: &str) -> Count {
        if message.dequeue_count > 1 && BURIED.has(self.host, message.id.as_str()).await {
            return self.delete_buried(message, Count::AlreadyPoisoned).await;
        }
        self.bury(message, &message.text, Poison::Unreadable, reason, None).await
    }

    /// Put to poison comes before Delete: what happens in between leaves two copies, never none. The mark keeps them at
    /// two.
    async fn bury(
        &self,
        message: &QueueMessage,
        text: &str,
        why: Poison,
        reason: &str,
        id: Option<&str>,
    ) -> Count {
        let fields = json!({
            "run": self.run, "envelope": id, "message": message.id.as_str(), "outcome": why.as_str(), "reason": reason,
        });
        self.host.event(Level::Warn, "alert.poisoned", fields);
        let options = PutOptions { time_to_live: TimeToLive::Never, ..PutOptions::default() };
        if let Err(error) = self.poison.put_creating_queue_if_missing(text, options).await {
            let fields =
                json!({"run": self.run, "message": message.id.as_str(), "reason": error.to_string()});
            self.host.event(Level::Error, "poison.put.failed", fields);
            return Count::StorageTrouble;
        }
        self.mark(BURIED, message.id.as_str()).await;
        self.delete_buried(message, Count::Poisoned(why)).await
    }

    /// Takes a message off the queue that stands in the poison queue.
    pub(crate) async fn delete_buried(&self, message: &QueueMessage, count: Count) -> Count {
        match self.queue.delete(&message.id, &message.pop_receipt).await {
            Ok(()) => self.unmark(BURIED, message.id.as_str()).await,
            Err(error) => {
                let fields =
                    json!({"run": self.run, "message": message.id.as_str(), "reason": error.to_string()});
                self.host.event(Level::Warn, "poison.copied-but-not-deleted", fields);
            }
        }
        count
    }

    /// Tells that nobody has to wait for this message any more. Before the Delete: a run that is killed in between leaves
    /// nobody waiting for a message that never comes.
    pub(crate) async fn leave_line(&self, held: &Held) {
        if held.in_line {
            let settled = Change::Settled(vec![held.message.id.as_str().to_owned()]);
            self.holds.tell(self.host, &held.lane.name(), &settled).await;
        }
    }

    /// Marks a message that could not be deleted, or may stand on the queue twice. A store that fails makes a double possible if the Delete fails too, or if
    /// this run is killed now; it stops nothing.
    pub(crate) async fn mark(&self, family: Marks, name: &str) {
        if let Err(error) = family.set(self.host, name).await {
            let fields = json!({"run": self.run, "mark": family.prefix, "reason": error.to_string()});
            self.host.event(Level::Warn, "mark.failed", fields);
        }
    }

    /// Removes a mark. If that fails, the mark ends by itself.
    async fn unmark(&self, family: Marks, name: &str) {
        if let Err(error) = family.clear(self.host, name).await {
            let fields = json!({"run": self.run, "mark": family.prefix, "reason": error.to_string()});
            self.host.event(Level::Warn, "mark.not-cleared", fields);
        }
    }

    fn log_queue_error(&self, what: &str, held: &Held, error: &QueueError) {
        let fields = json!({
            "run": self.run, "envelope": held.envelope.id.as_str(), "call": what, "reason": error.to_string(),
        });
        self.host.event(Level::Warn, "queue.trouble", fields);
    }
}
