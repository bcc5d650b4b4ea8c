//! Hides a message for some time. If this time is zero, the message becomes visible again.

use std::time::Duration;

use envelope::{Delivery, SealState};
use platform::Host;
use state::ledger::{Status, Transition};
use storage_queue::QueueError;

use super::Queues;
use crate::schedule::Leased;

impl<H: Host> Queues<'_, H> {
    /// Hides a message for `after`, and stores `delivery` (the poller's counts of attempts) in the envelope.
    /// If the envelope cannot be changed, or if the call to the queue fails, this function stores `delivery`
    /// in the ledger (the table with a record for each alert).
    ///
    /// Returns the longest time for which the message can stay hidden. This time can be longer than `after`
    /// if the call to the queue failed.
    ///
    /// If no attempt failed, for example because the alert is not due, `delivery` is `None`. This dequeue
    /// then counts as *unaccounted* (a dequeue without a recorded result), and too many unaccounted dequeues
    /// would move the message to the poison queue. So if the message has more than two unaccounted dequeues,
    /// this function stores the message's DequeueCount as `accounted` in the envelope. From then on, these
    /// dequeues are no longer unaccounted.
    pub(crate) async fn hide(
        &self,
        leased: &Leased,
        after: Duration,
        delivery: Option<Delivery>,
    ) -> Duration {
        let Leased { message, envelope, .. } = leased;
        let accounted_only = || {
            let unaccounted = message.dequeue_count.saturating_sub(envelope.delivery.accounted);
            // The poller accepts five unaccounted dequeues (`max_unaccounted`). So with one or two of them,
            // the envelope can stay as it is.
            (unaccounted > 2)
                .then(|| Delivery { accounted: message.dequeue_count, ..envelope.delivery.clone() })
        };
        let delivery = delivery.or_else(accounted_only);
        let text = delivery.as_ref().and_then(|delivery| self.text_with(leased, delivery));
        let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX);
        let hidden = self.main.hide(&message.id, &message.pop_receipt, seconds, text.as_deref()).await;
        if let Some(delivery) = delivery.filter(|_| text.is_none() || hidden.is_err()) {
            // If this write fails, too, the queue's DequeueCount still limits how often the alert is tried.
            let tried = Some(delivery.to_json().to_string());
            // With `until`, the ledger keeps the record at least until the alert is due.
            let until = leased.kept_until();
            let waiting =
                Transition { tried, until, ..Transition::to(leased.record.clone(), Status::Waiting) };
            self.record_transition(leased, &waiting).await;
        }
        match hidden {
            Ok(_) => after,
            Err(error) => {
                self.log_trouble("hide", leased, &error);
                // The moment at which the message becomes visible depends on the failure:
                // - If the call hid the message, and only the response was lost: when `after` has passed.
                // - If the call had no effect: at the end of this run's lease.
                // - If another run has dequeued the message (`LeaseLost`): at the end of the other run's
                //   lease. The other lease ends at most `limits.lease` from now.
                let lease = match error {
                    QueueError::LeaseLost { .. } => self.limits.lease,
                    _ => (leased.leased_at + self.limits.lease).saturating_sub(self.host.monotonic()),
                };
                after.max(lease)
            }
        }
    }

    /// Returns the message's text (the envelope as JSON) with `delivery` in it; `None` if the text cannot be
    /// changed.
    fn text_with(&self, leased: &Leased, delivery: &Delivery) -> Option<String> {
        let Leased { envelope, seal, .. } = leased;
        // A message in the format of older bots keeps its text, so that the tools for this format can read
        // it.
        if envelope.shape.is_legacy() {
            return None;
        }
        let key = match seal {
            SealState::Valid => self.seal_key,
            SealState::Missing => None,
            // A seal proves that the bot wrote the envelope. Without a valid seal, the envelope perhaps comes
            // from another program, so the poller must not seal it.
            SealState::Broken | SealState::Unchecked => return None,
        };
        let mut envelope = envelope.clone();
        envelope.delivery = delivery.clone();
        // The text with `delivery` can be too long for a message. In this case, the text stays as it is.
        envelope.encode(key).ok()
    }
}
