//! The *waiting line* (*line*) of a conversation: the messages that runs have hidden and have not finished,
//! the oldest first. A *run* is one execution of the poller. The queue hands out no *hidden* message.
//!
//! When a hidden message becomes visible, the queue hands it out after all messages that are already visible.
//! To keep the order of a conversation, the run records the hidden messages in a line. A message has to wait
//! if an older message of the line is *missing*. An older message is missing if it is still hidden, or if
//! this run has not dequeued it yet. (In `runs/recovery.rs`, *missing* has another meaning.)
//!
//! Only the run that holds the run lock (a record in a table) changes a line. The run stores the line before
//! it hides a message.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::DateTime;
use platform::Clock;
use serde::{Deserialize, Serialize};
use state::runs::StoredLine;

use crate::limits::MAX_HIDE;

/// How long younger messages wait for a hidden message after this message has become visible. A run can
/// dequeue the message late, because the queue is long, or because a killed run has leased the message. The
/// wait has an end, because perhaps a killed run has deleted the message.
const GRACE: Duration = Duration::from_secs(90);
/// The greatest number of places in a line. If there are more messages, the youngest messages get no place.
/// They usually keep their order without a place, because they become visible in the order in which they were
/// hidden.
const LONGEST_LINE: usize = 64;

/// The time at which a message was put on the queue. The first number is the queue's insertion time in
/// seconds. The second number orders messages of the same second. It is the time at which the bot accepted
/// the alert, in milliseconds, as the envelope says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Age(pub(crate) i64, pub(crate) i64);

/// A message's place in the line of its conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The message's id.
    pub(crate) id: String,
    pub(crate) age: Age,
    /// Younger messages wait for this message until this moment. Zero if the message is in no line.
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
    /// The messages that runs have hidden and have not finished, the oldest first.
    places: Vec<Place>,
    /// The id of the *front message*: the other messages wait for this message. Before `until`, the run must
    /// start none of the other messages. The id is empty if the line has no front message.
    front: String,
    /// The front message becomes visible at this moment at the latest.
    pub(crate) until: Duration,
    /// All messages that runs have hidden are visible at this moment at the latest.
    pub(crate) tail: Duration,
    /// The time from the moment at which the front message became visible to the start of this run's
    /// monotonic clock. Zero if the front message became visible after this start. The field `until` cannot
    /// express an earlier moment, because a `Duration` is never negative.
    overdue: Duration,
}

impl Line {
    /// Whether younger messages still have to wait for any message of this line.
    pub(crate) fn is_live(&self, now: Duration) -> bool {
        self.places.iter().any(|place| now < place.ends)
    }

    /// Whether this message is in the line.
    pub(crate) fn contains(&self, message: &str) -> bool {
        self.places.iter().any(|place| place.id == message)
    }

    /// Whether the message of `place` has to wait for another message. `here`: the ids of the conversation's
    /// messages that this run has dequeued and not started.
    pub(crate) fn must_wait(&self, place: &Place, here: &BTreeSet<String>, now: Duration) -> bool {
        let is_before_front = now < self.until && place.id != self.front;
        let is_missing = |older: &Place| now < older.ends && !here.contains(&older.id);
        self.is_live(now) && (is_before_front || self.places[..self.position(place)].iter().any(is_missing))
    }

    /// Whether the line has a front message, or had a front message that is finished now. Some lines never
    /// have a front message. For example, if a run has no time for its dequeued messages of a conversation,
    /// the run makes these messages visible again. They also get places in the line, because the queue can
    /// hand out younger messages first. But none of them becomes the front message.
    pub(crate) const fn has_front(&self) -> bool {
        !self.front.is_empty()
    }

    /// Returns for how long the front message has been *overdue*: the time after it became visible. If the
    /// line has no front message, the time counts from the moment at which all messages of the line are
    /// visible, or from the moment at which this run read the line, whichever is later.
    pub(crate) fn overdue(&self, now: Duration) -> Duration {
        let visible = if self.has_front() { self.until } else { self.until.max(self.tail) };
        now.saturating_sub(visible) + self.overdue
    }

    /// Makes the message `front` the front message, which is hidden until the moment `until`. The messages of
    /// `next` also get places, because the run hides them next.
    pub(crate) fn wait_behind(&mut self, front: &Place, next: &[Place], until: Duration) {
        self.set_hidden(front, until);
        next.iter().for_each(|place| self.set_hidden(place, until));
        self.front.clone_from(&front.id);
        (self.until, self.overdue) = (until, Duration::ZERO);
    }

    /// Records that a message is hidden until the moment `until`.
    pub(crate) fn set_hidden(&mut self, place: &Place, until: Duration) {
        self.expect_until(place, until + GRACE);
        self.tail = self.tail.max(until);
    }

    /// Records that younger messages wait for this message until `ends`. If younger messages already wait for
    /// this message until a later moment, changes nothing. The recovery calls this function for messages that
    /// a killed run had leased.
    pub(crate) fn expect_until(&mut self, place: &Place, ends: Duration) {
        let position = self.position(place);
        if !self.contains(&place.id) {
            self.places.insert(position, place.clone());
        }
        let known = &mut self.places[position].ends;
        *known = ends.max(*known);
        self.places.truncate(LONGEST_LINE);
    }

    /// Returns the moment until which younger messages wait for a message; `None` if the message is not in
    /// the line.
    pub(crate) fn ends(&self, message: &str) -> Option<Duration> {
        self.places.iter().find(|place| place.id == message).map(|place| place.ends)
    }

    /// Removes a message, so no other message waits for it any more. Returns whether the message was in the
    /// line.
    pub(crate) fn remove(&mut self, message: &str) -> bool {
        let before = self.places.len();
        self.places.retain(|place| place.id != message);
        self.places.len() != before
    }

    /// Gives a message the place that it had in an earlier copy of this line. If the message had no place
    /// there, removes the message.
    pub(crate) fn restore(&mut self, message: &str, earlier: &Self) {
        self.remove(message);
        if let Some(place) = earlier.places.iter().find(|place| place.id == message) {
            self.expect_until(&Place::new(message, place.age), place.ends);
        }
    }

    /// Returns the index of a message. If the message is not in the line, returns the index at which it has
    /// to be inserted: directly before the younger messages.
    fn position(&self, place: &Place) -> usize {
        let known = self.places.iter().position(|other| other.id == place.id);
        known.unwrap_or_else(|| self.places.partition_point(|other| other.age <= place.age))
    }

    /// Returns the line in the form in which the run stores it for the next run. The stored moments are
    /// calendar times, because each run has its own monotonic clock.
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

    /// Reads the line that an earlier run stored. Leaves out a place if its moment `ends` has passed. Also
    /// leaves out a place if `ends` is too far ahead: the queue cannot hide a message for so long. If the
    /// stored text cannot be read, returns a line without messages.
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
            // `ends` can be too far ahead if the clock of the run that stored the line was ahead.
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

    /// The place of a message. The number in its id is its age: `m7` was put on the queue after `m6`.
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
    fn message_waits_while_an_older_message_is_missing() {
        let mut line = line(&["m2", "m3", "m4"], 5);
        line.set_hidden(&place("m6"), seconds(7));
        line.set_hidden(&place("m4"), seconds(6));
        assert_eq!((ids(&line), line.tail), (vec!["m2", "m3", "m4", "m6"], seconds(7)));
        let waits = |line: &Line, message: &str, here: &[&str], at: u64| {
            let here = here.iter().map(|id| (*id).to_owned()).collect();
            line.must_wait(&place(message), &here, seconds(at))
        };
        // The front message `m2` becomes visible after 5 s. Before that, only `m2` can start. After that, a
        // message can start if no older message is missing.
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
            // If a message does not become visible, the others stop waiting for it when `GRACE` has passed.
            ("m5", vec![], 94, true),
            ("m5", vec![], 97, false),
            ("m9", vec![], 96, true),
            ("m9", vec![], 97, false),
        ] {
            assert_eq!(waits(&line, message, &here, at), expected, "{message} {here:?} {at} s");
        }
        // `expect_until` never shortens a wait. If `expect_until` inserts a message, the others wait for this
        // message until the given moment (9 s), without the additional time `GRACE`.
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
    fn stored_line_that_the_next_run_reads_keeps_each_place_until_its_end() {
        let host = FakeHost::default();
        let mut written = line(&["m1", "m2"], 10);
        written.set_hidden(&place("m3"), seconds(12));
        let stored = written.to_stored("a".into(), &host);
        assert_eq!(Line::from_stored(&stored, &host), written);
        assert_eq!(stored.ends_at, host.now() + seconds(12) + GRACE);
        host.elapsed.set(seconds(15));
        assert_eq!(Line::from_stored(&stored, &host).overdue(seconds(16)), seconds(6));
        // When the moment `ends` of a place has passed, the message loses its place.
        host.elapsed.set(seconds(101));
        assert_eq!(ids(&Line::from_stored(&stored, &host)), ["m3"]);
        host.elapsed.set(seconds(102));
        assert!(!Line::from_stored(&stored, &host).is_live(seconds(102)));
    }

    #[test]
    fn stored_line_with_a_wrong_text_or_a_too_long_wait_makes_no_message_wait() {
        let host = FakeHost::default();
        let far = r#"{"line":[["m1",[0,0],9999999999999]],"front":"m1","until":9999999999999,"tail":0}"#;
        for text in ["", "[]", "1", r#"{"line":["m1"]}"#, far] {
            let stored = StoredLine { lane: "a".into(), text: text.into(), ends_at: host.now() };
            assert!(!Line::from_stored(&stored, &host).is_live(Duration::ZERO), "{text}");
        }
    }
}
