//! The cron trigger. At each time of a cron schedule, the host calls a fresh instance of a component. Such a
//! call is a *tick*.
//!
//! As in Spin's cron plugin, a tick starts even if the previous tick still runs. If the host misses the time
//! of a tick, e.g. because the machine sleeps, the host does not start this tick later. Unlike the plugin,
//! this host reports every failure.

use std::convert::Infallible;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use chrono::{DateTime, Utc};
use cron::Schedule;

use crate::bindings::cron::{CronPre, Error, Metadata};
use crate::engine::{explain, store};
use crate::state::{Component, State};
use crate::{meter, output};

/// The longest time between two reads of the clock. The host reads the clock often, because the clock can
/// jump: a person can set the clock, or the machine can sleep.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// A component, and the schedule on which the host calls the component.
pub(crate) struct Job {
    pub(crate) component: Arc<Component>,
    pub(crate) pre: CronPre<State>,
    pub(crate) schedule: Schedule,
}

pub(crate) fn parse(expression: &str) -> Result<Schedule> {
    Schedule::from_str(expression).map_err(|e| {
        let why = e.to_string();
        // For a syntax error, the `cron` crate returns several lines, which show the place of the error. The
        // expression is short, so one line is enough.
        let why = if why.contains('\n') { "it cannot be parsed" } else { &why };
        anyhow!(
            "`[[trigger.cron]]` cron_expression {expression:?}: {why}; write six or seven fields, seconds first, such \
             as \"*/2 * * * * *\""
        )
    })
}

/// Starts a tick at each time of the schedule, until the process ends.
pub(crate) async fn run(job: Arc<Job>) -> Infallible {
    let mut last = Utc::now();
    loop {
        let Some(next) = next(&job.schedule, last, Utc::now()) else {
            output::error(&format!("[{}] the cron expression has no further tick", job.component.id));
            return std::future::pending().await;
        };
        while let Ok(left) = (next - Utc::now()).to_std() {
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
        }
        last = next;
        let job = job.clone();
        tokio::spawn(async move {
            if let Err(e) = job.tick().await {
                output::error(&format!("[{}] cron tick failed: {e:#}", job.component.id));
            }
        });
    }
}

/// Returns the first time of the schedule that is after both `last` and `now`. `last` is the time of the
/// previous tick, so no tick starts twice. The host skips all times before `now`.
fn next(schedule: &Schedule, last: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    schedule.after(&last.max(now)).next()
}

impl Job {
    async fn tick(&self) -> Result<()> {
        let mut store = store(self.pre.engine(), &self.component);
        let guest = self.pre.instantiate_async(&mut store).await.map_err(explain)?;
        let metadata = Metadata { timestamp: Utc::now().timestamp().unsigned_abs() };
        let outcome = guest.call_handle_cron_event(&mut store, metadata).await;
        meter::report(&store);
        match outcome.map_err(explain)? {
            Ok(()) => Ok(()),
            Err(Error::Other(text)) => Err(anyhow!("the guest returned an error: {text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-24T{text}Z").parse().unwrap()
    }

    #[test]
    fn next_tick_is_after_now_and_after_the_last_tick() {
        let schedule = parse("*/2 * * * * *").unwrap();
        for (last, now, expected) in [
            ("10:00:00", "10:00:00.001", "10:00:02"),
            // The clock shows a time before the last tick.
            ("10:00:02", "10:00:01.999", "10:00:04"),
            // The host did not run for an hour.
            ("10:00:00", "11:00:00.5", "11:00:02"),
        ] {
            assert_eq!(next(&schedule, at(last), at(now)), Some(at(expected)), "{last} {now}");
        }
    }

    #[test]
    fn cron_expression_with_a_mistake_is_refused_with_a_hint() {
        for good in ["* * * * * *", "*/1 * * * * *", "0 30 9 * * Mon-Fri", "0 0 0 1 1 * 2030"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "* * * * *", "61 * * * * *", "{{ every }}", "* * * * * * * *"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("seconds first") && error.contains(bad), "{error}");
        }
    }
}
