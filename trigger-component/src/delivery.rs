//! One message: from its lease to the queue action that ends it.

use std::cell::Cell;
use std::time::Duration;

use bot_framework::{TrustPolicy, Verdict};
use envelope::{BURIED, Delivery, SENT, SealKey, SealState, Unsealed};
use platform::{Host, Level};
use serde_json::json;
use storage_queue::QueueClient;

use crate::courier::Courier;
use crate::disposition::{Action, Hidden, Poison, Situation, Stop, decide, hide_for};
use crate::held::Held;
use crate::hold::Holds;
use crate::limits::Limits;
use crate::report::Count;

/// What working on a message needs. Shared by everything that a run does at once.
#[derive(Debug)]
pub(crate) struct Desk<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) run: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) queue: QueueClient<'a, H>,
    pub(crate) poison: QueueClient<'a, H>,
    pub(crate) holds: Holds,
    pub(crate) courier: Courier<'a, H>,
    pub(crate) trust: &'a TrustPolicy,
    pub(crate) seal_key: Option<&'a SealKey>,
    pub(crate) unsealed: Unsealed,
    /// Whether a Connector has taken something in this run, and with it the bot's token.
    pub(crate) has_delivered: Cell<bool>,
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
    /// It goes behind this one, which is to be hidden for that long, with this written into it.
    Wait(Duration, Delivery),
    /// Nothing more is sent in this run, because of that.
    StopRun(Stop, String),
}

impl Settled {
    pub(crate) fn go_on(count: Count) -> Self {
        Self { count, next: Next::GoOn }
    }
}

impl<H: Host> Desk<'_, H> {
    /// Works on one message until it is off the queue or in the poison queue, or it is known for how long it has to wait.
    pub(crate) async fn work(&self, held: &mut Held) -> Settled {
        self.recall(held).await;
        let held = &*held;
        let Held { message, envelope, seal, .. } = held;
        if let Some(settled) = self.finish_what_was_begun(held).await {
            return settled;
        }
        if let Some(settled) = self.refuse_or_put_off(held).await {
            return settled;
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
            until_forgotten: self.until_forgotten(message),
            token_is_good: self.has_delivered.get(),
            until_expired: envelope
                .expires
                .map(|expires| (expires - self.host.now()).to_std().unwrap_or_default()),
        };
        match decide(&verdict, &situation, self.limits, |max| self.host.up_to(max)) {
            Action::Delete => {
                self.has_delivered.set(true);
                let settled = self.delete_sent(held, Count::Delivered).await;
                self.log(Level::Info, "alert.delivered", held, &verdict);
                settled
            }
            Action::Drop => {
                let settled = self.delete_sent(held, Count::DroppedUncertain).await;
                self.log(Level::Warn, "alert.dropped", held, &verdict);
                settled
            }
            Action::Hide { after, delivery, why } => {
                self.log(Level::Warn, "alert.retried", held, &verdict);
                let count = match why {
                    Hidden::Throttled => Count::Throttled,
                    Hidden::Unavailable => Count::Retried,
                    Hidden::PossiblyDelivered => Count::PossiblyDelivered,
                };
                Settled { count, next: Next::Wait(after, delivery) }
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

    /// A message that was handed out before may have been dealt with by a run that was ended before the Delete; and the
    /// queue may hold one twice.
    async fn finish_what_was_begun(&self, held: &Held) -> Option<Settled> {
        let came_before = held.message.dequeue_count > 1;
        if (came_before || held.envelope.once) && SENT.has(self.host, &held.mark_name()).await {
            return Some(self.delete(held, Count::AlreadySent).await);
        }
        if came_before && BURIED.has(self.host, held.message.id.as_str()).await {
            self.leave_line(held).await;
            self.forget(held).await;
            return Some(Settled::go_on(self.delete_buried(&held.message, Count::AlreadyPoisoned).await));
        }
        None
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
            let Some(pause) = hide_for(wait, self.until_forgotten(message)) else {
                let reason = "the queue forgets it before it is due";
                return Some(self.poison(held, Poison::OutOfTime, reason, None).await);
            };
            self.leave_line(held).await;
            self.hide(held, pause, None).await;
            return Some(Settled::go_on(Count::NotDue));
        }
        if self.is_stopped(held).await {
            return Some(self.delete(held, Count::Stopped).await);
        }
        if envelope.delivery.uncertain > 1 {
            let reason = "nobody knows whether it was delivered, twice";
            return Some(self.poison(held, Poison::PossiblyDelivered, reason, None).await);
        }
        let unaccounted = message.dequeue_count.saturating_sub(envelope.delivery.accounted);
        if unaccounted > self.limits.max_unaccounted {
            let reason = format!("handed out {unaccounted} times without an outcome");
            return Some(self.poison(held, Poison::Abandoned, &reason, None).await);
        }
        None
    }

    fn log(&self, level: Level, event: &str, held: &Held, verdict: &Verdict) {
        let fields = json!({
            "run": self.run, "envelope": held.envelope.id.as_str(), "dequeueCount": held.message.dequeue_count,
            "shape": held.envelope.shape.as_str(), "status": verdict.status, "reason": verdict.reason,
        });
        self.host.event(level, event, fields);
    }
}
