//! The limits of a run: sizes, times and counts. A *message* here is a message of the queue, unless the text
//! says *chat message*.

use std::time::Duration;

/// The limits of a run. The component uses [`Limits::default`]; tests use smaller limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most messages that one Get Messages call asks for. 32 is the service's own limit.
    pub batch: u8,
    /// How long a dequeued message is hidden from other runs. The lease is longer than a run, so that no
    /// lease ends while the run works. The lease is not much longer than a run, because the messages of a
    /// killed run stay hidden until their leases end.
    pub lease: Duration,
    /// A run starts no more work when it has lasted for this time.
    pub budget: Duration,
    /// When a run has lasted for this time, it makes no more calls, and calls that are under way fail. The
    /// time is less than 30 s, because hosted platforms end a request after 30 s.
    pub hard_end: Duration,
    /// The most conversations that a run works on at once.
    pub conversations_at_once: usize,
    /// A run calls Get Messages again only if fewer than this many of its dequeued messages wait for their
    /// attempt.
    pub fetch_below: usize,
    /// After this many failed attempts, the poller moves an alert to the poison queue. A failed attempt
    /// counts here only if the Connector's host works: since the previous failure in the alert's
    /// conversation, the poller has reached another conversation through this host. So the cause is probably
    /// the alert, and not the host.
    pub max_tries: u32,
    /// After this many failed attempts with an unclear cause, the poller moves an alert to the poison queue.
    /// The cause is unclear if the poller has tried too few other conversations to know whether the host or
    /// the alert is at fault. This many attempts take about 17 minutes.
    pub max_outages: u32,
    /// If an alert was dequeued more than this many times without a recorded result, the poller moves it to
    /// the poison queue.
    pub max_unaccounted: u32,
    /// The upper limit of the random pause after the first failure. The limit doubles with each further
    /// failure.
    pub backoff: Duration,
    /// The upper limit of the random pause after the first response 429 without `Retry-After`. The limit
    /// doubles with each further response of this kind.
    pub throttled_backoff: Duration,
    /// The pause before another try of an alert that was perhaps delivered.
    pub uncertain_pause: Duration,
    /// The minimum time between two chat messages into one conversation, because Teams accepts 7 messages a
    /// second.
    pub conversation_gap: Duration,
    /// The minimum time between two chat messages to one tenant on one channel (e.g. Teams); zero means no
    /// limit.
    pub tenant_gap: Duration,
}

/// The time at the end of a run that is reserved for the work after the Connector's last response, such as
/// the Delete of the queue message.
pub(crate) const AFTER_LAST_RESPONSE: Duration = Duration::from_secs(1);

/// The time from the last try of a message to the end of its time to live, when the queue deletes the
/// message. This time is longer than a minute, because on some platforms a poller runs only once a minute.
pub(crate) const LAST_TRY_BEFORE_DELETION: Duration = Duration::from_secs(2 * 60);

/// The shortest time from the last try of a message to its deletion by the queue. When the poller hides a
/// message, the time that the message has left decides when its last try comes:
/// - Four minutes or more: two minutes before the deletion ([`LAST_TRY_BEFORE_DELETION`]).
/// - Three to four minutes: when half of this time has passed.
/// - Less than three minutes: 90 seconds before the deletion (this constant).
///
/// For example, a delayed message of Bot Framework Composer has two minutes left at its first try. If this
/// try fails, the poller hides the message for at most 30 seconds. The constant is more than a minute,
/// because a scheduler can start a run late.
pub(crate) const SHORTEST_BEFORE_DELETION: Duration = Duration::from_secs(90);

/// How long a message is hidden if it could not be put on the poison queue.
pub(crate) const POISON_RETRY_AFTER: Duration = Duration::from_secs(20);

/// If an older message of a conversation is *overdue*, a run hides the younger messages for at least half of
/// the time for which the older message has been overdue. If this half is longer than this constant, the run
/// uses this constant instead. The older message is overdue if its own pause has ended, but no run has
/// dequeued it since then.
pub(crate) const LONGEST_PUSH: Duration = Duration::from_secs(10);

/// The longest pause after a failure without `Retry-After`.
pub(crate) const LONGEST_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// The longest time that an alert waits for a Connector host that is down, counted from the time at which the
/// alert is due. After this time, the poller moves the alert to the poison queue.
pub(crate) const LONGEST_OUTAGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The shorter pause between two checks whether the bot is installed for a person. The poller uses this pause
/// until the alert has been due for [`INSTALLED_SOON`], because the person perhaps installs the bot soon.
pub(crate) const FIRST_INSTALLATION_PAUSE: Duration = Duration::from_secs(60);
/// The longer pause between two checks whether the bot is installed for a person. The poller uses this pause
/// after the alert has been due for [`INSTALLED_SOON`].
pub(crate) const INSTALLATION_PAUSE: Duration = Duration::from_secs(5 * 60);
/// How long an alert has to be due before the poller uses [`INSTALLATION_PAUSE`] instead of
/// [`FIRST_INSTALLATION_PAUSE`].
pub(crate) const INSTALLED_SOON: Duration = Duration::from_secs(60 * 60);

/// The longest pause that the poller makes because of a `Retry-After`. If a `Retry-After` is longer, the
/// poller waits only for this time.
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

    /// Sets [`Limits::tenant_gap`] for `per_second` chat messages to one tenant on one channel; 0 means no
    /// limit.
    pub(crate) fn with_pace(mut self, per_second: u32) -> Self {
        self.tenant_gap = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        self
    }
}

#[cfg(test)]
mod tests {
    use state::ledger::{DEQUEUED_WITHIN, SETTLED_WITHIN};

    use super::*;

    /// If no run records a result within `SETTLED_WITHIN` after an alert is due, the bot shows the alert as
    /// overdue. So the last wait of an alert has to end within `SETTLED_WITHIN`. If the sender cancels an
    /// alert, the bot assumes that a run dequeues and drops it within `DEQUEUED_WITHIN`. So each pause has to
    /// be shorter than `DEQUEUED_WITHIN`.
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
