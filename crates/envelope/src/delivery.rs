//! The poller's counts of its attempts to send an alert, and the rule for an attempt with no clear result.

use bot_framework::json::{FieldError, Fields, put};
use serde_json::{Map, Value};

/// The poller's own counts of its attempts. The queue also counts how often a message is dequeued
/// (DequeueCount). But not every dequeue is a failed attempt. For example, the Connector refuses an attempt
/// because of too many requests, or the run (one execution of the poller) has no time left for an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Attempts that failed, although the Connector's host was known to work. The number of these attempts is
    /// limited.
    pub tries: u32,
    /// Attempts that failed when the poller did not know whether the Connector's host was up or down. The
    /// number of these attempts has a limit of its own. For a job (a message that holds no alert), this field
    /// counts all failed attempts, and the number of attempts has no limit.
    pub outages: u32,
    /// Attempts that the Connector refused because of too many requests. These attempts do not count as
    /// failed. The number of these attempts has no limit.
    pub throttled: u32,
    /// Attempts with no clear result: perhaps the alert was delivered.
    pub uncertain: u32,
    /// The DequeueCount of the message when a run last recorded a result. For example, `accounted` is 3, and
    /// a run sees a DequeueCount of 6. Then two earlier runs dequeued the message (4 and 5) and recorded no
    /// result, perhaps because both runs were killed.
    pub accounted: u32,
}

impl Delivery {
    pub(crate) fn take(fields: &mut Fields) -> Result<Self, FieldError> {
        let Some(mut fields) = fields.object("delivery")? else { return Ok(Self::default()) };
        let mut count = |name: &str| match fields.take(name) {
            None => Ok(0),
            Some(value) => value
                .as_u64()
                .and_then(|count| u32::try_from(count).ok())
                .ok_or_else(|| fields.error(name, "a whole number from 0 to 4294967295")),
        };
        Ok(Self {
            tries: count("tries")?,
            outages: count("outages")?,
            throttled: count("throttled")?,
            uncertain: count("uncertain")?,
            accounted: count("accounted")?,
        })
    }

    pub(crate) fn put(&self, object: &mut Map<String, Value>) {
        if *self != Self::default() {
            put(object, "delivery", Some(self.to_json()));
        }
    }

    /// The JSON form: `{tries?, outages?, throttled?, uncertain?, accounted?}`. A count that is zero is left
    /// out.
    pub fn to_json(&self) -> Value {
        let mut counts = Map::new();
        for (name, count) in [
            ("tries", self.tries),
            ("outages", self.outages),
            ("throttled", self.throttled),
            ("uncertain", self.uncertain),
            ("accounted", self.accounted),
        ] {
            put(&mut counts, name, Some(count).filter(|count| *count > 0));
        }
        counts.into()
    }

    /// The sum of `tries`, `outages`, `throttled` and `uncertain`.
    pub fn attempts(&self) -> u32 {
        let counts = [self.tries, self.outages, self.throttled, self.uncertain];
        counts.into_iter().fold(0, u32::saturating_add)
    }

    /// Raises each count to its value in `json`, if that value is higher. `json` has the form that
    /// [`Delivery::to_json`] writes.
    pub fn raise_to(&mut self, json: &Value) {
        for (name, count) in [
            ("tries", &mut self.tries),
            ("outages", &mut self.outages),
            ("throttled", &mut self.throttled),
            ("uncertain", &mut self.uncertain),
            ("accounted", &mut self.accounted),
        ] {
            let known = json[name].as_u64().and_then(|count| u32::try_from(count).ok());
            *count = known.unwrap_or_default().max(*count);
        }
    }
}

/// Whether the poller tries again after an attempt with no clear result. Perhaps such an attempt has
/// delivered the alert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUncertain {
    /// The default: try once more. Perhaps the person sees the alert twice.
    #[default]
    Retry,
    /// Do not try again. Perhaps the person never sees the alert.
    Drop,
}

impl OnUncertain {
    /// Reads the word of `onUncertain`: `retry` or `drop`.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "retry" => Some(Self::Retry),
            "drop" => Some(Self::Drop),
            _ => None,
        }
    }

    pub(crate) fn take(fields: &mut Fields) -> Result<Self, FieldError> {
        let Some(word) = fields.string("onUncertain")? else { return Ok(Self::default()) };
        Self::from_word(&word).ok_or_else(|| fields.error("onUncertain", "`retry` or `drop`"))
    }

    pub(crate) fn put(self, object: &mut Map<String, Value>) {
        put(object, "onUncertain", (self == Self::Drop).then_some("drop"));
    }
}
