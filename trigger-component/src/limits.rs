//! The limits of a run: sizes, times and counts.

use std::time::Duration;

/// The limits of a run. The component uses [`Limits::default`]; tests use smaller limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most messages of one Get Messages call. 32 is the service's own limit.
    pub batch: u8,
    /// How long a dequeued message is hidden from other runs. The lease is longer than a run, so that it does
    /// not end during the work. It is short, so that the messages of a killed run become visible soon.
    pub lease: Duration,
    /// The time after which a run starts no more work.
    pub budget: Duration,
    /// The time after which no call of the run goes on, because hosted platforms end a request after 30 s.
    pub hard_end: Duration,
    /// The most conversations that a run works on at once.
    pub conversations_at_once: usize,
    /// The run fetches more messages while fewer than this many are waiting.
    pub fetch_below: usize,
    /// After this many failed attempts the poller moves an alert to the poison queue. An attempt counts if
    /// the Connector's host reached another conversation meanwhile.
    pub max_tries: u32,
    /// The same for attempts after which the poller cannot tell whether the host works, because it tried no
    /// other conversation. These attempts take about 17 minutes.
    pub max_outages: u32,
    /// If an alert was dequeued more often than this and no run recorded a result, the poller moves it to the
    /// poison queue.
    pub max_unaccounted: u32,
    /// The longest pause after a first failure. It doubles with each further failure.
    pub backoff: Duration,
    /// The longest pause after a first throttling without `Retry-After`. It doubles with each further one.
    pub throttled_backoff: Duration,
    /// The pause before an alert that may have been delivered is tried again.
    pub uncertain_pause: Duration,
    /// The time between two messages into one conversation, because Teams accepts 7 a second.
    pub conversation_gap: Duration,
    /// The time between two messages into one channel and tenant; zero means no limit.
    pub tenant_gap: Duration,
}

/// The time reserved at the end of a run for acting on the last response of a Connector.
pub(crate) const AFTER_LAST_RESPONSE: Duration = Duration::from_secs(1);

/// A message that has an end on the queue becomes visible this long before the queue deletes it, for its last
/// try. On some platforms a poller runs only once a minute.
pub(crate) const LAST_TRY_BEFORE_DELETION: Duration = Duration::from_secs(2 * 60);

/// The same for a message that the queue deletes in less than twice [`LAST_TRY_BEFORE_DELETION`]. It becomes
/// visible at half of its time, but not later than this long before its deletion. Delayed messages of Bot
/// Framework Composer live so short a time from the beginning. It is more than a minute, because a
/// scheduler's minutes are not exact.
pub(crate) const SHORTEST_BEFORE_DELETION: Duration = Duration::from_secs(90);

/// How long a message is hidden after the Put to the poison queue failed.
pub(crate) const POISON_RETRY_AFTER: Duration = Duration::from_secs(20);

/// The longest pause behind a message that is overdue: it should have become visible before.
pub(crate) const LONGEST_PUSH: Duration = Duration::from_secs(10);

/// The longest pause after a failure without `Retry-After`.
pub(crate) const LONGEST_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// An alert that has been due for longer than this, and waits for a host, is moved to the poison queue. So
/// no alert waits for ever.
pub(crate) const LONGEST_OUTAGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The pauses between two looks whether the bot is installed for a person. In the first hour the alert is
/// fresh, and the person may be about to install the bot.
pub(crate) const FIRST_INSTALLATION_PAUSE: Duration = Duration::from_secs(60);
pub(crate) const INSTALLATION_PAUSE: Duration = Duration::from_secs(5 * 60);
pub(crate) const INSTALLED_SOON: Duration = Duration::from_secs(60 * 60);

/// The longest `Retry-After` that the poller honours.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// The longest visibility time-out that the queue accepts.
pub(crate) const MAX_HIDE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch: 32,
            lease: Duration::from_secs(60),
            budget: Duration::from_secs(20),
            hard_end: Duration::from_secs(26),
            conversations_at_once: 16,
            fetch_below: 32,
            max_tries: 5,
            max_outages: 24,
            max_unaccounted: 5,
            backoff: Duration::from_secs(20),
            throttled_backoff: Duration::from_secs(2),
            uncertain_pause: Duration::from_secs(15),
            conversation_gap: Duration::from_millis(143),
            tenant_gap: Duration::from_secs(1) / 30,
        }
    }
}

impl Limits {
    /// Returns [`Limits::lease`] in whole seconds.
    pub(crate) fn lease_seconds(&self) -> u32 {
        u32::try_from(self.lease.as_secs()).unwrap_or(u32::MAX)
    }

    /// Sets [`Limits::tenant_gap`] for `per_second` messages into one channel and tenant; 0 means no limit.
    pub(crate) fn with_pace(mut self, per_second: u32) -> Self {
        self.tenant_gap = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        self
    }
}

#[cfg(test)]
mod tests {
    use state::ledger::{DEQUEUED_WITHIN, SETTLED_WITHIN};

    use super::*;

    /// The bot shows an alert as overdue, or as cancelled, after these times.
    #[test]
    fn poller_ends_every_wait_before_the_bot_shows_an_alert_as_overdue() {
        let lease = Limits::default().lease;
        assert!(LONGEST_OUTAGE + LONGEST_RETRY_AFTER + lease < SETTLED_WITHIN.to_std().unwrap());
        assert!(
            LONGEST_RETRY_AFTER.max(LONGEST_BACKOFF).max(INSTALLATION_PAUSE) + lease
                < DEQUEUED_WITHIN.to_std().unwrap()
        );
    }
}
