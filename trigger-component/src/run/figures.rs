//! Counts for the figures of the queue, which the record of the run lock stores.
//!
//! A message is counted at the moment at which it leaves the list of messages in hand. One write stores the
//! counts and the list. So if the run is killed, the next run knows which messages are counted.

use chrono::{DateTime, Utc};
use envelope::Envelope;
use state::ConversationKey;
use state::ledger::{Missed, Status};
use state::runs::{Figures, LastRun};
use storage_queue::QueueMessage;

use super::report::{Count, Report};
use crate::attempt::{PAUSE, PoisonReason};
use crate::schedule::Leased;

/// The word for copies of a message whose alert has ended before.
const COPY: &str = "copy";
/// The word for alerts that a killed run had finished, with an unknown status.
const UNRECORDED: &str = "unrecorded";

/// The figures of the queue, while a run counts.
#[derive(Debug)]
pub(super) struct Counting {
    figures: Figures,
    /// Whether the poller pauses conversations. Over Direct Line it does not.
    pauses: bool,
}

impl Counting {
    /// Goes on counting from the figures of the last run. `run` is the run's id.
    pub(super) fn new(
        figures: Figures,
        run: &str,
        entry_point: &str,
        pauses: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let last_run = LastRun {
            id: run.to_owned(),
            entry_point: entry_point.to_owned(),
            began_at: now.timestamp_millis(),
            ..LastRun::default()
        };
        Self { figures: Figures { last_run, ..figures }, pauses }
    }

    /// The figures, to be stored.
    pub(super) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Counts a message that was dequeued. Returns whether an earlier run had missed the message.
    pub(super) fn received(&mut self, message: &QueueMessage) -> bool {
        if message.dequeue_count <= 1 {
            self.figures.accepted += 1;
        } else if self.figures.remove_missing(message.id.as_str()) {
            // The killed run had only hidden the message, so the message has not ended. Counters of
            // Prometheus must not go down, so this has a counter of its own.
            self.figures.found_again += 1;
            return true;
        }
        false
    }

    /// Counts the result of an attempt.
    pub(super) fn worked(&mut self, leased: &Leased, count: Count, now: DateTime<Utc>) {
        if count == Count::Delivered {
            self.figures.delivered_at = now.timestamp_millis();
            self.figures.delays.add((now - due_at(&leased.envelope)).to_std().unwrap_or_default());
        }
        let conversation = || ConversationKey::of(leased.destination());
        if count == Count::Poisoned(PoisonReason::DestinationGone) && self.pauses {
            self.figures.add_paused(conversation().as_str(), now + PAUSE, now);
        } else if count == Count::Delivered && !self.figures.paused.is_empty() {
            self.figures.remove_paused(conversation().as_str());
        }
        self.counted(count);
    }

    /// Counts a result without an attempt.
    pub(super) fn counted(&mut self, count: Count) {
        let figures = &mut self.figures;
        let counter = match count {
            Count::Delivered => figures.ended.entry(Status::Delivered.as_str().into()),
            Count::Expired => figures.ended.entry(Status::Expired.as_str().into()),
            Count::Cancelled => figures.ended.entry(Status::Cancelled.as_str().into()),
            Count::Stopped => figures.ended.entry(Status::Stopped.as_str().into()),
            Count::Replaced => figures.ended.entry(Status::Replaced.as_str().into()),
            Count::Withdrawn => figures.ended.entry(Status::Withdrawn.as_str().into()),
            Count::DroppedUncertain => figures.ended.entry(Status::Dropped.as_str().into()),
            Count::AlreadySent | Count::AlreadyPoisoned => figures.ended.entry(COPY.into()),
            Count::Poisoned(reason) => figures.dead.entry(reason.as_str().into()),
            Count::NotDue
            | Count::Throttled
            | Count::Retried
            | Count::HostOut
            | Count::NotInstalled
            | Count::PossiblyDelivered => figures.waits.entry(count.field().into()),
            Count::Credentials
            | Count::NoToken
            | Count::HiddenBehind
            | Count::Released
            | Count::Recovered
            | Count::LeaseLost
            | Count::StorageTrouble => return,
        };
        *counter.or_default() += 1;
    }

    /// Counts an alert that a killed run had finished without counting it.
    pub(super) fn missed(&mut self, message: &str, missed: Missed) {
        let word = match missed {
            Missed::Ended(Status::Dead) => {
                return *self.figures.dead.entry(UNRECORDED.into()).or_default() += 1;
            }
            Missed::Ended(status) => status.as_str(),
            Missed::Recorded | Missed::Unknown => {
                self.figures.add_missing(message);
                UNRECORDED
            }
        };
        *self.figures.ended.entry(word.into()).or_default() += 1;
    }

    /// Ends the run.
    pub(super) fn end(
        &mut self,
        report: &Report,
        hosts_out: Vec<String>,
        failure: String,
        now: DateTime<Utc>,
    ) {
        self.figures.hosts_out = hosts_out;
        let delivered = report.count(Count::Delivered).into();
        if failure.is_empty() {
            self.figures.succeeded_at = now.timestamp_millis();
        }
        let last_run = &mut self.figures.last_run;
        (last_run.ended_at, last_run.failure) = (now.timestamp_millis(), failure);
        (last_run.received, last_run.delivered) = (report.received.into(), delivered);
    }
}

/// When the alert was due, or was accepted if that is later.
fn due_at(envelope: &Envelope) -> DateTime<Utc> {
    envelope.not_before.map_or(envelope.enqueued_at, |due| due.max(envelope.enqueued_at))
}
