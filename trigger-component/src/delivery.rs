//! One message: from its lease to the queue action that ends it.

use std::time::Duration;

use bot_framework::{TrustPolicy, Verdict};
use envelope::{Delivery, Failure, SENT, SealKey, SealState, Unsealed};
use platform::{Host, Level};
use serde_json::json;
use storage_queue::{PutOptions, QueueClient, QueueError, QueueMessage, TimeToLive};

use crate::courier::Courier;
use crate::disposition::{Action, Hidden, Poison, Situation, Stop, decide, hide_for};
use crate::lanes::Held;
use crate::limits::{Limits, MAX_HIDE};
use crate::report::Count;

/// What working on a message needs. Shared by everything that a run does at once.
#[derive(Debug)]
pub(crate) struct Desk<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) run: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) queue: QueueClient<'a, H>,
    pub(crate) poison: QueueClient<'a, H>,
    pub(crate) courier: Courier<'a, H>,
    pub(crate) trust: &'a TrustPolicy,
    pub(crate) seal_key: Option<&'a SealKey>,
    pub(crate) unsealed: Unsealed,
}

/// What became of a message, and what that means for the conversation's next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) count: Count,
    pub(crate) next: Next,
}

/// What the conversation's next message does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// It has its turn.
    GoOn,
    /// It goes behind this one, which waits that long.
    Wait(Duration),
    /// Nothing more is sent in this run, because of that.
    StopRun(Stop, String),
}

impl Settled {
    fn go_on(count: Count) -> Self {
        Self { count, next: Next::GoOn }
    }
}

impl<H: Host> Desk<'_, H> {
    /// Works on one message until it is off the queue, hidden, or in the poison queue.
    pub(crate) async fn work(&self, held: &Held) -> Settled {
        let Held { message, envelope, seal, .. } = held;
        if let Some(settled) = self.refuse_or_put_off(held).await {
            return settled;
        }
        // Only a message that was handed out before can have been sent before, unless the queue may hold it twice.
        if (message.dequeue_count > 1 || envelope.once) && SENT.has(self.host, &held.mark_name()).await {
            return self.delete(held, Count::AlreadySent).await;
        }
        // Checked at capture, and again here: the queue is a hop that others can write to.
        let service_url = match self.trust.check(&envelope.address.service_url) {
            Ok(service_url) => service_url,
            Err(reason) => return self.poison(held, Poison::UntrustedHost, &reason.to_string(), None).await,
        };
        if *seal == SealState::Missing && self.unsealed == Unsealed::Refuse {
            return self.poison(held, Poison::Unsealed, "it has no seal, and unsealed=refuse", None).await;
        }
        let verdict = self.courier.deliver(held, &service_url, self.trust).await;
        let situation = Situation {
            delivery: &envelope.delivery,
            on_uncertain: envelope.on_uncertain,
            dequeue_count: message.dequeue_count,
            until_expiry: self.until_expiry(message),
        };
        match decide(&verdict, &situation, self.limits, |max| self.host.up_to(max)) {
            Action::Delete => {
                // A store that fails makes a double possible if this run is killed now; it stops nothing.
                _ = SENT.set(self.host, &held.mark_name()).await;
                self.log(Level::Info, "alert.delivered", held, &verdict);
                self.delete(held, Count::Delivered).await
            }
            Action::Drop => {
                self.log(Level::Warn, "alert.dropped", held, &verdict);
                self.delete(held, Count::DroppedUncertain).await
            }
            Action::Hide { after, delivery, why } => {
                self.log(Level::Warn, "alert.retried", held, &verdict);
                let count = match why {
                    Hidden::Throttled => Count::Throttled,
                    Hidden::Unavailable => Count::Retried,
                    Hidden::PossiblyDelivered => Count::PossiblyDelivered,
                };
                self.hide(held, after, Some(delivery)).await;
                Settled { count, next: Next::Wait(after) }
            }
            Action::Poison(why) => {
                if why == Poison::DestinationGone {
                    self.pause_conversation(held).await;
                }
                self.poison(held, why, &verdict.reason, verdict.status).await
            }
            Action::StopRun(stop) => {
                self.hide(held, Duration::ZERO, None).await;
                let count = match stop {
                    Stop::CredentialsRefused => Count::Credentials,
                    Stop::NoToken { .. } => Count::NoToken,
                };
                Settled { count, next: Next::StopRun(stop, verdict.reason) }
            }
        }
    }

    /// What needs no Connector: a broken seal, an end that has passed, a time that has not come, a hopeless case.
    async fn refuse_or_put_off(&self, held: &Held) -> Option<Settled> {
        let Held { message, envelope, seal, .. } = held;
        if *seal == SealState::Broken {
            let reason = "its seal is broken: it was changed on the queue, or sealed with another key";
            return Some(self.poison(held, Poison::SealBroken, reason, None).await);
        }
        let now = self.host.now();
        if envelope.expires.is_some_and(|expires| expires <= now) {
            return Some(self.delete(held, Count::Expired).await);
        }
        if self.is_cancelled(held).await {
            return Some(self.delete(held, Count::Cancelled).await);
        }
        if let Some(wait) =
            envelope.not_before.and_then(|due| (due - now).to_std().ok()).filter(|wait| !wait.is_zero())
        {
            self.hide(held, hide_for(wait, self.until_expiry(message)), None).await;
            return Some(Settled::go_on(Count::NotDue));
        }
        if self.is_stopped(held).await {
            return Some(self.delete(held, Count::Stopped).await);
        }
        let unaccounted = message.dequeue_count.saturating_sub(envelope.delivery.accounted);
        if unaccounted > self.limits.max_unaccounted {
            let reason = format!("handed out {unaccounted} times without an outcome");
            return Some(self.poison(held, Poison::Abandoned, &reason, None).await);
        }
        None
    }

    /// Takes a second copy of an alert off the queue that this very run has delivered: a Put whose answer was lost is
    /// repeated, and may have stored the message twice.
    pub(crate) async fn delete_double(&self, held: &Held) -> Settled {
        self.delete(held, Count::AlreadySent).await
    }

    /// Leases a message for another term.
    pub(crate) async fn renew(&self, held: &mut Held) -> Result<(), QueueError> {
        let seconds = u32::try_from(self.limits.lease.as_secs()).unwrap_or(u32::MAX);
        let leased_at = self.host.monotonic();
        let receipt = self.queue.update(&held.message.id, &held.message.pop_receipt, seconds, None).await?;
        held.message.pop_receipt = receipt.pop_receipt;
        held.leased_at = leased_at;
        Ok(())
    }

    /// Until the queue forgets the message.
    fn until_expiry(&self, message: &QueueMessage) -> Duration {
        (message.expiration_time - self.host.now()).to_std().unwrap_or_default().min(MAX_HIDE * 2)
    }

    async fn delete(&self, held: &Held, count: Count) -> Settled {
        match self.queue.delete(&held.message.id, &held.message.pop_receipt).await {
            Ok(()) => {
                if count == Count::Cancelled {
                    self.settle_cancelled(held).await;
                }
                // The queue may hold it once more: then the mark has to tell.
                if matches!(count, Count::Delivered | Count::AlreadySent) && !held.envelope.once {
                    _ = SENT.clear(self.host, &held.mark_name()).await;
                }
            }
            // The mark stays: it tells whoever has the message now.
            Err(error) => self.log_queue_error("delete", held, &error),
        }
        Settled::go_on(count)
    }

    /// Hides a message, with `delivery` written into it. One that was only handed back keeps its text, unless its
    /// hand-outs have to be accounted for. An older bot's message becomes version 1 by being written: nowhere else is a
    /// place for the counts, and its id, which came from the queue, has to stay. It stays unsealed.
    pub(crate) async fn hide(&self, held: &Held, after: Duration, delivery: Option<Delivery>) {
        let Held { message, envelope, seal, .. } = held;
        let handed_back = || {
            let unaccounted = message.dequeue_count.saturating_sub(envelope.delivery.accounted);
            // The first two are within what the limit forgives; writing costs more than it tells.
            (unaccounted > 2)
                .then(|| Delivery { accounted: message.dequeue_count, ..envelope.delivery.clone() })
        };
        let text = delivery.or_else(handed_back).and_then(|delivery| {
            let key = match seal {
                SealState::Valid => self.seal_key,
                SealState::Missing => None,
                // What cannot be checked cannot be sealed again.
                SealState::Broken | SealState::Unchecked => return None,
            };
            let mut envelope = envelope.clone();
            envelope.delivery = delivery;
            // One that no longer fits keeps its old text: the DequeueCount then counts for it.
            envelope.encode(key).ok()
        });
        let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX);
        let updated = self.queue.update(&message.id, &message.pop_receipt, seconds, text.as_deref()).await;
        if let Err(error) = updated {
            // Its visibility lapses by itself, within the lease.
            self.log_queue_error("hide", held, &error);
        }
    }

    async fn poison(&self, held: &Held, why: Poison, reason: &str, status: Option<u16>) -> Settled {
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
        // With its reason it may no longer fit: then it goes as it is.
        let text = text.unwrap_or_else(|_| message.text.clone());
        self.bury(message, &text, why, reason, Some(envelope.id.as_str())).await
    }

    /// Puts a message that is no envelope into the poison queue, byte for byte.
    pub(crate) async fn poison_unreadable(&self, message: &QueueMessage, reason: &str) -> Settled {
        self.bury(message, &message.text, Poison::Unreadable, reason, None).await
    }

    /// Put to poison comes before Delete: what happens in between leaves two copies, never none.
    async fn bury(
        &self,
        message: &QueueMessage,
        text: &str,
        why: Poison,
        reason: &str,
        id: Option<&str>,
    ) -> Settled {
        let fields = json!({
            "run": self.run, "envelope": id, "message": message.id.as_str(), "outcome": why.as_str(), "reason": reason,
        });
        self.host.event(Level::Warn, "alert.poisoned", fields);
        let options = PutOptions { time_to_live: TimeToLive::Never, ..PutOptions::default() };
        if let Err(error) = self.poison.put_creating_queue_if_missing(text, options).await {
            let fields =
                json!({"run": self.run, "message": message.id.as_str(), "reason": error.to_string()});
            self.host.event(Level::Error, "poison.put.failed", fields);
            return Settled::go_on(Count::StorageTrouble);
        }
        if let Err(error) = self.queue.delete(&message.id, &message.pop_receipt).await {
            let fields =
                json!({"run": self.run, "message": message.id.as_str(), "reason": error.to_string()});
            self.host.event(Level::Warn, "poison.copied-but-not-deleted", fields);
        }
        Settled::go_on(Count::Poisoned(why))
    }

    fn log(&self, level: Level, event: &str, held: &Held, verdict: &Verdict) {
        let fields = json!({
            "run": self.run, "envelope": held.envelope.id.as_str(), "dequeueCount": held.message.dequeue_count,
            "shape": held.envelope.shape.as_str(), "status": verdict.status, "reason": verdict.reason,
        });
        self.host.event(level, event, fields);
    }

    fn log_queue_error(&self, what: &str, held: &Held, error: &QueueError) {
        let fields = json!({
            "run": self.run, "envelope": held.envelope.id.as_str(), "call": what, "reason": error.to_string(),
        });
        self.host.event(Level::Warn, "queue.trouble", fields);
    }
}
