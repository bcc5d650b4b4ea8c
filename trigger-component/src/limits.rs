//! The limits of a run (one execution of the poller): sizes, times and counts. A *message* here is a message
//! of the queue, unless the text says *chat message*.

use std::time::Duration;

/// The limits of a run. The component uses [`Limits::default`]; tests use smaller limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most messages that one Get Messages call asks for. 32 is the service's own limit.
    pub batch: u8,
    /// The length of a *lease*: the time for which the queue hides a dequeued message from other runs. A
    /// lease is longer than a run, so that no lease ends while the run works. A lease is not much longer than
    /// a run, because the messages of a killed run stay hidden until their leases end.
    pub lease: Duration,
    /// When a run is this old, it starts no more work.
    pub budget: Duration,
    /// When a run is this old, it makes no more calls, and its open calls fail. This limit is less than 30 s,
    /// because hosted platforms end a request after 30 s.
    pub hard_end: Duration,
    /// The most conversations that a run works on at the same time.
    pub conversations_at_once: usize,
    /// A run calls Get Messages again only if it has fewer waiting messages than this. A dequeued message
    /// waits until the run begins to work on it.
    pub fetch_below: usize,
    /// The poller moves an alert to the poison queue after this many failed attempts whose cause is probably
    /// the alert, and not the Connector's host. The poller assumes this cause if the last two results of the
    /// alert's conversation are failures, and if between these two failures a response for another
    /// conversation showed that the host works.
    pub max_tries: u32,
    /// After this many failed attempts with an unclear cause, the poller moves an alert to the poison queue.
    /// The cause is unclear if the poller has too few results of other conversations to know whether the host
    /// or the alert is at fault. With the default of 24, these attempts take about 17 minutes.
    pub max_outages: u32,
    /// If a message was dequeued more than this many times without a recorded result (for example, because
    /// runs were killed), the poller moves the message to the poison queue.
    pub max_unaccounted: u32,
    /// The longest pause after the first failure. The pause is random, from zero to this limit. The limit
    /// doubles with each further failure.
    pub backoff: Duration,
    /// The longest pause after the first response 429, if this response has no `Retry-After`. The pause is
    /// random, from zero to this limit. The limit doubles with each further 429.
    pub throttled_backoff: Duration,
    /// The pause after an attempt that has perhaps delivered the alert (e.g. because the response was lost).
    pub uncertain_pause: Duration,
    /// The minimum time between two chat messages into one conversation, because Teams accepts 7 messages a
    /// second in each conversation.
    pub conversation_gap: Duration,
    /// The minimum time between two chat messages to one tenant on one channel (e.g. Teams). Zero means that
    /// there is no minimum time.
    pub tenant_gap: Duration,
}

/// The last part of a run, before [`Limits::hard_end`]. The run needs this time for the work after the
/// Connector's last response, such as the Delete of the queue message.
pub(crate) const AFTER_LAST_RESPONSE: Duration = Duration::from_secs(1);

/// The usual time between the last try of a message and the message's deletion by the queue. The queue
/// deletes a message when its time to live ends. This constant is longer than a minute, because on some
/// platforms a poller runs only once a minute.
pub(crate) const LAST_TRY_BEFORE_DELETION: Duration = Duration::from_secs(2 * 60);

/// The shortest time between the last try of a message and the message's deletion by the queue. When the
/// poller hides a message, it looks at the time until the deletion, and chooses the moment of the last try:
///
/// - Four minutes or more: the last try comes two minutes before the deletion ([`LAST_TRY_BEFORE_DELETION`]).
/// - Three to four minutes: the last try comes when half of the time has passed.
/// - Less than three minutes: the last try comes 90 seconds before the deletion (this constant).
/// - About 90 seconds or less: there is no further try. The poller moves the message to the poison queue.
///
/// For example, a delayed message of Bot Framework Composer has two minutes left at its first try. If this
/// try fails, the poller hides the message for at most 30 seconds. The constant is more than a minute,
/// because a scheduler can start a run late.
pub(crate) const SHORTEST_BEFORE_DELETION: Duration = Duration::from_secs(90);

/// How long a message is hidden if it could not be put on the poison queue.
pub(crate) const POISON_RETRY_AFTER: Duration = Duration::from_secs(20);

/// A message is *overdue* if its own pause has ended, but no run has dequeued the message since then. While a
/// message is overdue, a run hides the younger messages of the conversation for at least half of the time for
/// which the message has been overdue, or for at least this constant, whichever is shorter. For example, if
/// the message has been overdue for 8 seconds, the run hides the younger messages for at least 4 seconds. If
/// the message has been overdue for a minute, the run hides the younger messages for at least 10 seconds.
pub(crate) const LONGEST_YOUNGER_PAUSE: Duration = Duration::from_secs(10);

/// The longest pause after a failure without `Retry-After`.
pub(crate) const LONGEST_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// The longest time that an alert waits for a Connector host that is down. The time begins when the alert is
/// due. After this time, the poller moves the alert to the poison queue.
pub(crate) const LONGEST_OUTAGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The pause between two checks whether the bot is installed for a person, in the first hour after the alert
/// is due ([`INSTALLED_SOON`]). This pause is short, because the person perhaps installs the bot soon.
pub(crate) const FIRST_INSTALLATION_PAUSE: Duration = Duration::from_secs(60);
/// The pause between two checks whether the bot is installed for a person, after the first hour.
pub(crate) const INSTALLATION_PAUSE: Duration = Duration::from_secs(5 * 60);
/// How long the poller uses [`FIRST_INSTALLATION_PAUSE`]. The time begins when the alert is due. Afterwards,
/// the poller uses [`INSTALLATION_PAUSE`].
pub(crate) const INSTALLED_SOON: Duration = Duration::from_secs(60 * 60);

/// The longest pause that the poller makes because of a `Retry-After`.
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

    /// The poller's waits have to be shorter than two time limits of the bot:
    ///
    /// - `SETTLED_WITHIN`: if no run records a result within this time after an alert is due, the bot shows
    ///   the state `overdue` to the sender. So the longest wait of an alert has to end within this time.
    /// - `DEQUEUED_WITHIN`: if the sender cancels an alert, the bot assumes that a run dequeues the alert's
    ///   message within this time, and that this run drops the alert. So each pause has to be shorter than
    ///   this time.
    #[test]
    fn longest_waits_are_shorter_than_the_time_limits_of_the_bot() {
        let lease = Limits::default().lease;
        assert!(LONGEST_OUTAGE + LONGEST_RETRY_AFTER + lease < SETTLED_WITHIN.to_std().unwrap());
        assert!(
            LONGEST_RETRY_AFTER.max(LONGEST_BACKOFF).max(INSTALLATION_PAUSE) + lease
                < DEQUEUED_WITHIN.to_std().unwrap()
        );
    }
}
