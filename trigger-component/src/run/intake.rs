//! The intake of messages. The run dequeues and decodes messages. Then the run writes the messages into the
//! record of the *run lock*. (Only the run that holds the run lock sends messages.) This record lists the
//! messages that the run has *in hand* (dequeued and not finished). After the write, the run puts each
//! message into its *lane* (the list of the dequeued messages of one conversation).
//!
//! A *withdrawal* records, for example, that a sender has cancelled an alert, or that a person has sent
//! `stop`. A *line* is the waiting line of a conversation (the list of its hidden messages).

use std::rc::Rc;
use std::time::Duration;

use envelope::{Arrival, Delivery, Envelope, EnvelopeId};
use futures_util::future::join3;
use platform::{Host, Level};
use serde_json::json;
use state::ledger::{Status, Transition};
use state::runs::StoredLine;
use storage_queue::{QueueError, QueueMessage};

use super::apply::Ended;
use super::events::{Event, LockWriteDone};
use super::figures::Figure;
use super::report::Count;
use super::unreadable::Unreadable;
use super::{Run, RunContext, RunError};
use crate::attempt::PoisonReason;
use crate::queue::PoisonCopy;
use crate::schedule::{LaneKey, Leased, Line};

/// If a Get Messages call returns no message, a run waits for this time before it calls Get Messages again.
const NEXT_GET_AFTER: Duration = Duration::from_millis(200);
/// The number of messages after which a run expects further messages. A *kick* is a call from the bot to the
/// poller after the bot has put a message on the queue. If a run that a kick started has dequeued this many
/// messages since its last pause, the bot is probably still putting messages on the queue, one after the
/// other. When such a run finds the queue empty, it pauses for [`NEXT_GET_AFTER`], and then calls Get
/// Messages again. Without the pause, the run would end, and the next kick would have to begin a new run.
const MANY: usize = 8;

impl<'a, H: Host> Run<'a, '_, H> {
    /// Fetches more messages if the run has time for them, and if the number of waiting messages is below
    /// `fetch_below`.
    pub(super) fn fetch_more(&mut self) {
        let limits = self.context.limits;
        let now = self.context.host.monotonic();
        if self.fetching || self.empty && now < self.next_get_at {
            return;
        }
        if self.waiting() + self.poisoning >= limits.fetch_below {
            self.next_get_at = now + NEXT_GET_AFTER;
            return;
        }
        // The run fetches only as many messages as it has time for. If the run fetched more, it would have to
        // make messages visible again at its end. Then the queue would hand out the younger messages of the
        // same conversations first, and the next run would have to hide these younger messages to keep the
        // order. The messages that the run has sent so far show how long a message takes. New messages can
        // take twice as long, so the run plans with half of the time that is left.
        let left = self.budget.remaining(self.context.host) / 2;
        let coming = self.most_in_write + most_of_one(&self.decoded);
        let room = self.lanes.room(left, coming, limits);
        let room = u8::try_from(room).unwrap_or(u8::MAX).min(limits.batch);
        if room >= limits.batch.div_ceil(8) {
            self.fetch(room);
        } else {
            // The run has too little time for a fetch, so it does not wait for new messages either.
            self.awaits_more = false;
            self.next_get_at = now + NEXT_GET_AFTER;
        }
    }

    /// Returns the number of dequeued messages on which the run has not begun to work.
    pub(super) fn waiting(&self) -> usize {
        self.lanes.waiting() + self.decoded.len() + self.unreadable.len()
    }

    pub(super) fn fetch(&mut self, count: u8) {
        self.fetching = true;
        self.report.polls += 1;
        let context = self.context;
        let asked_at = context.host.monotonic();
        self.jobs.push(Box::pin(async move {
            let result = context.queues.main.get(count, context.limits.lease_seconds()).await;
            Event::Fetched { result, asked_at }
        }));
    }

    pub(super) fn fetched(&mut self, result: Result<Vec<QueueMessage>, QueueError>, asked_at: Duration) {
        self.fetching = false;
        match result {
            Ok(messages) if !messages.is_empty() => self.decode(messages, asked_at),
            // The bot's first Put creates the queue, so a missing queue has no messages.
            Ok(_) | Err(QueueError::QueueMissing) => {
                self.empty = true;
                let now = self.context.host.monotonic();
                let has_many = std::mem::take(&mut self.received_since_wait) >= MANY && self.is_kicked;
                let awaits_hidden = self.awaited_until.is_some_and(|until| now < until + NEXT_GET_AFTER);
                self.awaits_more = has_many || awaits_hidden;
                self.next_get_at = now + NEXT_GET_AFTER;
            }
            Err(error) => self.fail(RunError::Queue(error)),
        }
    }

    fn decode(&mut self, messages: Vec<QueueMessage>, leased_at: Duration) {
        let context = self.context;
        (self.empty, self.awaits_more) = (false, false);
        self.received_since_wait += messages.len();
        let wall = context.host.now();
        let seal_key = context.attempts.seal_key;
        let before = (self.decoded.len(), self.unreadable.len());
        for message in messages {
            self.report.received += 1;
            let was_missing = self.counting.received(&message);
            if message.dequeue_count > 1 {
                // Perhaps the list of messages in hand contains this message from an earlier dequeue. The pop
                // receipt in the list is then no longer valid, so this code removes the message from the
                // list. The code below adds the message to the list with the new pop receipt.
                self.exclusive.remove(message.id.as_str());
            }
            self.report.saw_message_of_age((wall - message.insertion_time).to_std().unwrap_or_default());
            let arrival =
                Arrival { id: EnvelopeId::of_queue_message(message.id.as_str()), at: message.insertion_time };
            match Envelope::decode(&message.text, seal_key, arrival) {
                Ok((mut envelope, seal)) => {
                    // An envelope with `failure` was in the poison queue, and an operator has replayed it. So
                    // the counts of attempts start at zero again.
                    if envelope.take_failure().is_some() {
                        envelope.delivery = Delivery::default();
                    }
                    let leased = Leased::new(message, envelope, seal, seal_key.is_some(), leased_at);
                    if was_missing {
                        // The *ledger* (the table with a record for each alert) says that this message is
                        // missing: a killed run had the message in hand, and a later run could not find the
                        // message on the queue. But the message is here, so this run corrects the ledger at
                        // once. Without this correction, the ledger could stay wrong. For example, if an
                        // older message of the conversation comes first, the run only hides this message, and
                        // writes nothing into the ledger.
                        let reason = Some("a run has met the message again".into());
                        let until = leased.kept_until();
                        let record = leased.record.clone();
                        let met = Transition::to(record, Status::Waiting);
                        let met = Transition { reason, until, unless_ended: true, ..met };
                        self.ledger_writes.add(Some(met), context.host.monotonic());
                    }
                    self.decoded.push(leased);
                }
                Err(reason) => self.unreadable.push(Unreadable { message, reason: reason.to_string() }),
            }
        }
        self.exclusive.add(self.decoded[before.0..].iter().map(Leased::in_hand_entry));
        self.exclusive.add(self.unreadable[before.1..].iter().map(Unreadable::in_hand_entry));
    }

    /// Moves an unreadable message (a message that is no envelope) to the poison queue. Does not change the
    /// text of the message.
    fn poison_unreadable(&mut self, unreadable: Unreadable) {
        let context = self.context;
        self.poisoning += 1;
        self.jobs.push(Box::pin(async move {
            let (record, Unreadable { message, reason }) = (unreadable.record(), unreadable);
            let id = message.id.as_str().to_owned();
            let why = PoisonReason::Unreadable;
            let known = match message.dequeue_count {
                0 | 1 => None,
                _ => match context.ledger.read(&record).await {
                    Ok(known) => known,
                    Err(error) => {
                        // Without the message's record from the ledger, the run cannot know whether the
                        // poison queue has a copy already, so it perhaps puts a second copy there.
                        context.queues.warn_once("ledger.not-read", &error);
                        None
                    }
                },
            };
            if known.is_some_and(|record| record.message.as_deref() == Some(message.id.as_str())) {
                let left = context.queues.delete_poisoned(&message).await;
                let (count, figure) = (Count::AlreadyPoisoned, Figure::Dead(why.as_str()));
                let ended = Ended { count, figure, left, end: None, is_recorded: false };
                return Event::Poisoned { message: id, ended: Some(Box::new(ended)) };
            }
            let copy = PoisonCopy {
                message: &message,
                record,
                envelope: None,
                is_genuine: false,
                why,
                reason: &reason,
                status: None,
            };
            let poisoned = context.queues.put_poison_copy(copy, &message.text).await;
            Event::Poisoned { message: id, ended: Ended::of_poisoned(poisoned, why).map(Box::new) }
        }));
    }

    /// Writes the record of the run lock if a write is due and the run still has work. A write is due if the
    /// run has dequeued messages that the record does not list, or if it has to renew the run lock. At the
    /// same time, the job reads the withdrawals and the lines that the run needs.
    pub(super) fn write_lock(&mut self) {
        let context = self.context;
        let has_work = !self.jobs.is_empty() || self.awaits_more || self.waiting() > 0;
        let due = self.exclusive.write_due().filter(|due| *due <= context.host.monotonic());
        if due.is_none() || !has_work {
            return;
        }
        let write = self.exclusive.start_write(self.counting.figures());
        let (decoded, unreadable) = (std::mem::take(&mut self.decoded), std::mem::take(&mut self.unreadable));
        self.most_in_write = most_of_one(&decoded);
        let now = context.host.now();
        let read_from = self.withdrawn.read_from(&decoded, now);
        let unknown: Vec<LaneKey> = if self.knows_all_lines {
            Vec::new()
        } else {
            let lanes = decoded.iter().map(|leased| leased.lane);
            lanes.filter(|lane| !self.lanes.knows(lane)).collect()
        };
        self.jobs.push(Box::pin(async move {
            let read_withdrawals = async {
                match read_from {
                    Some(since) => Some((context.withdrawals.since(since).await, now)),
                    None => None,
                }
            };
            let (result, withdrawn, lines) =
                join3(context.runs.write(write), read_withdrawals, context.read_lines(&unknown)).await;
            Event::LockWritten(Box::new(LockWriteDone { result, decoded, unreadable, withdrawn, lines }))
        }));
    }

    /// Handles the end of a write of the run lock's record. If the write succeeded, the record lists the
    /// messages of `done`. So the run puts the decoded messages into their lanes, and moves the unreadable
    /// messages to the poison queue.
    pub(super) fn lock_written(&mut self, done: LockWriteDone) {
        let host = self.context.host;
        let LockWriteDone { result, decoded, unreadable, withdrawn, lines } = done;
        self.most_in_write = 0;
        if let Some((read, asked_at)) = withdrawn {
            let known = Rc::make_mut(&mut self.withdrawn);
            match read {
                Ok(read) => known.add(read, asked_at),
                Err(error) => {
                    self.context.queues.warn_once("withdrawals.not-read", &error);
                    known.invalidate();
                }
            }
        }
        for stored in &lines {
            if let Some(lane) = LaneKey::named(&stored.lane) {
                self.lanes.set_line(lane, Line::from_stored(stored, host));
            }
        }
        match result {
            Ok(written) => match self.exclusive.write_done(written) {
                true => {
                    self.context.attempts.may_send_until.set(self.exclusive.valid_until());
                    self.push(decoded);
                    unreadable.into_iter().for_each(|one| self.poison_unreadable(one));
                }
                // Another run holds the run lock, so this run sends nothing more. At its end, this run makes
                // the decoded messages visible again. The unreadable messages stay leased until the other run
                // recovers them, or until their leases end.
                false => self.decoded.extend(decoded),
            },
            Err(error) => {
                let fields = json!({"run": self.context.run, "reason": error.to_string()});
                host.event(Level::Warn, "run.lock-not-renewed", fields);
                self.exclusive.write_failed(host);
                self.decoded.splice(0..0, decoded);
                self.unreadable.splice(0..0, unreadable);
                if self.exclusive.is_lost(host) {
                    self.fail(RunError::State(error));
                }
            }
        }
    }

    /// Puts messages into their lanes, the oldest first. If a message was dequeued before, its conversation
    /// comes after the other conversations. So if a conversation refuses the bot, the next runs do not try
    /// this conversation first.
    fn push(&mut self, mut decoded: Vec<Leased>) {
        let again = decoded.iter().filter(|leased| leased.message.dequeue_count > 1);
        let again: Vec<LaneKey> = again.map(|leased| leased.lane).collect();
        decoded.sort_by_key(|leased| (again.contains(&leased.lane), leased.age()));
        decoded.into_iter().for_each(|leased| self.lanes.push(leased));
    }
}

impl<H: Host> RunContext<'_, H> {
    /// Reads the waiting lines of these conversations. If a line cannot be read, the run does not make the
    /// dequeued messages of that conversation wait for older, hidden messages. So the run perhaps sends the
    /// messages in another order.
    async fn read_lines(&self, lanes: &[LaneKey]) -> Vec<StoredLine> {
        let mut lines = Vec::new();
        for lane in lanes {
            match self.runs.line(&lane.name()).await {
                Ok(line) => lines.extend(line),
                Err(error) => self.queues.warn_once("line.not-read", &error),
            }
        }
        lines
    }
}

/// Counts these messages by conversation, and returns the highest of the counts.
fn most_of_one(messages: &[Leased]) -> u32 {
    let of = |lane| messages.iter().filter(|leased| leased.lane == lane).count();
    let most = messages.iter().map(|leased| of(leased.lane)).max().unwrap_or_default();
    u32::try_from(most).unwrap_or(u32::MAX)
}
