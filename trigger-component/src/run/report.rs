//! The report of a run. The report becomes one JSON line in the log, and the body of the HTTP response. A
//! *message* here is a message of the queue, unless the text says *chat message*.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::{Clock, Level, Log};
use serde_json::{Value, json};

use crate::attempt::PoisonReason;

/// The reason why a run does no work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SkipReason {
    /// Another run holds the run lock.
    AnotherRun,
    /// All runs pause, because the bot's credentials were refused.
    CredentialsRefused,
    /// All runs pause, because the login host issued no token, or Direct Line opened no conversation.
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

/// The result of one message. Each result has a field in the report, which counts the messages with this
/// result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// The Connector accepted the alert.
    Delivered,
    /// The message was only deleted, because its alert had ended before.
    AlreadySent,
    /// The message was only deleted, because an earlier run had put it into the poison queue.
    AlreadyPoisoned,
    /// The message was no alert. It brought a person's answer or chat message to a program.
    Answered,
    /// The message was deleted, because its alert had expired.
    Expired,
    /// The message was deleted, because the sender had cancelled the alert.
    Cancelled,
    /// The message was deleted, because a newer alert with the same alert key, or a later change of the
    /// alert, takes the alert's place.
    Replaced,
    /// The alert was taken back: its chat message was deleted.
    Withdrawn,
    /// The message was deleted, because the person has sent `stop` or has asked to be forgotten.
    Stopped,
    /// The message was hidden until the alert is due.
    NotDue,
    /// The message was hidden, because the Connector throttled the alert (429).
    Throttled,
    /// The message was hidden for another try, because the attempt failed.
    Retried,
    /// The message was hidden without a try, because the Connector's host is down.
    HostOut,
    /// The message was hidden, because the bot is not installed for the person or in the team.
    NotInstalled,
    /// The message was hidden for one more try, because the alert was perhaps delivered.
    PossiblyDelivered,
    /// The message was deleted, because the alert was perhaps delivered, and its sender wants no second try.
    DroppedUncertain,
    /// The message was put back on the queue, because the bot's credentials were refused.
    Credentials,
    /// The message was put back on the queue, because the login host issued no token or Direct Line opened no
    /// conversation.
    NoToken,
    /// The message was moved to the poison queue.
    Poisoned(PoisonReason),
    /// The message was hidden, because an older message of its conversation has to be finished first.
    HiddenBehind,
    /// The message was put back on the queue, because the run ended.
    Released,
    /// The message was put back on the queue, because the run that had dequeued it was killed.
    Recovered,
    /// The alert was not sent, because the lease of its message had ended. Another run has perhaps dequeued
    /// the message.
    LeaseLost,
    /// The message stays on the queue, because a table could not be read or the Put to the poison queue
    /// failed.
    StorageTrouble,
}

impl Count {
    /// Whether the alert has to wait after this result. The *figures* (the counts of all runs) have a counter
    /// for each of these results.
    pub(super) fn is_wait(self) -> bool {
        matches!(
            self,
            Self::NotDue
                | Self::Throttled
                | Self::Retried
                | Self::HostOut
                | Self::NotInstalled
                | Self::PossiblyDelivered
        )
    }

    /// Returns the name of the result's field in the report. The figures use the same name.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::AlreadySent => "alreadySent",
            Self::AlreadyPoisoned => "alreadyPoisoned",
            Self::Answered => "answered",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Replaced => "replaced",
            Self::Withdrawn => "withdrawn",
            Self::Stopped => "stopped",
            Self::NotDue => "notDue",
            Self::Throttled => "throttled",
            Self::Retried => "retried",
            Self::HostOut => "hostOut",
            Self::NotInstalled => "notInstalled",
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

/// The counts and times of one run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The run's id in the log.
    pub run: String,
    /// The number of calls that read the queue: all Get Messages calls of the run, and the Peek Messages call
    /// at its start. If a *kick* (a call by the bot, after a Put Message) started the run, there is no Peek
    /// Messages call.
    pub polls: u32,
    /// The number of messages that the run dequeued.
    pub received: u32,
    /// The number of storage calls that the run had to repeat.
    pub storage_retries: u32,
    /// How long the oldest dequeued message had been on the queue; `None` if the run dequeued no message.
    pub oldest: Option<Duration>,
    /// Whether the budget ended the run, although the queue perhaps had more messages.
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

    /// Returns how many messages had this result.
    pub(crate) fn count(&self, count: Count) -> u32 {
        self.counts.get(count.field()).copied().unwrap_or_default()
    }

    pub(crate) fn skip(&mut self, reason: SkipReason) {
        self.skipped = Some(reason);
    }

    pub(crate) fn saw(&mut self, age: Duration) {
        self.oldest = self.oldest.max(Some(age));
    }

    /// Returns the report as JSON.
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
        // Counts of zero are left out. Otherwise, a poller that runs once a second would fill the log with
        // zeros.
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

    /// Writes the run's line to the log. Every run writes this line, so that missing lines show that the
    /// poller no longer runs.
    pub(crate) fn log<H: Log + Clock>(&self, host: &H, entry_point: &str, error: Option<&str>) {
        let mut fields = self.to_json();
        fields["entryPoint"] = entry_point.into();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the values, and does not compile if a pattern for one variant of [`Count`] is missing.
    macro_rules! every_count {
        ($($variant:ident),+ $(,)?) => {{
            fn _is_complete(count: Count) {
                match count { $(Count::$variant)|+ | Count::Poisoned(_) => {} }
            }
            [$(Count::$variant),+]
        }};
    }

    #[test]
    fn counts_of_the_report_are_described_in_openapi() {
        let document = include_str!("../../../docs/openapi.yaml");
        let (_, report) = document.split_once("\n    Report:\n").expect("the document describes the report");
        let (report, _) = report.split_once("\n    Error:\n").expect("`Error` comes after the report");
        let counts = every_count![
            Delivered,
            AlreadySent,
            AlreadyPoisoned,
            Answered,
            Expired,
            Cancelled,
            Replaced,
            Withdrawn,
            Stopped,
            NotDue,
            Throttled,
            Retried,
            HostOut,
            NotInstalled,
            PossiblyDelivered,
            DroppedUncertain,
            Credentials,
            NoToken,
            HiddenBehind,
            Released,
            Recovered,
            LeaseLost,
            StorageTrouble,
        ];
        let fields = counts.into_iter().map(Count::field).chain(["poisoned", "poisonedBy"]);
        let missing: Vec<_> =
            fields.filter(|field| !report.contains(&format!("\n        {field}: {{"))).collect();
        assert!(missing.is_empty(), "missing in docs/openapi.yaml: {missing:?}");
    }
}
