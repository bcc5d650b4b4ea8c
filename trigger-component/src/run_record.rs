//! What the runs of a queue know of each other: one record in key-value.

use envelope::run_holds_until;
use platform::Clock;
use serde_json::{Value, json};

use crate::custody::Custody;

/// Why a run leaves the work to others, or for later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// Another run is at work.
    AnotherRun,
    /// The bot's credentials were refused a moment ago.
    CredentialsRefused,
    /// The login host gave no token a moment ago.
    NoToken,
}

impl Busy {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AnotherRun => "anotherRun",
            Self::CredentialsRefused => "credentialsRefused",
            Self::NoToken => "noToken",
        }
    }
}

/// What runs know of each other, in key-value.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Who is at work; nobody, if it is empty.
    pub(crate) run: String,
    /// Until when, on the calendar.
    pub(crate) until_milliseconds: i64,
    /// Why nobody works.
    pub(crate) why: Option<Busy>,
    pub(crate) custodies: Vec<Custody>,
}

impl Record {
    pub(crate) fn to_json(&self) -> Value {
        let mut record = json!({"run": self.run, "untilMilliseconds": self.until_milliseconds});
        if let Some(why) = self.why {
            record["why"] = why.as_str().into();
        }
        if !self.custodies.is_empty() {
            record["held"] = self.custodies.iter().map(Custody::to_json).collect();
        }
        record
    }

    /// What makes no sense stops nobody.
    pub(crate) fn from_json(value: &Value, clock: &impl Clock) -> Self {
        let why =
            [Busy::NoToken, Busy::CredentialsRefused].into_iter().find(|why| value["why"] == why.as_str());
        Self {
            run: value["run"].as_str().unwrap_or_default().to_owned(),
            until_milliseconds: run_holds_until(value, clock),
            why,
            custodies: value["held"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|custody| Custody::from_json(custody, clock))
                .collect(),
        }
    }
}
