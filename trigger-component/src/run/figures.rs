//! Counts messages for the *figures*: the counts of the messages of the queue, added up over all runs. The
//! record of the run lock stores the figures.
//!
//! The run counts a message when the message has left the queue. At the same moment, the run removes the
//! message from its list of messages *in hand* (messages that it has dequeued, but not finished). One write
//! stores the figures and the list. So if the run is killed, the next run knows that the messages in the list
//! are not counted yet.
//!
//! If the Delete of a message fails, the run does not count the message. A later run dequeues the message
//! again, or finds the message in the list. Then the later run counts the message.

use chrono::{DateTime, Utc};
use envelope::Envelope;
use state::ConversationKey;
use state::ledger::{Missed, Status};
use state::runs::{Figures, LastRun};
use storage_queue::QueueMessage;

use super::report::{Count, Report};
use crate::attempt::{PAUSE, PoisonReason, UNRECORDED};
use crate::schedule::Leased;

/// The word in the figures for a *copy*. A message is a copy if the queue held another message of the same
/// alert, and the alert had already ended with the other message.
const COPY: &str = "copy";

/// The counter for a message that has left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// The message's alert ended with this status.
    Ended(Status),
    /// The message is a copy (see `COPY`).
    Copy,
    /// The message was moved to the poison queue. The field is the reason in one word.
    Dead(&'static str),
}

/// The figures, to which this run adds its messages.
#[derive(Debug)]
pub(super) struct Counting {
    figures: Figures,
    /// Whether the poller pauses a conversation that it cannot reach. If the poller delivers alerts over
    /// Direct Line (another API of the Bot Framework), the bot makes these pauses.
    pauses: bool,
}

impl Counting {
    /// Makes the value for this run from the figures of the last run. `run` is the id of this run.
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

    /// Returns the figures, ready to be stored. If `accepted` (the count of dequeued messages) is less than
    /// the number of messages that have left the queue, first raises `accepted` to this number. `accepted`
    /// can be too low, because a killed run perhaps did not store its count.
    pub(super) fn figures(&mut self) -> &Figures {
        self.figures.raise_accepted();
        &self.figures
    }

    /// Counts a message that is dequeued for the first time. If an earlier run had counted the message as
    /// *missing* (see [`Counting::missed`]), counts the message as found again, and returns `true`.
    pub(super) fn received(&mut self, message: &QueueMessage) -> bool {
        if message.dequeue_count <= 1 {
            self.figures.accepted += 1;
        } else if self.figures.remove_missing(message.id.as_str()) {
            // An earlier run did not find this message, and counted it as gone. This count was wrong, but the
            // run cannot take it back, because a counter of Prometheus must not decrease. So another counter
            // counts the messages that were found again.
            self.figures.found_again += 1;
            return true;
        }
        false
    }

    /// Changes the figures after an attempt: the time and the delay of the delivery, the paused
    /// conversations, and the counts of waits.
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

    /// Counts a *missing* message: a killed run had the message in hand, and this run did not find the
    /// message on the queue. The killed run has probably deleted the message, so the message counts as gone.
    /// If a run dequeues the message later, [`Counting::received`] counts the message as found again.
    pub(super) fn missed(&mut self, message: &str, missed: Missed) {
        match missed {
            Missed::Ended { is_copy: true, .. } => self.gone(Figure::Copy),
            Missed::Ended { status, .. } => self.gone(Figure::Ended(status)),
            Missed::Recorded | Missed::Unknown => {
                // The final status of the alert is unknown. `Missed::Recorded` only means that the *ledger*
                // (the table with a record for each alert) now says that the message is missing.
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
