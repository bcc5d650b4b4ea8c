//! The timer of a run. The run is a loop that waits for events. The timer wakes the loop in these cases:
//!
//! - An attempt is due.
//! - The run has to write the run lock (a record in a table).
//! - The run has to write to the ledger (the table with one record for each alert).
//! - The next Get Messages call is due.
//! - The run's budget of time ends.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use platform::Host;

use super::Run;
use super::events::{Event, Job};

impl<H: Host> Run<'_, '_, H> {
    /// Waits until a job (a future of the run) returns an event, or the timer fires. Returns `None` if the
    /// run is at its end: no job is under way, no message waits, and the run does not wait for new messages.
    pub(super) async fn next_event(&mut self) -> Option<Event> {
        let has_work = self.waiting() > 0 || self.awaits_more;
        let Some((_, timer)) = &mut self.timer.0 else { return self.jobs.next().await };
        let fired = if self.jobs.is_empty() {
            if !has_work {
                return None;
            }
            timer.next().await
        } else {
            match select(self.jobs.next(), timer.next()).await {
                Either::Left((event, _)) => return event,
                Either::Right((fired, _)) => fired,
            }
        };
        self.timer.0 = None;
        fired
    }

    /// Sets the timer to the next moment at which the loop has to act. `due` is the moment at which the next
    /// attempt is due.
    pub(super) fn set_timer(&mut self, due: Option<Duration>) {
        let host = self.context.host;
        let now = host.monotonic();
        let again = (self.empty && !self.fetching).then_some(self.next_get_at);
        let end = now + self.budget.remaining(host);
        // A stopping run waits for the jobs that are under way. Until the jobs have ended, the run renews the
        // run lock.
        let moments = match self.stopping {
            true => [self.exclusive.write_due(), None, None, None, None],
            false => [self.exclusive.write_due(), due, self.ledger_writes.due(), again, Some(end)],
        };
        let Some(moment) = moments.into_iter().flatten().min() else { return };
        // The caller has started everything that is due, so `moment` should be later than `now`. If `moment`
        // is not later, the timer waits for a millisecond, so that the loop cannot wake up again and again
        // without a pause.
        let moment = moment.max(now + Duration::from_millis(1));
        // If the current timer fires before `moment`, the current timer stays, because a timer that fires too
        // early does no harm.
        if self.timer.0.as_ref().is_some_and(|(set, _)| *set <= moment) {
            return;
        }
        let timer: Job<'_> = Box::pin(async move {
            host.sleep(moment.saturating_sub(now)).await;
            Event::TimerFired
        });
        self.timer.0 = Some((moment, FuturesUnordered::from_iter([timer])));
    }
}
