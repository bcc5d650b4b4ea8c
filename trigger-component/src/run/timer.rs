//! What comes by itself: the next message's time, the time to tell the table, the end of the budget.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use platform::Host;

use super::Run;
use super::events::{Event, Job};

/// The moment for which the alarm is set, and the alarm: among other jobs, alone, so that it is looked at only when it
/// rings.
#[derive(Default)]
pub(super) struct Timer<'a>(Option<(Duration, FuturesUnordered<Job<'a>>)>);

impl<H: Host> Run<'_, '_, H> {
    /// What happens next; `None` when nothing goes on and nothing waits.
    pub(super) async fn next_event(&mut self) -> Option<Event> {
        let Some((_, timer)) = &mut self.timer.0 else { return self.jobs.next().await };
        let fired = if self.jobs.is_empty() {
            if self.lanes.waiting() + self.opened.len() == 0 && !self.awaits_more {
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

    /// Wakes the loop for what comes by itself; `due` is when the next message has its turn.
    pub(super) fn set_timer(&mut self, due: Option<Duration>) {
        let host = self.context.host;
        let now = host.monotonic();
        let again = (self.empty && !self.fetching).then_some(self.next_get_at);
        let end = now + self.budget.remaining(host);
        // Whoever only waits for what is under way still keeps the hold.
        let moments = match self.stopping {
            true => [self.exclusive.write_due(), None, None, None, None],
            false => [self.exclusive.write_due(), due, self.ledger_writes.due(), again, Some(end)],
        };
        let Some(moment) = moments.into_iter().flatten().min() else { return };
        // Whatever is due already was started above; were it not, this must not become a busy loop.
        let moment = moment.max(now + Duration::from_millis(1));
        // One that rings too early does no harm.
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
