//! The line of a conversation in which a message has to wait.
//!
//! A message that is hidden comes back behind everything that stands on the queue by then. So that nothing overtakes it,
//! and nothing those that were hidden behind it, the messages that are away stand in a line, by their age, and one may go if
//! nothing older is away. The run that is at work is the only one that changes a line, and writes it down before it hides a
//! message.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::DateTime;
use platform::Clock;
use serde::{Deserialize, Serialize};
use state::runs::StoredLine;

use crate::limits::MAX_HIDE;

/// How long a message keeps its place after it should have come back. It may stand behind a long queue, or a run that was
/// killed had it: then it comes when its lease ends. One that is off the queue, and nobody lived to tell, never comes.
const GRACE: Duration = Duration::from_secs(90);
/// Of one conversation. Those behind them come back in the order in which they were hidden, mostly.
const LONGEST_LINE: usize = 64;

/// When a message was put on the queue, as the queue says, in seconds; within one, as its producer says, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Age(pub(crate) i64, pub(crate) i64);

/// A message's place in the line of its conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The message's id.
    pub(crate) id: String,
    pub(crate) age: Age,
    /// Until when it is waited for, once it stands in line.
    ends: Duration,
}

impl Place {
    /// The place of a message that stands in no line yet.
    pub(crate) fn new(id: &str, age: Age) -> Self {
        Self { id: id.to_owned(), age, ends: Duration::ZERO }
    }
}

/// What a conversation waits for. Moments are on the monotonic clock of this run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The messages that were hidden and have not been dealt with, the oldest first.
    places: Vec<Place>,
    /// The one of them that has to wait: before `until`, it alone may go.
    front: String,
    /// When that one is handed out again, at the latest.
    pub(crate) until: Duration,
    /// When the last one is handed out again, at the latest.
    pub(crate) tail: Duration,
    /// For how long `until` had passed before this run began to count.
    overdue: Duration,
}

impl Line {
    /// Whether there is still something to wait for.
    pub(crate) fn is_live(&self, now: Duration) -> bool {
        self.places.iter().any(|place| now < place.ends)
    }

    /// Whether this message stands in line.
    pub(crate) fn contains(&self, message: &str) -> bool {
        self.places.iter().any(|place| place.id == message)
    }

    /// Whether a message has to wait for another one, given which of the conversation's messages are here.
    pub(crate) fn must_wait(&self, place: &Place, here: &BTreeSet<String>, now: Duration) -> bool {
        let has_to_wait = now < self.until && place.id != self.front;
        let is_missing = |older: &Place| now < older.ends && !here.contains(&older.id);
        self.is_live(now) && (has_to_wait || self.places[..self.position(place)].iter().any(is_missing))
    }

    /// For how long the first message has been awaited in vain.
    pub(crate) fn overdue(&self, now: Duration) -> Duration {
        now.saturating_sub(self.until) + self.overdue
    }

    /// `front` has to wait until then, and everything with it; `next` will be hidden behind it.
    pub(crate) fn wait_behind(&mut self, front: &Place, next: &[Place], until: Duration) {
        self.hidden(front, until);
        next.iter().for_each(|place| self.hidden(place, until));
        self.front.clone_from(&front.id);
        (self.until, self.overdue) = (until, Duration::ZERO);
    }

    /// A message is hidden until then.
    pub(crate) fn hidden(&mut self, place: &Place, until: Duration) {
        self.expect(place, until + GRACE);
        self.tail = self.tail.max(until);
    }

    /// A message may come until then: somebody else had it.
    pub(crate) fn expect(&mut self, place: &Place, ends: Duration) {
        let position = self.position(place);
        if !self.contains(&place.id) {
            self.places.insert(position, place.clone());
        }
        let known = &mut self.places[position].ends;
        *known = ends.max(*known);
        self.places.truncate(LONGEST_LINE);
    }

    /// Nobody has to wait for this message any more. Says whether anybody did.
    pub(crate) fn remove(&mut self, message: &str) -> bool {
        let before = self.places.len();
        self.places.retain(|place| place.id != message);
        self.places.len() != before
    }

    /// A message is waited for as it was in an earlier form of this line, or not at all.
    pub(crate) fn restore(&mut self, message: &str, earlier: &Self) {
        self.remove(message);
        if let Some(place) = earlier.places.iter().find(|place| place.id == message) {
            self.expect(&Place::new(message, place.age), place.ends);
        }
    }

    /// Where a message stands, or would stand. Of the same age are those in front that came first.
    fn position(&self, place: &Place) -> usize {
        let known = self.places.iter().position(|other| other.id == place.id);
        known.unwrap_or_else(|| self.places.partition_point(|other| other.age <= place.age))
    }

    /// The line for the next run. Runs share the calendar only.
    pub(crate) fn to_stored(&self, lane: String, clock: &impl Clock) -> StoredLine {
        let milliseconds = |moment: Duration| {
            let ahead =
                i64::try_from(moment.saturating_sub(clock.monotonic()).as_millis()).unwrap_or(i64::MAX);
            clock.now().timestamp_millis().saturating_add(ahead)
        };
        let overdue = i64::try_from(self.overdue.as_millis()).unwrap_or(i64::MAX);
        let place = |place: &Place| (place.id.clone(), place.age, milliseconds(place.ends));
        let written = StoredForm {
            line: self.places.iter().map(place).collect(),
            front: self.front.clone(),
            until: milliseconds(self.until).saturating_sub(overdue),
            tail: milliseconds(self.tail),
        };
        let ends = written.line.iter().map(|(_, _, ends)| *ends).max().unwrap_or_default();
        StoredLine {
            lane,
            // Writing JSON into memory does not fail.
            text: serde_json::to_string(&written).unwrap_or_default(),
            ends_at: DateTime::from_timestamp_millis(ends).unwrap_or_default(),
        }
    }

    /// What an earlier run wrote; nothing to wait for, if it is over or makes no sense.
    pub(crate) fn from_stored(stored: &StoredLine, clock: &impl Clock) -> Self {
        let Ok(written) = serde_json::from_str::<StoredForm>(&stored.text) else { return Self::default() };
        let (now, monotonic) = (clock.now().timestamp_millis(), clock.monotonic());
        let duration =
            |milliseconds: i64| Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default());
        let ahead = |milliseconds: i64| milliseconds.saturating_sub(now);
        let past = |ahead: i64| duration(ahead.saturating_neg());
        let moment = |at: i64| (monotonic + duration(ahead(at))).saturating_sub(past(ahead(at)));
        let place = |(id, age, ends): (String, Age, i64)| {
            // A clock that was ahead must not hold a conversation for longer than the queue can hide a message.
            let makes_sense = ahead(ends) > 0 && duration(ahead(ends)) <= MAX_HIDE + GRACE;
            makes_sense.then(|| Place { id, age, ends: moment(ends) })
        };
        Self {
            places: written.line.into_iter().filter_map(place).collect(),
            front: written.front,
            until: moment(written.until),
            tail: moment(written.tail),
            overdue: past(ahead(written.until)).saturating_sub(monotonic),
        }
    }
}

/// A line in the table. Moments are in milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct StoredForm {
    line: Vec<(String, Age, i64)>,
    front: String,
    until: i64,
    tail: i64,
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// `m7` was put on the queue after `m6`.
    fn place(id: &str) -> Place {
        Place::new(id, Age(0, id.trim_start_matches('m').parse().unwrap()))
    }

    fn line(ids: &[&str], until: u64) -> Line {
        let mut line = Line::default();
        let next: Vec<Place> = ids[1..].iter().map(|id| place(id)).collect();
        line.wait_behind(&place(ids[0]), &next, seconds(until));
        line
    }

    fn ids(line: &Line) -> Vec<&str> {
        line.places.iter().map(|place| place.id.as_str()).collect()
    }

    #[test]
    fn who_has_to_wait() {
        let mut line = line(&["m2", "m3", "m4"], 5);
        line.hidden(&place("m6"), seconds(7));
        line.hidden(&place("m4"), seconds(6));
        assert_eq!((ids(&line), line.tail), (vec!["m2", "m3", "m4", "m6"], seconds(7)));
        let waits = |line: &Line, message: &str, here: &[&str], at: u64| {
            let here = here.iter().map(|id| (*id).to_owned()).collect();
            line.must_wait(&place(message), &here, seconds(at))
        };
        // Before its time, nothing goes but the one that was throttled; then, whatever has nothing older away.
        for (message, here, at, expected) in [
            ("m2", vec![], 1, false),
            ("m1", vec![], 1, true),
            ("m9", vec!["m2"], 1, true),
            ("m1", vec![], 6, false),
            ("m2", vec![], 6, false),
            ("m3", vec![], 6, true),
            ("m3", vec!["m2"], 6, false),
            ("m5", vec!["m2", "m3"], 6, true),
            ("m5", vec!["m2", "m3", "m4"], 6, false),
            ("m9", vec!["m2", "m3", "m4"], 6, true),
            ("m9", vec!["m2", "m3", "m4", "m6"], 6, false),
            // One that does not come back is not waited for for ever.
            ("m5", vec![], 94, true),
            ("m5", vec![], 97, false),
            ("m9", vec![], 96, true),
            ("m9", vec![], 97, false),
        ] {
            assert_eq!(waits(&line, message, &here, at), expected, "{message} {here:?} {at} s");
        }
        // It may have come back: that shortens nothing, and a new one is waited for so long only.
        let mut other = line.clone();
        other.expect(&place("m4"), seconds(9));
        assert_eq!(other, line);
        other.expect(&place("m1"), seconds(9));
        assert!(waits(&other, "m2", &[], 8) && !waits(&other, "m2", &[], 9));
        assert!(line.remove("m2") && !line.remove("m2"));
        assert!(!waits(&line, "m3", &[], 6));
        for index in 10..2 * LONGEST_LINE {
            line.hidden(&place(&format!("m{index}")), seconds(10));
        }
        assert_eq!(ids(&line).len(), LONGEST_LINE);
    }

    #[test]
    fn the_next_run_reads_what_one_has_written() {
        let host = FakeHost::default();
        let mut written = line(&["m1", "m2"], 10);
        written.hidden(&place("m3"), seconds(12));
        let stored = written.to_stored("a".into(), &host);
        assert_eq!(Line::from_stored(&stored, &host), written);
        assert_eq!(stored.ends_at, host.now() + seconds(12) + GRACE);
        host.elapsed.set(seconds(15));
        assert_eq!(Line::from_stored(&stored, &host).overdue(seconds(16)), seconds(6));
        // Never seen again: it ends all the same.
        host.elapsed.set(seconds(101));
        assert_eq!(ids(&Line::from_stored(&stored, &host)), ["m3"]);
        host.elapsed.set(seconds(102));
        assert!(!Line::from_stored(&stored, &host).is_live(seconds(102)));
    }

    #[test]
    fn what_makes_no_sense_holds_nobody() {
        let host = FakeHost::default();
        let far = r#"{"line":[["m1",[0,0],9999999999999]],"front":"m1","until":9999999999999,"tail":0}"#;
        for text in ["", "[]", "1", r#"{"line":["m1"]}"#, far] {
            let stored = StoredLine { lane: "a".into(), text: text.into(), ends_at: host.now() };
            assert!(!Line::from_stored(&stored, &host).is_live(Duration::ZERO), "{text}");
        }
    }
}
