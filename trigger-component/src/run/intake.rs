//! Messages come in: they are asked for, opened, told to the table, and only then worked on.

use std::rc::Rc;
use std::time::Duration;

use envelope::{Arrival, Delivery, Envelope, EnvelopeId};
use futures_util::future::join3;
use platform::{Host, Level};
use serde_json::json;
use state::ledger::RecordKey;
use state::runs::StoredLine;
use storage_queue::{QueueError, QueueMessage};

use super::events::{Event, TableTold};
use super::report::Count;
use super::{Desk, Run, RunError};
use crate::attempt::Poison;
use crate::queue::{Buried, Grave};
use crate::schedule::{LaneKey, Leased, Line};

/// How long a run that is still at work waits before it asks an empty queue again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// A run that a kick began and that was handed so many waits that long for more when it has nothing to do: where many come,
/// many more will, and each would begin a run.
const MANY: usize = 8;

impl<'a, H: Host> Run<'a, '_, H> {
    /// Asks for more, if there is room and time for it.
    pub(super) fn fetch_more(&mut self) {
        let limits = self.desk.limits;
        let in_hand = self.lanes.waiting() + self.opened.len() + self.burying;
        let is_early = self.empty && self.desk.host.monotonic() < self.look_again_at;
        if self.fetching || is_early || in_hand >= limits.fetch_below {
            return;
        }
        // As many as there is time for: what is handed back goes behind everything that came meanwhile.
        let left = self.budget.remaining(self.desk.host).saturating_sub(self.lanes.time_needed(limits));
        let gap = limits.conversation_gap.as_millis().max(1);
        let room = u8::try_from(left.as_millis() / gap).unwrap_or(u8::MAX).min(limits.batch);
        if room >= limits.batch.div_ceil(4) {
            self.fetch(room);
        }
    }

    pub(super) fn fetch(&mut self, count: u8) {
        self.fetching = true;
        self.report.polls += 1;
        let desk = self.desk;
        let asked_at = desk.host.monotonic();
        self.jobs.push(Box::pin(async move {
            let result = desk.queues.main.get(count, desk.limits.lease_seconds()).await;
            Event::Fetched { result, asked_at }
        }));
    }

    pub(super) fn fetched(&mut self, result: Result<Vec<QueueMessage>, QueueError>, asked_at: Duration) {
        self.fetching = false;
        match result {
            Ok(messages) if !messages.is_empty() => self.open(messages, asked_at),
            // A queue that nobody has written to yet is an empty one.
            Ok(_) | Err(QueueError::QueueMissing) => {
                self.empty = true;
                self.resting = std::mem::take(&mut self.since_rest) >= MANY && self.is_kicked;
                self.look_again_at = self.desk.host.monotonic() + LOOK_AGAIN_AFTER;
            }
            Err(error) => self.fail(RunError::Queue(error)),
        }
    }

    fn open(&mut self, messages: Vec<QueueMessage>, leased_at: Duration) {
        let desk = self.desk;
        (self.empty, self.resting) = (false, false);
        self.since_rest += messages.len();
        let wall = desk.host.now();
        let seal_key = desk.attempts.seal_key;
        let before = self.opened.len();
        for message in messages {
            self.report.received += 1;
            self.report.saw((wall - message.insertion_time).to_std().unwrap_or_default());
            let arrival =
                Arrival { id: EnvelopeId::of_queue_message(message.id.as_str()), at: message.insertion_time };
            match Envelope::decode(&message.text, seal_key, arrival) {
                Ok((mut envelope, seal)) => {
                    // Somebody has put it back from the poison queue: it starts anew.
                    if envelope.rest.remove("failure").is_some() {
                        envelope.delivery = Delivery::default();
                    }
                    self.opened.push(Leased::new(message, envelope, seal, seal_key.is_some(), leased_at));
                }
                Err(reason) => self.bury(message, reason.to_string()),
            }
        }
        self.exclusive.take(self.opened[before..].iter().map(Leased::in_hand));
    }

    /// Puts a message that is no envelope into the poison queue, byte for byte.
    fn bury(&mut self, message: QueueMessage, reason: String) {
        let desk = self.desk;
        self.burying += 1;
        self.jobs.push(Box::pin(async move {
            let record = RecordKey::of_message(message.id.as_str(), false, message.insertion_time);
            let known = match message.dequeue_count {
                0 | 1 => None,
                _ => match desk.ledger.read(&record).await {
                    Ok(known) => known,
                    Err(error) => {
                        // The poison queue may get a second copy.
                        desk.queues.warn_once("ledger.not-read", &error);
                        None
                    }
                },
            };
            if known.is_some_and(|record| record.message.as_deref() == Some(message.id.as_str())) {
                desk.queues.delete_buried(&message).await;
                return Event::Buried(Count::AlreadyPoisoned);
            }
            let why = Poison::Unreadable;
            let grave = Grave { message: &message, record, envelope: None, why, reason: &reason };
            Event::Buried(match desk.queues.bury(grave, &message.text).await {
                Buried::Yes(_) => Count::Poisoned(why),
                Buried::No => Count::StorageTrouble,
            })
        }));
    }

    /// Tells the table what is in hand, if that is due: after messages came in, and to keep the hold.
    pub(super) fn tell_the_table(&mut self) {
        let desk = self.desk;
        let has_work = !self.jobs.is_empty() || self.resting || self.lanes.waiting() + self.opened.len() > 0;
        let due = self.exclusive.telling_due().filter(|due| *due <= desk.host.monotonic());
        if due.is_none() || !has_work {
            return;
        }
        let telling = self.exclusive.telling();
        let opened = std::mem::take(&mut self.opened);
        let now = desk.host.now();
        let question = self.withdrawn.question(&opened, now);
        let unknown: Vec<LaneKey> = if self.knows_all_lines {
            Vec::new()
        } else {
            let lanes = opened.iter().map(|leased| leased.lane);
            lanes.filter(|lane| !self.lanes.knows(lane)).collect()
        };
        self.jobs.push(Box::pin(async move {
            let ask = async {
                match question {
                    Some(since) => Some((desk.withdrawals.since(since).await, now)),
                    None => None,
                }
            };
            let (result, withdrawn, lines) =
                join3(desk.runs.write(telling), ask, desk.read_lines(&unknown)).await;
            Event::Told(Box::new(TableTold { result, opened, withdrawn, lines }))
        }));
    }

    /// The table was told, or not; what it knows is worked on.
    pub(super) fn told(&mut self, told: TableTold) {
        let host = self.desk.host;
        let TableTold { result, opened, withdrawn, lines } = told;
        if let Some((answer, asked_at)) = withdrawn {
            let known = Rc::make_mut(&mut self.withdrawn);
            match answer {
                Ok(answer) => known.learn(answer, asked_at),
                Err(error) => {
                    self.desk.queues.warn_once("withdrawals.not-read", &error);
                    known.forget();
                }
            }
        }
        for stored in &lines {
            if let Some(lane) = LaneKey::named(&stored.lane) {
                self.lanes.set_line(lane, Line::from_stored(stored, host));
            }
        }
        match result {
            Ok(told) => match self.exclusive.told(told) {
                true => {
                    self.desk.attempts.may_send_until.set(self.exclusive.valid_until());
                    self.push(opened);
                }
                // Another run is at work: these go back to the queue, for it.
                false => self.opened.extend(opened),
            },
            Err(error) => {
                let fields = json!({"run": self.desk.run, "reason": error.to_string()});
                host.event(Level::Warn, "run.not-told", fields);
                self.exclusive.not_told(host);
                self.opened.splice(0..0, opened);
                if self.exclusive.is_lost(host) {
                    self.fail(RunError::State(error));
                }
            }
        }
    }

    /// What failed once more comes back after those that were hidden behind it before. And conversations in which something
    /// comes back begin last: one whose Connector refuses the bot must not be the first that is asked, again and again.
    fn push(&mut self, mut opened: Vec<Leased>) {
        let again = opened.iter().filter(|leased| leased.message.dequeue_count > 1);
        let again: Vec<LaneKey> = again.map(|leased| leased.lane).collect();
        opened.sort_by_key(|leased| (again.contains(&leased.lane), leased.age()));
        opened.into_iter().for_each(|leased| self.lanes.push(leased));
    }
}

impl<H: Host> Desk<'_, H> {
    /// The lines of these conversations. A conversation whose line cannot be read does not wait: its order may be lost.
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
