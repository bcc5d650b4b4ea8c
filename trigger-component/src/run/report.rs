//! What a run did: one JSON line in the log, and the answer of the HTTP door.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::{Clock, Level, Log};
use serde_json::{Value, json};

use crate::attempt::PoisonReason;

/// Why a run leaves the work to others, or for later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SkipReason {
    /// Another run is at work.
    AnotherRun,
    /// The bot's credentials were refused a moment ago.
    CredentialsRefused,
    /// The login host gave no token a moment ago.
    NoToken,
}

impl SkipReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::AnotherRun => "anotherRun",
            Self::CredentialsRefused => "credentialsRefused",
            Self::NoToken => "noToken",
        }
    }
}

/// What became of one message. A closed list: each is a field of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// The Connector took it.
    Delivered,
    /// An earlier run had sent it, and was ended before it could say so: only deleted.
    AlreadySent,
    /// An earlier run had put it into the poison queue, and was ended before it could say so: only deleted.
    AlreadyPoisoned,
    /// Its time had passed.
    Expired,
    /// Its sender had cancelled it.
    Cancelled,
    /// The person wants no alerts from others.
    Stopped,
    /// Its time has not come: hidden until then.
    NotDue,
    /// Hidden, because the Connector is reason.
    Throttled,
    /// Hidden, because the Connector cannot be reached.
    Retried,
    /// Hidden without a try, because the Connector's host is out.
    HostOut,
    /// Hidden for one more try: nobody knows whether it was delivered.
    PossiblyDelivered,
    /// Nobody knows, and its sender wanted no second try.
    DroppedUncertain,
    /// The bot's credentials were refused: handed back.
    Credentials,
    /// The login host gave no token: handed back.
    NoToken,
    /// Given up.
    Poisoned(PoisonReason),
    /// Hidden behind an earlier message of its conversation.
    HiddenBehind,
    /// Handed back, because the run was over.
    Released,
    /// Handed back, because the run that had it was ended before it could do that.
    Recovered,
    /// Somebody else has it now.
    LeaseLost,
    /// The poison queue did not take it: it comes again.
    StorageTrouble,
}

impl Count {
    fn field(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::AlreadySent => "alreadySent",
            Self::AlreadyPoisoned => "alreadyPoisoned",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
            Self::NotDue => "notDue",
            Self::Throttled => "throttled",
            Self::Retried => "retried",
            Self::HostOut => "hostOut",
            Self::PossiblyDelivered => "possiblyDelivered",
            Self::DroppedUncertain => "droppedUncertain",
            Self::Credentials => "credentials",
            Self::NoToken => "noToken",
            Self::Poisoned(_) => "poisoned",
            Self::HiddenBehind => "heldBack",
            Self::Released => "released",
            Self::Recovered => "handedBack",
            Self::LeaseLost => "leaseLost",
            Self::StorageTrouble => "storageTrouble",
        }
    }
}

/// Counts of one run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Names the run in the log.
    pub run: String,
    /// Calls of Get Messages.
    pub polls: u32,
    /// Messages that they handed out.
    pub received: u32,
    /// Storage calls that had to be repeated.
    pub storage_retries: u32,
    /// How long the oldest message seen had been on the queue.
    pub oldest: Option<Duration>,
    /// Whether the budget ended the run, rather than an empty queue.
    pub out_of_budget: bool,
    /// How long the run took.
    pub elapsed: Duration,
    counts: BTreeMap<&'static str, u32>,
    poisoned: BTreeMap<&'static str, u32>,
    skipped: Option<SkipReason>,
}

impl Report {
    pub(crate) fn of_run(run: String) -> Self {
        Self { run, ..Self::default() }
    }

    pub(crate) fn add_many(&mut self, count: Count, messages: usize) {
        (0..messages).for_each(|_| self.add(count));
    }

    pub(crate) fn add(&mut self, count: Count) {
        *self.counts.entry(count.field()).or_default() += 1;
        if let Count::Poisoned(why) = count {
            *self.poisoned.entry(why.as_str()).or_default() += 1;
        }
    }

    pub(crate) fn skip(&mut self, reason: SkipReason) {
        self.skipped = Some(reason);
    }

    pub(crate) fn saw(&mut self, age: Duration) {
        self.oldest = self.oldest.max(Some(age));
    }

    /// The counts as JSON.
    pub fn to_json(&self) -> Value {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut report = json!({
            "run": self.run,
            "polls": self.polls,
            "received": self.received,
            "delivered": 0,
            "outOfBudget": self.out_of_budget,
            "elapsedMilliseconds": milliseconds(self.elapsed),
        });
        // What did not happen is left out: a run a second would fill the log with zeros.
        for (field, count) in &self.counts {
            report[*field] = (*count).into();
        }
        if self.storage_retries > 0 {
            report["storageRetries"] = self.storage_retries.into();
        }
        if let Some(oldest) = self.oldest {
            report["oldestSeconds"] = oldest.as_secs().into();
        }
        if !self.poisoned.is_empty() {
            report["poisonedBy"] = json!(self.poisoned);
        }
        if let Some(reason) = self.skipped {
            report["skipped"] = reason.as_str().into();
        }
        report
    }

    /// Writes the run's one line. Every run writes one, so that a poller that no longer runs is seen by its silence.
    pub(crate) fn log<H: Log + Clock>(&self, host: &H, entry_point: &str, error: Option<&str>) {
        let mut fields = self.to_json();
        fields["door"] = entry_point.into();
        let level = match error {
            Some(error) => {
                fields["error"] = error.into();
                Level::Error
            }
            None => Level::Info,
        };
        host.event(level, "drain", fields);
    }
}
