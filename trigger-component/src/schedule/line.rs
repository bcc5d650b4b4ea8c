//! The waiting line of a conversation: its hidden messages, the oldest first.
//!
//! When a hidden message becomes visible, the queue hands it out after all messages that are already visible.
//! To keep the order of a conversation, the run records the hidden messages in a line. A message may start
//! only if no older message of the line is missing. Only the run that holds the lock changes a line. It
//! stores the line before it hides a message.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::DateTime;
use platform::Clock;
use serde::{Deserialize, Serialize};
use state::runs::StoredLine;

use crate::limits::MAX_HIDE;

/// How long a message keeps its place after it should have become visible. It may be behind a long queue, or
/// in the lease of a run that was killed. If the killed run has deleted the message, the message never
/// becomes visible again. Therefore the other messages stop waiting after this time.
const GRACE: Duration = Duration::from_secs(90);
/// The most places of a line. Further messages have no place. They usually keep their order without one,
/// because they become visible in the order in which they were hidden.
const LONGEST_LINE: usize = 64;

/// When a message was put on the queue: by the queue's clock in seconds, then by its producer's clock in
/// milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Age(pub(crate) i64, pub(crate) i64);

/// A message's place in the line of its conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The message's id.
    pub(crate) id: String,
    pub(crate) age: Age,
    /// Until when younger messages wait for this message, once it is in a line.
    ends: Duration,
}

impl Place {
    /// The place of a message that is in no line yet.
    pub(crate) fn new(id: &str, age: Age) -> Self {
        Self { id: id.to_owned(), age, ends: Duration::ZERO }
    }
}

/// The waiting line of a conversation. Moments are on the monotonic clock of this run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The messages that were hidden and are not finished, the oldest first.
    places: Vec<Place>,
    /// The id of the message that the others wait for. Before `until`, only this message may start.
    front: String,
    /// When the front message becomes visible, at the latest.
    pub(crate) until: Duration,
    /// When the last message becomes visible, at the latest.
    pub(crate) tail: Duration,
    /// If `until` is before the start of this run's clock: by how much. Otherwise zero.
    overdue: Duration,
}

impl Line {
    /// Whether younger messages still have to wait for a message of this line.
    pub(crate) fn is_live(&self, now: Duration) -> bool {
        self.places.iter().any(|place| now < place.ends)
    }

    /// Whether this message is in the line.
    pub(crate) fn contains(&self, message: &str) -> bool {
        self.places.iter().any(|place| place.id == message)
    }

    /// Whether a message has to wait for another one. `here`: the ids of the conversation's messages that are
    /// ready in this run.
    pub(crate) fn must_wait(&self, place: &Place, here: &BTreeSet<String>, now: Duration) -> bool {
        let is_before_front = now < self.until && place.id != self.front;
        let is_missing = |older: &Place| now < older.ends && !here.contains(&older.id);
        self.is_live(now) && (is_before_front || self.places[..self.position(place)].iter().any(is_missing))
    }

    /// Whether the line has a front message: one hidden message for which the others wait. If not, the line
    /// has only messages that a run has put back.
    pub(crate) const fn has_front(&self) -> bool {
        !self.front.is_empty()
    }

    /// Returns for how long the front message has been overdue. Without a front message, returns how long ago
    /// the last message should have become visible. If this was before the run read the line, the time counts
    /// from the reading.
    pub(crate) fn overdue(&self, now: Duration) -> Duration {
        let visible = if self.has_front() { self.until } else { self.until.max(self.tail) };
        now.saturating_sub(visible) + self.overdue
    }

    /// Records that `front` is hidden up to the moment `until`, and that the conversation waits for it. The
    /// messages of `next` will be hidden behind it.
    pub(crate) fn wait_behind(&mut self, front: &Place, next: &[Place], until: Duration) {
        self.set_hidden(front, until);
        next.iter().for_each(|place| self.set_hidden(place, until));
        self.front.clone_from(&front.id);
        (self.until, self.overdue) = (until, Duration::ZERO);
    }

    /// Records that a message is hidden up to the moment `until`.
    pub(crate) fn set_hidden(&mut self, place: &Place, until: Duration) {
        self.expect_until(place, until + GRACE);
        self.tail = self.tail.max(until);
    }

    /// Records that younger messages wait for this message until `ends`, if they do not already wait for
    /// longer. Recovery needs this for messages that a killed run had leased.
    pub(crate) fn expect_until(&mut self, place: &Place, ends: Duration) {
        let position = self.position(place);
        if !self.contains(&place.id) {
            self.places.insert(position, place.clone());
        }
        let known = &mut self.places[position].ends;
        *known = ends.max(*known);
        self.places.truncate(LONGEST_LINE);
    }

    /// Until when younger messages wait for a message of this line.
    pub(crate) fn ends(&self, message: &str) -> Option<Duration> {
        self.places.iter().find(|place| place.id == message).map(|place| place.ends)
    }

    /// Removes a message, so that no other message waits for it. Returns whether it was in the line.
    pub(crate) fn remove(&mut self, message: &str) -> bool {
        let before = self.places.len();
        self.places.retain(|place| place.id != message);
        self.places.len() != before
    }

    /// Gives a message the place that it had in an earlier copy of this line, or removes it if it had none.
    pub(crate) fn restore(&mut self, message: &str, earlier: &Self) {
        self.remove(message);
        if let Some(place) = earlier.places.iter().find(|place| place.id == message) {
            self.expect_until(&Place::new(message, place.age), place.ends);
        }
    }

    /// Returns the index of a message, or the index at which it would be inserted: behind messages of the
    /// same age.
    fn position(&self, place: &Place) -> usize {
        let known = self.places.iter().position(|other| other.id == place.id);
        known.unwrap_or_else(|| self.places.partition_point(|other| other.age <= place.age))
    }

    /// Returns the line as it is stored for the next run. Its moments are dates, because each run has a
    /// monotonic clock of its own.
    pub(crate) fn to_stored(&self, lane: String, clock: &impl Clock) -> StoredLine {
        let milliseconds = |moment: Duration| {
            let ahead =
                i64::try_from(moment.saturating_sub(clock.monotonic()).as_millis()).unwrap_or(i64::MAX);
            clock.now().timestamp_millis().saturating_add(ahead)
        };
        let overdue = i64::try_from(self.overdue.as_millis()).unwrap_or(i64::MAX);
        let place = |place: &Place| (place.id.clone(), place.age, milliseconds(place.ends));
        let stored = StoredForm {
            line: self.places.iter().map(place).collect(),
            front: self.front.clone(),
            until: milliseconds(self.until).saturating_sub(overdue),
            tail: milliseconds(self.tail),
        };
        let ends = stored.line.iter().map(|(_, _, ends)| *ends).max().unwrap_or_default();
        StoredLine {
            lane,
            // Writing JSON into memory does not fail.
            text: serde_json::to_string(&stored).unwrap_or_default(),
            ends_at: DateTime::from_timestamp_millis(ends).unwrap_or_default(),
        }
    }

    /// Reads the line that an earlier run stored. Places that have expired or cannot be right are left out.
    /// If the stored text cannot be read, the result is a line without messages.
    pub(crate) fn from_stored(stored: &StoredLine, clock: &impl Clock) -> Self {
        let Ok(written) = serde_json::from_slice::<StoredForm>(stored.text.as_bytes()) else {
            return Self::default();
        };
        let (now, monotonic) = (clock.now().timestamp_millis(), clock.monotonic());
        let duration =
            |milliseconds: i64| Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default());
        let ahead = |milliseconds: i64| milliseconds.saturating_sub(now);
        let past = |ahead: i64| duration(ahead.saturating_neg());
        let moment = |at: i64| (monotonic + duration(ahead(at))).saturating_sub(past(ahead(at)));
        let place = |(id, age, ends): (String, Age, i64)| {
            // A run whose clock was ahead may have stored the line. The conversation must not wait for longer
            // than the queue can hide a message.
            let is_possible = ahead(ends) > 0 && duration(ahead(ends)) <= MAX_HIDE + GRACE;
            is_possible.then(|| Place { id, age, ends: moment(ends) })
        };
        let places = written.line.into_iter().filter_map(place).collect();
        let (front, tail) = (written.front, moment(written.tail));
        if front.is_empty() {
            return Self { places, front, until: monotonic, tail, overdue: Duration::ZERO };
        }
        let overdue = past(ahead(written.until)).saturating_sub(monotonic);
        Self { places, front, until: moment(written.until), tail, overdue }
    }
}

/// The JSON form of a line in the table. Moments are in milliseconds since 1970.
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

    /// The place of a message whose age is the number in its id: `m7` was put on the queue after `m6`.
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
    fn message_with_an_older_one_missing_has_to_wait() {
        let mut line = line(&["m2", "m3", "m4"], 5);
        line.set_hidden(&place("m6"), seconds(7));
        line.set_hidden(&place("m4"), seconds(6));
        assert_eq!((ids(&line), line.tail), (vec!["m2", "m3", "m4", "m6"], seconds(7)));
        let waits = |line: &Line, message: &str, here: &[&str], at: u64| {
            let here = here.iter().map(|id| (*id).to_owned()).collect();
            line.must_wait(&place(message), &here, seconds(at))
        };
        // Until the front message becomes visible after 5 s, only that message may start. After that, a
        // message may start if no older one is missing.
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
            // If a message does not become visible, the others stop waiting for it after `GRACE`.
            ("m5", vec![], 94, true),
            ("m5", vec![], 97, false),
            ("m9", vec![], 96, true),
            ("m9", vec![], 97, false),
        ] {
            assert_eq!(waits(&line, message, &here, at), expected, "{message} {here:?} {at} s");
        }
        // `expect_until` never shortens a wait. If the message was not in the line, the others wait for it
        // until `ends`, without `GRACE`.
        let mut other = line.clone();
        other.expect_until(&place("m4"), seconds(9));
        assert_eq!(other, line);
        other.expect_until(&place("m1"), seconds(9));
        assert!(waits(&other, "m2", &[], 8) && !waits(&other, "m2", &[], 9));
        assert!(line.remove("m2") && !line.remove("m2"));
        assert!(!waits(&line, "m3", &[], 6));
        for index in 10..2 * LONGEST_LINE {
            line.set_hidden(&place(&format!("m{index}")), seconds(10));
        }
        assert_eq!(ids(&line).len(), LONGEST_LINE);
    }

    #[test]
    fn stored_line_that_the_next_run_reads_is_the_same() {
        let host = FakeHost::default();
        let mut written = line(&["m1", "m2"], 10);
        written.set_hidden(&place("m3"), seconds(12));
        let stored = written.to_stored("a".into(), &host);
        assert_eq!(Line::from_stored(&stored, &host), written);
        assert_eq!(stored.ends_at, host.now() + seconds(12) + GRACE);
        host.elapsed.set(seconds(15));
        assert_eq!(Line::from_stored(&stored, &host).overdue(seconds(16)), seconds(6));
        // A message that no run dequeues again in time loses its place.
        host.elapsed.set(seconds(101));
        assert_eq!(ids(&Line::from_stored(&stored, &host)), ["m3"]);
        host.elapsed.set(seconds(102));
        assert!(!Line::from_stored(&stored, &host).is_live(seconds(102)));
    }

    #[test]
    fn stored_line_that_cannot_be_right_makes_no_message_wait() {
        let host = FakeHost::default();
        let far = r#"{"line":[["m1",[0,0],9999999999999]],"front":"m1","until":9999999999999,"tail":0}"#;
        for text in ["", "[]", "1", r#"{"line":["m1"]}"#, far] {
            let stored = StoredLine { lane: "a".into(), text: text.into(), ends_at: host.now() };
            assert!(!Line::from_stored(&stored, &host).is_live(Duration::ZERO), "{text}");
        }
    }
}
