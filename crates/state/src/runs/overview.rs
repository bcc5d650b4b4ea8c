//! The state of a queue's runs (executions of the poller), for people and programs that watch the bot.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join;
use platform::{Clock, HttpClient, Randomness};
use storage_table::{Entity, Key, TableError};

use super::figures::Figures;
use super::{PauseReason, Runs, SLACK, TERM, active_pause, age};

/// The row with the time of the last run that found nothing to do.
const IDLE_ROW: &str = "idle";

/// The state of a queue's runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// Counts over all runs, e.g. of delivered alerts.
    pub figures: Figures,
    /// Whether a run holds the run lock.
    pub is_running: bool,
    /// The reason of the current pause, and the time at which it ends. `None` without a pause.
    pub pause: Option<(PauseReason, DateTime<Utc>)>,
    /// When a run last found nothing to do. Runs store this time at most once in 150 seconds.
    pub idle_at: Option<DateTime<Utc>>,
    /// The difference between the clock of this Spin host and the table service's clock: positive if the
    /// host's clock is ahead, negative if the host's clock is behind. The service reports its time in whole
    /// seconds, so the difference is inexact.
    pub clock_skew: TimeDelta,
}

impl<H: HttpClient + Clock + Randomness> Runs<'_, H> {
    /// Reads the state of the runs, with two storage calls at the same time.
    pub async fn overview(&self) -> Result<Overview, TableError> {
        let (idle_key, key) = (self.idle_key(), self.key());
        let (idle, found) = join(self.table.get(&idle_key), self.table.get(&key)).await;
        let (idle, found) = (idle?, found?);
        let now = self.host.now();
        let idle_at = idle.as_ref().and_then(|idle| idle.entity.int("at"));
        let answered_at = found.as_ref().or(idle.as_ref()).map(|found| found.answered_at);
        let entity = found.as_ref().map(|found| &found.entity);
        let is_running = found.as_ref().is_some_and(|found| {
            !found.entity.str("run").unwrap_or_default().is_empty() && age(found) < TERM + SLACK
        });
        Ok(Overview {
            figures: Figures::read(entity.and_then(|entity| entity.str("figures")), now),
            is_running,
            pause: found.as_ref().and_then(|found| {
                let until = DateTime::from_timestamp_millis(found.entity.int("pausedUntil")?)?;
                Some((active_pause(found)?, until))
            }),
            idle_at: idle_at.and_then(DateTime::from_timestamp_millis),
            clock_skew: answered_at.map_or(TimeDelta::zero(), |answered_at| now - answered_at),
        })
    }

    /// Stores the current time as the time at which a run found nothing to do.
    pub async fn record_idle(&self) -> Result<(), TableError> {
        let mut idle = Entity::new(self.idle_key());
        idle.int64("at", self.host.now().timestamp_millis());
        self.table.put_merge(&idle).await.map(drop)
    }

    fn idle_key(&self) -> Key {
        Key::new(&self.queue, IDLE_ROW)
    }
}
