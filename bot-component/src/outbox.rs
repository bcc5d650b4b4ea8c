//! Puts envelopes on the queue. An *envelope* holds an alert and the address of the alert's conversation. In
//! this file, a *message* is a queue message, and a *Put* is one call to Put Message.
//!
//! A *run* of the poller takes messages off the queue, and sends their alerts. The *kick* is the bot's call
//! to the poller after a Put. The kick starts a run at once.

use std::cell::Cell;
use std::time::Duration;

use chrono::{DateTime, Utc};
use envelope::{Envelope, SealKey};
use futures_util::StreamExt;
use futures_util::stream;
use platform::{Deadline, Host, Level, Traceparent};
use serde_json::json;
use state::runs::Withdrawal;
use storage_queue::{Put, PutOptions, QueueClient, QueueError, TimeToLive};

use crate::settings::BotSettings;

/// The longest time for which the queue hides a message.
const MAX_HIDE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The most Puts that the bot makes in parallel for one API call.
const PUTS_AT_ONCE: usize = 8;

/// The longest time for recording that the queue perhaps holds an alert twice.
const RECORD_WITHIN: Duration = Duration::from_secs(2);

/// A message for the queue.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) envelope: Envelope,
    /// The envelope, encoded.
    pub(crate) text: String,
    pub(crate) options: PutOptions,
}

impl Message {
    /// Encodes the envelope with the mark `once`. The mark says that the queue perhaps holds the message
    /// twice. So a run first reads in the ledger (the records of all alerts) whether the alert was already
    /// sent.
    ///
    /// Returns `None` if the envelope with the mark is too long. The envelope is never too long if
    /// [`Envelope::encode`] made `text`, because `encode` leaves room for the mark.
    pub(crate) fn marked(&self, seal_key: Option<&SealKey>) -> Option<String> {
        Envelope { once: true, ..self.envelope.clone() }.encode(seal_key).ok()
    }
}

/// Puts messages on the queue, and remembers whether the bot has to send a kick.
#[derive(Debug)]
pub(crate) struct Outbox<'a, H> {
    host: &'a H,
    settings: &'a BotSettings,
    client: QueueClient<'a, H>,
    due_count: Cell<usize>,
}

impl<'a, H: Host> Outbox<'a, H> {
    /// Opens the queue. The Puts end at `deadline` at the latest.
    pub(crate) fn new(host: &'a H, settings: &'a BotSettings, deadline: Deadline) -> Self {
        let queue = &settings.queue;
        let client = QueueClient::new(host, &queue.account, &queue.name, deadline);
        Self { host, settings, client, due_count: Cell::new(0) }
    }

    /// Whether the bot has to send the kick: this outbox has put a message on the queue, and the alert in the
    /// message is due now. The result is also true after a failed Put, if the queue has perhaps stored such a
    /// message.
    pub(crate) fn has_due(&self) -> bool {
        self.due_count.get() > 0
    }

    /// Puts one message on the queue. After a failed attempt, all further attempts put the message with the
    /// mark `once`, because the failed attempt has perhaps stored the message.
    pub(crate) async fn put(&self, message: &Message) -> Put {
        let Message { envelope, text, options } = message;
        let marked = || message.marked(self.settings.seal_key.as_ref()).filter(|_| !envelope.once);
        let put = self.client.put_marking_copies(text, *options, marked).await;
        if put.is_doubtful && !envelope.once {
            self.store_doubled_row(envelope).await;
        }
        if options.visibility_timeout_seconds == 0 && (put.result.is_ok() || put.is_doubtful) {
            self.due_count.set(self.due_count.get() + 1);
        }
        put
    }

    /// Deletes a message that this outbox has put on the queue. If a run has already dequeued the message,
    /// the delete fails. The run then delivers the message.
    pub(crate) async fn take_back(&self, put: &Put) {
        if let Some((id, receipt)) = &put.stored
            && self.client.delete(id, receipt).await.is_ok()
        {
            self.due_count.set(self.due_count.get().saturating_sub(1));
        }
    }

    /// Stores a row in a table that each run reads. The row says that the queue perhaps holds this alert
    /// twice. The mark `once` is not enough, as this example shows:
    ///
    /// 1. The first attempt gets no response, because the queue service is slow. The second attempt puts the
    ///    message with the mark on the queue.
    /// 2. A run sends the alert.
    /// 3. Now the queue service stores the message of the first attempt, which has no mark.
    /// 4. Without the row, a run would send the alert a second time. Because of the row, the run first reads
    ///    in the ledger whether the alert was sent.
    async fn store_doubled_row(&self, envelope: &Envelope) {
        let doubled = Withdrawal::Doubled(envelope.id.as_str().to_owned());
        let deadline = Deadline::after(self.host, RECORD_WITHIN);
        if let Err(error) = self.settings.withdrawals(self.host, deadline).record(&doubled).await {
            let fields = json!({"envelope": envelope.id.as_str(), "reason": error.to_string()});
            let fields = Traceparent::add_to(envelope.traceparent.as_ref(), fields);
            self.host.event(Level::Warn, "queue.copy.not-noted", fields);
        }
    }

    /// Calls `put` for each item. The bot makes several calls in parallel, in any order. `put` returns true
    /// after a success. After a failure, no further call begins, because each further call would probably
    /// fail too, and would take as long as the failed call.
    pub(crate) async fn put_all<T>(
        &self,
        items: impl Iterator<Item = T>,
        put: impl AsyncFn(&Self, T) -> bool,
    ) {
        let broken = &Cell::new(false);
        let put = &put;
        stream::iter(items)
            .for_each_concurrent(PUTS_AT_ONCE, |item| async move {
                if !broken.get() && !put(self, item).await {
                    broken.set(true);
                }
            })
            .await;
    }
}

/// Logs a failed Put. If `is_doubtful` is true, the queue has perhaps stored the message, for example because
/// only the response was lost.
pub(crate) fn log_failed_put(host: &impl Host, envelope: &Envelope, error: &QueueError, is_doubtful: bool) {
    let fields = json!({
        "envelope": envelope.id.as_str(), "reason": error.to_string(), "perhapsQueued": is_doubtful,
    });
    let fields = Traceparent::add_to(envelope.traceparent.as_ref(), fields);
    host.event(Level::Error, "queue.put.failed", fields);
}

/// Returns the options of a Put. The queue hides the message until the alert is due, but at most for seven
/// days. If the alert is due later, the poller hides the message again. The message never expires. With the
/// default of the queue service, the message would expire after seven days, even if the alert is due later.
pub(crate) fn put_options(envelope: &Envelope, now: DateTime<Utc>) -> PutOptions {
    let wait =
        envelope.not_before.and_then(|due| (due - now).to_std().ok()).unwrap_or_default().min(MAX_HIDE);
    // The seconds are rounded up, so that the queue hands out no message before the alert is due.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    PutOptions {
        visibility_timeout_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
        time_to_live: TimeToLive::Never,
        ..PutOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use bot_framework::ConversationReference;
    use bot_framework::json::Fields;
    use chrono::TimeDelta;
    use envelope::EnvelopeId;
    use platform::Clock;
    use platform::testing::{FakeHost, run};

    use super::*;

    #[test]
    fn message_is_hidden_until_the_due_time_but_at_most_for_seven_days() {
        let address = br#"{"channelId":"x","serviceUrl":"https://x/","conversation":{"id":"c"}}"#;
        let address = ConversationReference::from_fields(Fields::parse(address).unwrap()).unwrap();
        let now = "2026-11-23T22:00:00Z".parse().unwrap();
        let mut envelope = Envelope::new(EnvelopeId::from_text("1"), address, "hi", now);
        for (due_milliseconds, expected_seconds) in [
            (None, 0),
            (Some(-5000), 0),
            (Some(0), 0),
            (Some(1), 1),
            (Some(10_000), 10),
            (Some(10_001), 11),
            (Some(604_800_000), 604_800),
            (Some(31_536_000_000), 604_800),
        ] {
            envelope.not_before =
                due_milliseconds.map(|milliseconds| now + TimeDelta::milliseconds(milliseconds));
            let options = put_options(&envelope, now);
            assert_eq!(options.visibility_timeout_seconds, expected_seconds, "{due_milliseconds:?}");
            assert_eq!(options.time_to_live, TimeToLive::Never);
        }
    }

    #[test]
    fn outbox_has_a_due_message_until_each_put_of_a_due_message_is_taken_back() {
        let crate::testing::Stage { host, settings, .. } = crate::testing::Stage::new();
        let outbox = Outbox::new(&host, &settings, Deadline::after(&host, Duration::from_secs(20)));
        let address = br#"{"channelId":"x","serviceUrl":"https://x/","conversation":{"id":"c"}}"#;
        let address = ConversationReference::from_fields(Fields::parse(address).unwrap()).unwrap();
        let put = |id: &str| {
            let envelope = Envelope::new(EnvelopeId::from_text(id), address.clone(), "hi", host.now());
            let options = PutOptions { reads_receipt: true, ..put_options(&envelope, host.now()) };
            let text = envelope.encode(None).unwrap();
            run(outbox.put(&Message { envelope, text, options }))
        };
        let (first, second) = (put("1"), put("2"));
        for (taken_back, expected) in [(&first, true), (&second, false)] {
            assert!(outbox.has_due());
            run(outbox.take_back(taken_back));
            assert_eq!(outbox.has_due(), expected);
        }
    }

    #[test]
    fn puts_of_one_api_call_are_parallel_and_no_put_begins_after_a_failure() {
        let crate::testing::Stage { host, settings, .. } = crate::testing::Stage::new();
        for (failing, begun_at_most) in [(None, 100), (Some(0), PUTS_AT_ONCE), (Some(50), 50 + PUTS_AT_ONCE)]
        {
            let outbox = Outbox::new(&host, &settings, Deadline::after(&host, Duration::from_secs(20)));
            let (at_once, most, begun) = (Cell::new(0), Cell::new(0), Cell::new(0));
            let put = async |_: &Outbox<'_, FakeHost>, item: usize| {
                begun.set(begun.get() + 1);
                at_once.set(at_once.get() + 1);
                most.set(most.get().max(at_once.get()));
                host.sleep(Duration::from_millis(10)).await;
                at_once.set(at_once.get() - 1);
                failing != Some(item)
            };
            run(outbox.put_all(0..100, put));
            let at_least = if failing == Some(0) { 1 } else { 2 };
            assert!((at_least..=PUTS_AT_ONCE).contains(&most.get()), "{failing:?}: {} at once", most.get());
            assert!(begun.get() <= begun_at_most && at_once.get() == 0, "{failing:?}: {} begun", begun.get());
        }
    }
}
