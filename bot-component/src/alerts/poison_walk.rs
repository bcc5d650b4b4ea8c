//! A walk through the poison queue. (The poller moves a message to this queue if the poller cannot deliver
//! the message.) The queue service cannot list the messages of a queue. So the walk *leases* one batch of
//! messages after another: it gets the messages, and the queue hides these messages for a time (the lease).
//! The API call that makes the walk can delete some of the messages. The other messages become visible again
//! at the end of the walk ([`PoisonWalk::end`]), or when their lease ends.

use futures_util::{StreamExt, stream};
use platform::{Deadline, Host, Level};
use serde_json::json;
use storage_queue::{MessageId, PopReceipt, QueueClient, QueueError, QueueMessage, QueueName};

use crate::settings::BotSettings;

/// The lease of each message, in seconds. If the bot is killed, the messages become visible after this time.
///
/// An API call that replays or drops messages sometimes has no time to reach the end of the poison queue. The
/// bot then does not call [`PoisonWalk::end`], so the leased messages stay hidden until their lease ends. If
/// the caller repeats the call before the lease ends, the new walk gets the messages that follow the hidden
/// messages. So the new walk continues where the first walk stopped.
const LEASE_SECONDS: u32 = 30;
/// How many messages the walk makes visible in parallel.
const RELEASED_AT_ONCE: usize = 8;
/// The highest number of messages that the bot gets from the queue with one request.
pub(super) const BATCH: u8 = 32;

/// A walk through the poison queue.
#[derive(Debug)]
pub(super) struct PoisonWalk<'a, H> {
    host: &'a H,
    queue: QueueClient<'a, H>,
    deadline: Deadline,
    until: Deadline,
    /// How many messages the walk has leased.
    seen: u64,
    is_at_end: bool,
    /// The leased messages that stay on the queue.
    others: Vec<(MessageId, PopReceipt)>,
}

impl<'a, H: Host> PoisonWalk<'a, H> {
    /// Makes a walk through the queue `poison`. The walk leases no further messages after `until`. Each
    /// storage call ends at `deadline` at the latest.
    pub(super) fn new(
        host: &'a H,
        settings: &'a BotSettings,
        poison: &'a QueueName,
        deadline: Deadline,
        until: Deadline,
    ) -> Self {
        let queue = QueueClient::new(host, &settings.queue.account, poison, deadline);
        Self { host, queue, deadline, until, seen: 0, is_at_end: false, others: Vec::new() }
    }

    /// Leases the next messages. Returns `None` at the end of the queue, and after `until`.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<QueueMessage>>, QueueError> {
        if self.is_at_end || self.until.has_passed(self.host) {
            return Ok(None);
        }
        match self.queue.get(BATCH, LEASE_SECONDS).await {
            Ok(messages) if !messages.is_empty() => {
                self.seen += messages.len() as u64;
                Ok(Some(messages))
            }
            Ok(_) | Err(QueueError::QueueMissing) => {
                self.is_at_end = true;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the walk has reached the end of the queue: no further message was visible.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Whether the walk has leased every message of the queue. `deleted` is the number of messages that this
    /// API call has deleted since the walk began.
    ///
    /// If another API call hides a message, the result is false: the walk cannot lease this message, but the
    /// queue counts the message.
    pub(super) async fn has_seen_all(&self, deleted: u64) -> Result<bool, QueueError> {
        match self.queue.approximate_count().await {
            Ok(count) => Ok(self.is_at_end && count.saturating_add(deleted) <= self.seen),
            Err(QueueError::QueueMissing) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Deletes a message that the walk has leased.
    pub(super) async fn delete(&self, message: &QueueMessage) -> Result<(), QueueError> {
        self.queue.delete(&message.id, &message.pop_receipt).await
    }

    /// Notes that a message stays on the queue. [`PoisonWalk::end`] makes the message visible.
    pub(super) fn leave(&mut self, message: &QueueMessage) {
        self.others.push((message.id.clone(), message.pop_receipt.clone()));
    }

    /// Makes one message visible. After the deadline of the walk, does nothing.
    pub(super) async fn release(&self, id: &MessageId, receipt: &PopReceipt) {
        if self.deadline.has_passed(self.host) {
            return;
        }
        if let Err(error) = self.queue.hide(id, receipt, 0, None).await {
            self.host.event(Level::Warn, "poison.not-released", json!({"reason": error.to_string()}));
        }
    }

    /// Ends the walk. The messages that stay on the queue become visible, so that the next walk finds them.
    pub(super) async fn end(mut self) {
        let others = std::mem::take(&mut self.others);
        let walk = &self;
        let release = async |(id, receipt): (MessageId, PopReceipt)| walk.release(&id, &receipt).await;
        let release = &release;
        stream::iter(others).for_each_concurrent(RELEASED_AT_ONCE, release).await;
    }
}
