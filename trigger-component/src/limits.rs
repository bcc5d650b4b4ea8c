//! The numbers that a run keeps to, in one place.

use std::time::Duration;

/// The numbers of a run. [`Limits::default`] is what runs; tests take smaller ones.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Messages per Get: the most that the queue hands out.
    pub batch: u8,
    /// How long a message is ours: longer than a run, and short enough that what a killed run held comes back soon.
    pub lease: Duration,
    /// When a run starts no more work.
    pub budget: Duration,
    /// When a run's last call is over: hosted platforms end a request after 30 s.
    pub hard_end: Duration,
    /// Conversations that are worked on at once.
    pub conversations_at_once: usize,
    /// Waiting messages below which more are fetched.
    pub fetch_below: usize,
    /// Failed attempts after which an alert is moved to the poison queue, if the Connector's host worked meanwhile.
    pub max_tries: u32,
    /// The same where nobody can tell whether the host worked, because no other conversation was tried. They take about 17
    /// minutes.
    pub max_outages: u32,
    /// Hand-outs without any outcome after which an alert is given up.
    pub max_unaccounted: u32,
    /// The longest wait after a first failure; it doubles with each.
    pub backoff: Duration,
    /// The same after a first throttling that did not say how long.
    pub throttled_backoff: Duration,
    /// The pause before an alert is tried again of which nobody knows whether it was delivered.
    pub uncertain_pause: Duration,
    /// Between two messages into one conversation: Teams takes 7 a second.
    pub conversation_gap: Duration,
    /// Between two messages into one channel and tenant; zero is no limit.
    pub tenant_gap: Duration,
}

/// What is left of a run when the last answer of a Connector is awaited no longer: something has to be done about it.
pub(crate) const AFTER_LAST_RESPONSE: Duration = Duration::from_secs(1);

/// A message that the queue will forget is handed out again this long before, for its last try: pollers look once a
/// minute, on some platforms.
pub(crate) const LAST_TRY_BEFORE_DELETION: Duration = Duration::from_secs(2 * 60);

/// The same of one that has less than twice that left, as Composer's delayed ones have from the beginning: at half of it, but
/// not later. More than a minute, because a poller's minutes are not exact.
pub(crate) const SHORTEST_BEFORE_DELETION: Duration = Duration::from_secs(90);

/// How long a message waits that the poison queue did not take.
pub(crate) const POISON_RETRY_AFTER: Duration = Duration::from_secs(20);

/// The longest pause behind a message that should be back already.
pub(crate) const LONGEST_PUSH: Duration = Duration::from_secs(10);

/// The longest wait after a failure for which the service named none.
pub(crate) const LONGEST_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// The longest wait that a service may ask for.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// The longest visibility time-out that the queue takes.
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
    /// [`Limits::lease`], as the queue takes it.
    pub(crate) fn lease_seconds(&self) -> u32 {
        u32::try_from(self.lease.as_secs()).unwrap_or(u32::MAX)
    }

    /// With `per_second` messages into one channel and tenant; 0 is no limit.
    pub(crate) fn with_pace(mut self, per_second: u32) -> Self {
        self.tenant_gap = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        self
    }
}
