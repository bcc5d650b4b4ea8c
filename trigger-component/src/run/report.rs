//! The report of a run (one execution of the poller). The report becomes one JSON line in the log, and the
//! body of the HTTP response. In this file, a *message* is a message of the queue. A message in a chat is a
//! *chat message*.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::{Clock, Level, Log};
use serde_json::{Value, json};

use crate::attempt::PoisonReason;

/// The reason why a run does no work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SkipReason {
    /// Another run holds the *run lock* (a record in a table), and only this other run can work now. Or a
    /// newer version of the poller wrote the record, so this version does not know whether a run holds the
    /// lock.
    AnotherRun,
    /// All runs pause, because the login host or the Connector refused the bot's credentials.
    CredentialsRefused,
    /// All runs pause, because the login host issued no token, or because Direct Line (an API to which the
    /// poller can post alerts) opened no conversation.
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
    /// The run only deleted the message. Either the alert had ended before this attempt, or the message was a
    /// *job* with nothing to do. (A job is a queue message that sends no alert. For example, it brings a
    /// person's answer to a program.)
    AlreadySent,
    /// The run only deleted the message. An earlier run had put a copy of the message into the poison queue.
    AlreadyPoisoned,
    /// The message was a job, and the job is done.
    Answered,
    /// The message was deleted, because its alert had expired.
    Expired,
    /// The message was deleted, because the sender had cancelled the alert.
    Cancelled,
    /// The message was deleted, because a newer message takes its place: a newer alert with the same alert
    /// key, or a later change of the same alert.
    Replaced,
    /// The alert was taken back: the run deleted its chat message.
    Withdrawn,
    /// The message was deleted, because the person to whom the alert goes has sent `stop` or has asked to be
    /// forgotten.
    Stopped,
    /// The message was hidden, because the alert is not due yet, or because the person has quiet hours now.
    NotDue,
    /// The message was hidden, because the Connector limited the rate of requests (429).
    Throttled,
    /// The message was hidden until another attempt, because this attempt failed.
    Retried,
    /// The message was hidden without an attempt, because the Connector's host is down.
    HostOut,
    /// The message was hidden, because the bot is not installed for the person or in the team.
    NotInstalled,
    /// The message was hidden until one more attempt, because this attempt had no clear result. The alert was
    /// perhaps delivered.
    PossiblyDelivered,
    /// The message was deleted, because the alert was perhaps delivered, and its sender wants no second
    /// attempt.
    DroppedUncertain,
    /// The run makes the message visible again, because the login host or the Connector refused the bot's
    /// credentials.
    Credentials,
    /// The run makes the message visible again, because the login host issued no token or Direct Line opened
    /// no conversation.
    NoToken,
    /// The message was moved to the poison queue.
    Poisoned(PoisonReason),
    /// The message was hidden, because an older message of its conversation comes first.
    HiddenBehind,
    /// The run made the message visible again, because the run was at its end.
    Released,
    /// The run made the message visible again, because an earlier run had dequeued the message and was
    /// killed.
    Recovered,
    /// The alert was not sent, because the *lease* of its message had ended. (The lease is the time for which
    /// the queue hides a dequeued message.) Another run has perhaps dequeued the message.
    LeaseLost,
    /// The message stays on the queue, because the run could not read a table, or could not put the message
    /// on the poison queue.
    StorageTrouble,
}

impl Count {
    /// Whether the *figures* (the counts of all runs) count this result under `waits`. After such a result,
    /// the alert waits for another attempt.
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

    /// Returns the name of the field that counts this result in the report. If [`Count::is_wait`] returns
    /// `true` for this result, the figures use the same name.
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
            Self::HiddenBehind => "hiddenBehind",
            Self::Released => "released",
            Self::Recovered => "recovered",
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
    /// at its start. If a *kick* (a call from the bot after a Put Message call) started the run, the run
    /// makes no Peek Messages call at its start.
    pub polls: u32,
    /// The number of messages that the run dequeued.
    pub received: u32,
    /// The number of storage calls that the run has repeated.
    pub storage_retries: u32,
    /// How long the oldest dequeued message had been on the queue; `None` if the run dequeued no message.
    pub oldest: Option<Duration>,
    /// Whether the run's budget of time was used up, and the queue perhaps had more messages.
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

    pub(crate) fn saw_message_of_age(&mut self, age: Duration) {
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
        // Counts of zero are left out, except `delivered`. Otherwise, a poller that runs once a second would
        // fill the log with zeros.
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

    /// Writes the run's line to the log. Every run writes this line. If the lines are missing, an operator
    /// can see that the poller no longer runs.
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

    /// Returns an array of these variants. The code does not compile if a variant of [`Count`] other than
    /// `Poisoned` is missing.
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
