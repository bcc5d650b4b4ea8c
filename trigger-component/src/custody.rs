//! What runs hold, as they tell it to each other.
//!
//! A run that is killed hands nothing back: the queue does that when the leases end, and knows no order. So a run notes what
//! it was handed before it works on any of it. What is younger in those conversations goes behind it, in every run; and when
//! the run that noted it must be over, another one hands it back by the receipts in the note, half a lease early.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::Clock;
use serde::Serialize;
use serde_json::Value;
use storage_queue::{MessageId, PopReceipt};

use crate::hold::{Age, Hold, Place};

/// After that long no run is at work any more: its last call is over after 26 s, and platforms end it after 30 s.
const LONGEST_RUN: Duration = Duration::from_secs(30);

/// A note that nobody could act on in that time is worth nothing: the leases have ended.
const WORTHLESS_AFTER: Duration = Duration::from_secs(90);

/// A message that a run was handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) id: MessageId,
    pub(crate) receipt: PopReceipt,
    /// The short name of its conversation's lane.
    pub(crate) lane: String,
    pub(crate) age: Age,
}

impl Taken {
    pub(crate) fn place(&self) -> Place {
        Place::new(self.id.as_str(), self.age)
    }
}

/// A [`Custody`] on its way into the store. Written with each Get, so without a tree of values in between.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Written<'a> {
    run: &'a str,
    edition: u64,
    since_milliseconds: i64,
    messages: Vec<WrittenMessage<'a>>,
}

/// Id, receipt, lane, and the age's two parts.
type WrittenMessage<'a> = (&'a str, &'a str, &'a str, i64, i64);

/// What one run holds, or held when it last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Custody {
    pub(crate) run: String,
    /// How often it had told by then.
    pub(crate) edition: u64,
    /// When that run began, on the calendar: the one clock that runs share.
    pub(crate) since_milliseconds: i64,
    pub(crate) messages: Vec<Taken>,
}

impl Custody {
    fn age(&self, clock: &impl Clock) -> Duration {
        let milliseconds = clock.now().timestamp_millis().saturating_sub(self.since_milliseconds);
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
    }

    /// Whether the run cannot be at work any more.
    pub(crate) fn is_over(&self, clock: &impl Clock) -> bool {
        self.age(clock) >= LONGEST_RUN
    }

    /// Adds what is held to what these lanes wait for. A lane that waits for nothing else counts from the moment at which
    /// that run began.
    pub(crate) fn hold_back(&self, told: &mut BTreeMap<String, Hold>, clock: &impl Clock) {
        let (now, age) = (clock.monotonic(), self.age(clock));
        let until = now + LONGEST_RUN.saturating_sub(age);
        for message in &self.messages {
            let hold = told.entry(message.lane.clone()).or_default();
            hold.is_elsewhere(&message.place(), until, age.saturating_sub(now));
        }
    }

    /// As it is written: `{run, edition, sinceMilliseconds, messages: [[id, receipt, lane, age, age], …]}`
    pub(crate) fn written(&self) -> Written<'_> {
        fn message(taken: &Taken) -> WrittenMessage<'_> {
            let Taken { id, receipt, lane, age } = taken;
            (id.as_str(), receipt.as_str(), lane, age.0, age.1)
        }
        Written {
            run: &self.run,
            edition: self.edition,
            since_milliseconds: self.since_milliseconds,
            messages: self.messages.iter().map(message).collect(),
        }
    }

    /// `None` for what makes no sense, or is worth nothing any more.
    pub(crate) fn from_json(value: &Value, clock: &impl Clock) -> Option<Self> {
        let text = |value: &Value| Some(value.as_str()?.to_owned());
        let message = |value: &Value| {
            Some(Taken {
                id: text(&value[0])?.into(),
                receipt: text(&value[1])?.into(),
                lane: text(&value[2])?,
                age: Age(value[3].as_i64()?, value[4].as_i64()?),
            })
        };
        let custody = Self {
            run: text(&value["run"])?,
            edition: value["edition"].as_u64()?,
            since_milliseconds: value["sinceMilliseconds"].as_i64()?,
            messages: value["messages"].as_array()?.iter().filter_map(message).collect(),
        };
        let ahead = custody.since_milliseconds.saturating_sub(clock.now().timestamp_millis());
        // From a clock that is ahead by more than clocks should be, it would hold for longer than any run lives.
        let makes_sense = ahead < i64::try_from(LONGEST_RUN.as_millis()).unwrap_or(i64::MAX);
        (makes_sense && custody.age(clock) < WORTHLESS_AFTER && !custody.messages.is_empty())
            .then_some(custody)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use platform::testing::FakeHost;
    use serde_json::json;

    use super::*;

    fn taken(id: &str, lane: &str) -> Taken {
        Taken {
            id: id.to_owned().into(),
            receipt: "r/+=".to_owned().into(),
            lane: lane.into(),
            age: Age(1, 2),
        }
    }

    fn custody(host: &FakeHost) -> Custody {
        Custody {
            run: "a".into(),
            edition: 1,
            since_milliseconds: host.now().timestamp_millis(),
            messages: vec![taken("m1", "x"), taken("m2", "y")],
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_until_it_is_worth_nothing() {
        let host = FakeHost::default();
        let custody = custody(&host);
        let written = serde_json::to_value(custody.written()).unwrap();
        for (seconds, is_over) in [(0, false), (29, false), (30, true), (89, true)] {
            host.elapsed.set(Duration::from_secs(seconds));
            assert_eq!(Custody::from_json(&written, &host).as_ref(), Some(&custody));
            assert_eq!(custody.is_over(&host), is_over, "{seconds} s");
        }
        host.elapsed.set(Duration::from_secs(90));
        assert_eq!(Custody::from_json(&written, &host), None);
    }

    #[test]
    fn what_makes_no_sense_holds_nobody() {
        let host = FakeHost::default();
        let good = serde_json::to_value(custody(&host).written()).unwrap();
        for (field, value) in [
            ("run", json!(1)),
            ("sinceMilliseconds", json!("x")),
            ("sinceMilliseconds", json!(host.now().timestamp_millis() + 30_000)),
            ("sinceMilliseconds", json!(i64::MIN)),
            ("messages", json!({})),
            ("messages", json!([])),
            ("messages", json!([["m1"], 7, ["m1", "r", "x", "1", 2]])),
        ] {
            let mut record = good.clone();
            record[field] = value;
            assert_eq!(Custody::from_json(&record, &host), None, "{record}");
        }
    }

    #[test]
    fn it_holds_back_what_is_younger_in_its_lanes() {
        let host = FakeHost::default();
        let custody = custody(&host);
        host.elapsed.set(Duration::from_secs(4));
        let mut told = BTreeMap::new();
        custody.hold_back(&mut told, &host);
        assert_eq!(told.keys().collect::<Vec<_>>(), ["x", "y"]);
        let now = host.monotonic();
        let waits = |id: &str, age| told["x"].holds_back(&Place::new(id, age), &BTreeSet::new(), now);
        assert!(waits("m9", Age(1, 3)) && !waits("m0", Age(1, 1)) && !waits("m1", Age(1, 2)));
        assert_eq!(told["x"].overdue(now), Duration::from_secs(4), "it has been away since the run began");
    }
}
