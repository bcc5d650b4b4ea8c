//! Hidden for a while, or handed back.

use std::time::Duration;

use envelope::{Delivery, SealState};
use platform::Host;
use state::ledger::{Status, Transition};
use storage_queue::QueueError;

use super::Queues;
use crate::schedule::Leased;

impl<H: Host> Queues<'_, H> {
    /// Hides a message, with `delivery` written into it, or into the ledger where that cannot be. One that was only handed
    /// back keeps its text, unless its hand-outs have to be accounted for. Returns how long it is away, at the most.
    pub(crate) async fn hide(
        &self,
        leased: &Leased,
        after: Duration,
        delivery: Option<Delivery>,
    ) -> Duration {
        let Leased { message, envelope, .. } = leased;
        let accounted_only = || {
            let unaccounted = message.dequeue_count.saturating_sub(envelope.delivery.accounted);
            // The first two are within what the limit forgives; writing costs more than it tells.
            (unaccounted > 2)
                .then(|| Delivery { accounted: message.dequeue_count, ..envelope.delivery.clone() })
        };
        let delivery = delivery.or_else(accounted_only);
        let text = delivery.as_ref().and_then(|delivery| self.text_with(leased, delivery));
        let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX);
        let hidden = self.main.hide(&message.id, &message.pop_receipt, seconds, text.as_deref()).await;
        if let Some(delivery) = delivery.filter(|_| text.is_none() || hidden.is_err()) {
            // If that fails too, the queue's DequeueCount ends it.
            let tried = Some(delivery.to_json().to_string());
            let waiting = Transition { tried, ..Transition::to(leased.record.clone(), Status::Waiting) };
            self.record_transition(leased, &waiting).await;
        }
        match hidden {
            Ok(_) => after,
            Err(error) => {
                self.log_trouble("hide", leased, &error);
                // Hidden all the same, if only the answer was lost. Else it comes back by itself when the lease ends, or
                // somebody else has it, for a lease of theirs.
                let lease = match error {
                    QueueError::LeaseLost => self.limits.lease,
                    _ => (leased.leased_at + self.limits.lease).saturating_sub(self.host.monotonic()),
                };
                after.max(lease)
            }
        }
    }

    /// The message's text with what was tried written into it; `None` if it has to keep its text.
    fn text_with(&self, leased: &Leased, delivery: &Delivery) -> Option<String> {
        let Leased { envelope, seal, .. } = leased;
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
}
