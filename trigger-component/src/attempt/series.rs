//! Puts the next alert of a series on the queue. A *series* is a recurring alert: a sequence of alerts that
//! are due at regular times. The *alert in hand* is the alert of the series that the run (one execution of
//! the poller) has dequeued.
//!
//! The run puts the next alert on the queue before it sends the alert in hand. So if the run is killed, the
//! series loses no alert: the next run dequeues the alert in hand, and repeats this step. The ledger (the
//! table of all alerts) shows which parts of the step are done.

use chrono::{DateTime, Utc};
use envelope::{EnvelopeId, SealState, Series};
use platform::Host;
use state::ledger::{Accepted, AlertId, Following, NewAlert, Period, Record};
use state::{ConversationKey, StateError};
use storage_queue::{PutOptions, QueueError, TimeToLive};
use storage_table::TableError;
use thiserror::Error;

use super::Attempts;
use crate::limits::MAX_HIDE;
use crate::schedule::Leased;

/// The decision whether the run sends the alert in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeriesDecision {
    /// The run sends the alert.
    Send,
    /// The sender has ended the series.
    SeriesEnded,
    /// A newer alert of the series is due already, so the run does not send the alert in hand.
    Missed,
}

/// The reason why the run could not put the next alert of the series on the queue. The alert in hand then has
/// to wait.
#[derive(Debug, Error)]
pub(super) enum SeriesError {
    #[error("{0}")]
    State(#[from] StateError),
    #[error("series: the queue did not take the next alert; {0}")]
    Queue(#[from] QueueError),
}

impl From<TableError> for SeriesError {
    fn from(error: TableError) -> Self {
        Self::State(error.into())
    }
}

impl<H: Host> Attempts<'_, H> {
    /// Puts the next alert of the series on the queue, unless an earlier run has done so, or the series has
    /// ended. Returns whether the run sends the alert in hand. If the alert is not part of a series, does
    /// nothing, and returns [`SeriesDecision::Send`]. Does the same if neither the bot nor the poller wrote
    /// the queue message.
    pub(super) async fn continue_series(&self, leased: &Leased) -> Result<SeriesDecision, SeriesError> {
        let series = leased.envelope.series.as_ref().filter(|_| self.is_ours(leased));
        let first = series.and_then(|series| Some((series, AlertId::parse(series.first.as_str())?)));
        let Some((series, first)) = first else { return Ok(SeriesDecision::Send) };
        // If the record of the first alert is missing, an operator has deleted the table of the ledger. In
        // this case, the series goes on without the record.
        let record = self.ledger.find(&first).await?;
        if record.as_ref().is_some_and(|record| record.series_ended_at.is_some()) {
            return Ok(SeriesDecision::SeriesEnded);
        }
        let newest_due = series.last_due(self.host.now().min(series.until));
        let is_missed = newest_due > series.index;
        let next = newest_due.max(series.index.saturating_add(1));
        self.follow(leased, series, (&first, record.as_ref()), next).await?;
        Ok(if is_missed { SeriesDecision::Missed } else { SeriesDecision::Send })
    }

    /// Puts the alert with the number `index` on the queue, and records this alert in the ledger as the next
    /// alert of the series. If the series ends before this alert would be due, records that no alert follows.
    /// `first` is the id of the first alert of the series, and `record` is its record in the ledger.
    async fn follow(
        &self,
        leased: &Leased,
        series: &Series,
        (first, record): (&AlertId, Option<&Record>),
        index: u32,
    ) -> Result<(), SeriesError> {
        let following = record.map_or(Following::First, Record::following);
        let Some(due) = series.due(index) else {
            if following != Following::Nothing {
                self.ledger.record_following(first, None).await?;
            }
            return Ok(());
        };
        // The id of an alert depends on the time at which the bot accepted the alert. But the bot accepts
        // only the first alert of a series. For a later alert, every run uses the due time of the previous
        // alert instead. This due time is the same in every run, so every run makes the same id.
        let accepted = series.due(index.saturating_sub(1)).unwrap_or(due);
        let id = AlertId::of_series(first, index, Period::of(accepted));
        if following == Following::Alert(id.clone()) {
            return Ok(());
        }
        let alert = NewAlert {
            due: Some(due),
            until: Some(due),
            tag: record.and_then(|record| record.tag.clone()),
            key: record.and_then(|record| record.key.clone()),
            series: Some(first.as_str().to_owned()),
            keyed: record.and_then(|record| record.keyed.clone()),
            thread: record.and_then(|record| record.thread.clone()),
            ..NewAlert::queued(id.clone(), ConversationKey::of(&leased.envelope.address).as_str())
        };
        let accepted = self.ledger.accept(&alert).await?;
        let has_ended = matches!(&accepted, Accepted::Known(known) if known.status.is_final());
        if !has_ended {
            self.put_following(leased, &id, index, due).await?;
        }
        Ok(self.ledger.record_following(first, Some((&id, due))).await?)
    }

    async fn put_following(
        &self,
        leased: &Leased,
        id: &AlertId,
        index: u32,
        due: DateTime<Utc>,
    ) -> Result<(), SeriesError> {
        let now = self.host.now();
        let id = EnvelopeId::from_text(id.as_str());
        let key = self.seal_key.filter(|_| leased.seal == SealState::Valid);
        let next = leased.envelope.later_in_series(id, index, due, now);
        // `encode` fails only if the alert does not fit into a queue message. The bot accepts a series only
        // if each of its alerts fits, so `encode` never fails here. `next` is never `None`, because the
        // alert in hand is part of a series.
        let Some(text) = next.and_then(|next| next.encode(key).ok()) else { return Ok(()) };
        let wait = (due - now).to_std().unwrap_or_default().min(MAX_HIDE);
        // The run rounds the wait up. Otherwise, the queue could hand out the message before the alert is
        // due.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let visibility_timeout_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let options = PutOptions {
            visibility_timeout_seconds,
            time_to_live: TimeToLive::Never,
            ..PutOptions::default()
        };
        Ok(self.queue.put(&text, options).await?)
    }
}
