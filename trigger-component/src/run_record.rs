//! What the runs of a queue know of each other: one record in key-value.

use envelope::run_holds_until;
use platform::Clock;
use serde::Serialize;
use serde_json::Value;

use crate::custody::{self, Custody};

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
#[derive(Debug, Clone, Default)]
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
    /// `{run, untilMilliseconds, why?, held?}`
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            run: &'a str,
            until_milliseconds: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            why: Option<&'static str>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            held: Vec<custody::Written<'a>>,
        }
        let written = Written {
            run: &self.run,
            until_milliseconds: self.until_milliseconds,
            why: self.why.map(Busy::as_str),
            held: self.custodies.iter().map(Custody::written).collect(),
        };
        // Writing JSON into memory does not fail.
        serde_json::to_vec(&written).unwrap_or_default()
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
