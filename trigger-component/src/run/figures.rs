//! Counts messages for the *figures*. The figures are the counts of all messages of the queue, over all runs.
//! The record of the run lock stores them.
//!
//! The run counts a message when the message has left the queue. At the same moment, the run removes the
//! message from its list of messages in hand. One write stores the counts and the list. So if the run is
//! killed, the next run knows which messages are counted. If the Delete of a message failed, the run does not
//! count the message. A later run counts it, because the later run dequeues the message again, or finds it in
//! the list.

use chrono::{DateTime, Utc};
use envelope::Envelope;
use state::ConversationKey;
use state::ledger::{Missed, Status};
use state::runs::{Figures, LastRun};
use storage_queue::QueueMessage;

use super::report::{Count, Report};
use crate::attempt::{PAUSE, PoisonReason, UNRECORDED};
use crate::schedule::Leased;

/// The word in the figures for a *copy*: the queue held two messages of one alert, and the other message had
/// already ended the alert.
const COPY: &str = "copy";

/// The counter for a message that has left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// The message's alert ended with this status.
    Ended(Status),
    /// The message is a copy: another queue message had ended the same alert before.
    Copy,
    /// The message was moved to the poison queue. The word names the reason.
    Dead(&'static str),
}

/// The figures, to which this run adds its messages.
#[derive(Debug)]
pub(super) struct Counting {
    figures: Figures,
    /// Whether the poller pauses conversations that cannot be reached. Over Direct Line, the bot pauses them.
    pauses: bool,
}

impl Counting {
    /// Begins with the figures of the last run. `run` is the id of this run.
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

    /// Returns the figures, ready to be stored.
    pub(super) fn figures(&mut self) -> &Figures {
        self.figures.settle();
        &self.figures
    }

    /// Counts a message that was dequeued. Returns whether an earlier run had counted the message as missing.
    pub(super) fn received(&mut self, message: &QueueMessage) -> bool {
        if message.dequeue_count <= 1 {
            self.figures.accepted += 1;
        } else if self.figures.remove_missing(message.id.as_str()) {
            // An earlier run found this message missing, and counted it as gone. But the message is on the
            // queue. This run cannot take back the count, because a counter of Prometheus must not decrease.
            // So the messages that were found again have their own counter.
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
        if count.is_wait() {
            *self.figures.waits.entry(count.field().into()).or_default() += 1;
        }
    }

    /// Counts a message that has left the queue.
    pub(super) fn gone(&mut self, figure: Figure) {
        let Figures { ended, dead, .. } = &mut self.figures;
        let counter = match figure {
            Figure::Ended(Status::Dead) => dead.entry(UNRECORDED.into()),
            Figure::Ended(status) => ended.entry(status.as_str().into()),
            Figure::Copy => ended.entry(COPY.into()),
            Figure::Dead(word) => dead.entry(word.into()),
        };
        *counter.or_default() += 1;
    }

    /// Counts a *missing* message: a killed run had it in hand, and this run did not find it on the queue.
    /// The killed run has probably deleted the message, so the message counts as gone. If a run dequeues the
    /// message later, [`Counting::received`] counts it as found again.
    pub(super) fn missed(&mut self, message: &str, missed: Missed) {
        match missed {
            Missed::Ended { is_copy: true, .. } => self.gone(Figure::Copy),
            Missed::Ended { status, .. } => self.gone(Figure::Ended(status)),
            Missed::Recorded | Missed::Unknown => {
                *self.figures.ended.entry(UNRECORDED.into()).or_default() += 1;
            }
        }
        self.figures.add_missing(message);
    }

    /// Records the result of the run. `failure` is empty if the run succeeded.
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

/// Returns the later of two times: the time at which the bot accepted the alert, and the time at which the
/// alert was due.
fn due_at(envelope: &Envelope) -> DateTime<Utc> {
    envelope.not_before.map_or(envelope.enqueued_at, |due| due.max(envelope.enqueued_at))
}
