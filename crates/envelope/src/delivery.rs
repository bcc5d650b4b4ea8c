//! What the poller writes back into an envelope that it could not deliver yet.

use bot_framework::json::{FieldError, Fields, put};
use serde_json::{Map, Value};

/// The poller's own count of what it tried. The queue's DequeueCount cannot serve: it also counts hand-outs that were
/// nobody's failure (throttling, a run out of time).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Attempts that failed, and that count towards the limit.
    pub tries: u32,
    /// Attempts that failed while the Connector's host may have been out. They count towards a limit of their own, or towards
    /// none; see the poller.
    pub outages: u32,
    /// Attempts that were throttled; they do not count.
    pub throttled: u32,
    /// Attempts of which nobody knows whether they delivered it.
    pub uncertain: u32,
    /// The DequeueCount up to which every hand-out has been accounted for. Hand-outs beyond it ended without a word: a
    /// run that was killed.
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
                .ok_or_else(|| fields.error(name, "a small whole number")),
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

    /// `{tries?, outages?, throttled?, uncertain?, accounted?}`, without what is zero.
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

    /// Takes over what `json`, as of [`Delivery::to_json`], knows better: no count ever goes down.
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

/// What to do with an alert of which nobody knows whether it was delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUncertain {
    /// One more try: the person may see it twice. The default.
    #[default]
    Retry,
    /// None: the person may not see it at all.
    Drop,
}

impl OnUncertain {
    /// The field's words: `retry`, `drop`.
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
