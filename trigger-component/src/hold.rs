//! Conversations that have to wait for a message of theirs, told from run to run.
//!
//! A message that is hidden comes back behind everything that stands on the queue by then. So that nothing overtakes it,
//! and nothing those that were pushed behind it, its conversation is held: the messages that are away stand in a line, by
//! their age, and one may go if nothing older is away. In key-value, one record per conversation; a flag says whether there may
//! be any, so that a queue without trouble costs one read with every Get. Runs do not lock it: where two change the same
//! conversation's record at once, a message can overtake, and nothing else happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use envelope::HELD;
use platform::{Clock, Host};
use serde_json::{Value, json};

use crate::limits::MAX_HIDE;

/// How long a message keeps its place after it should have come back. It may stand behind a long queue, or a run that was
/// killed had it: then it comes when its lease ends. One that is off the queue, and nobody lived to tell, never comes.
const GRACE: Duration = Duration::from_secs(90);

/// How far the flag is set ahead, so that it is not written with every hold.
const FLAG_AHEAD: Duration = Duration::from_secs(60);
/// Of one conversation. Those behind them come back in the order in which they were hidden, mostly.
const LONGEST_LINE: usize = 64;

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

/// When a message was put on the queue, as the queue says, in seconds; within one, as its producer says, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age(pub(crate) i64, pub(crate) i64);

/// What a conversation waits for. Moments are on the monotonic clock of this run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hold {
    /// The messages that were hidden and have not been dealt with, the oldest first.
    line: Vec<Place>,
    /// The one of them that has to wait: before `until`, it alone may go.
    front: String,
    /// When that one is handed out again, at the latest.
    pub(crate) until: Duration,
    /// When the last one is handed out again, at the latest.
    pub(crate) tail: Duration,
    /// For how long `until` had passed before this run began to count.
    overdue: Duration,
    /// Whether another run has one of them: true only as long as that run says so.
    pub(crate) elsewhere: bool,
}

impl Hold {
    /// Whether there is still something to wait for.
    pub(crate) fn is_live(&self, now: Duration) -> bool {
        self.line.iter().any(|place| now < place.ends)
    }

    /// Whether this message stands in line.
    pub(crate) fn holds(&self, message: &str) -> bool {
        self.line.iter().any(|place| place.id == message)
    }

    /// Whether a message has to wait for another one, given which of the conversation's messages are here.
    pub(crate) fn holds_back(&self, place: &Place, here: &BTreeSet<String>, now: Duration) -> bool {
        let has_to_wait = now < self.until && place.id != self.front;
        let is_live = self.is_live(now);
        is_live
            && (has_to_wait
                || self.line[..self.position(place)]
                    .iter()
                    .any(|older| now < older.ends && !here.contains(&older.id)))
    }

    /// Whether this message is the first in line.
    pub(crate) fn is_first(&self, place: &Place) -> bool {
        self.line.first().is_some_and(|first| first.id == place.id)
    }

    /// For how long the first message has been awaited in vain.
    pub(crate) fn overdue(&self, now: Duration) -> Duration {
        now.saturating_sub(self.until) + self.overdue
    }

    /// Where a message stands, or would stand. Of the same age are those in front that came first.
    fn position(&self, place: &Place) -> usize {
        let known = self.line.iter().position(|other| other.id == place.id);
        known.unwrap_or_else(|| self.line.partition_point(|other| other.age <= place.age))
    }

    /// Lets a message in that is hidden until then.
    fn enter(&mut self, place: &Place, until: Duration) {
        self.expect(place, until + GRACE);
    }

    /// Lets a message in that is waited for until then.
    fn expect(&mut self, place: &Place, ends: Duration) {
        let position = self.position(place);
        if !self.holds(&place.id) {
            self.line.insert(position, place.clone());
        }
        self.line[position].ends = ends;
        self.line.truncate(LONGEST_LINE);
    }

    /// Lets a message in that another run has, until then, and has had for so long.
    pub(crate) fn is_elsewhere(&mut self, place: &Place, until: Duration, since: Duration) {
        if self.line.is_empty() {
            self.overdue = since;
        }
        if !self.holds(&place.id) {
            self.enter(place, until);
        }
        self.elsewhere = true;
    }

    /// Applies a change. Says whether it was one.
    pub(crate) fn apply(&mut self, change: &Change) -> bool {
        let before = self.clone();
        match change {
            Change::Behind { front, next, until } => {
                self.enter(front, *until);
                next.iter().for_each(|place| self.enter(place, *until));
                self.front.clone_from(&front.id);
                (self.until, self.overdue) = (*until, Duration::ZERO);
            }
            Change::Pushed(pushed) => {
                for (place, tail) in pushed {
                    self.enter(place, *tail);
                    self.tail = self.tail.max(*tail);
                }
            }
            Change::Expected(expected) => {
                for (place, ends) in expected {
                    // Whoever knows more of it has told to wait for longer.
                    let known = self.line.iter().find(|other| other.id == place.id).map(|known| known.ends);
                    self.expect(place, known.unwrap_or_default().max(*ends));
                }
            }
            Change::Settled(messages) => self.line.retain(|place| !messages.contains(&place.id)),
        }
        *self != before
    }
}

/// What happened to a conversation's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// `front` is hidden until then, and everything waits for it; `next` will be.
    Behind { front: Place, next: Vec<Place>, until: Duration },
    /// These are hidden behind the others, until those moments.
    Pushed(Vec<(Place, Duration)>),
    /// These may come, until those moments.
    Expected(Vec<(Place, Duration)>),
    /// These are dealt with.
    Settled(Vec<String>),
}

impl Change {
    fn is_empty(&self) -> bool {
        match self {
            Self::Behind { .. } => false,
            Self::Pushed(places) | Self::Expected(places) => places.is_empty(),
            Self::Settled(messages) => messages.is_empty(),
        }
    }
}

/// The holds of a queue, as runs tell them to each other. As marks they are swept when they are over.
#[derive(Debug)]
pub(crate) struct Holds {
    flag: String,
}

impl Holds {
    pub(crate) fn new(queue: &str) -> Self {
        Self { flag: format!("{}{queue}", HELD.prefix) }
    }

    /// What runs have told about these lanes, by their names. A store that does not answer holds nothing.
    pub(crate) async fn read(
        &self,
        host: &impl Host,
        lanes: impl Iterator<Item = String>,
    ) -> BTreeMap<String, Hold> {
        let mut holds = BTreeMap::new();
        if self.read_flag(host).await < host.now().timestamp() {
            return holds;
        }
        for lane in lanes {
            if !holds.contains_key(&lane)
                && let Some(hold) = self.read_lane(host, &lane).await
            {
                holds.insert(lane, hold);
            }
        }
        holds
    }

    /// Tells what happened to a conversation's line: to what other runs have told meanwhile, not to what this one knew.
    pub(crate) async fn tell(&self, host: &impl Host, lane: &str, change: &Change) {
        if change.is_empty() {
            return;
        }
        let mut hold = self.read_lane(host, lane).await.unwrap_or_default();
        if !hold.apply(change) {
            return;
        }
        // Where the store fails, the order is kept within this run only.
        if hold.is_live(host.monotonic()) {
            let record = to_json(&hold, host);
            _ = host.set(&self.key(lane), record.to_string().as_bytes()).await;
            let until = record["until"].as_i64().unwrap_or_default();
            if self.read_flag(host).await < until {
                let ahead = i64::try_from(FLAG_AHEAD.as_secs()).unwrap_or_default();
                let flag = json!({"until": until.saturating_add(ahead)});
                _ = host.set(&self.flag, flag.to_string().as_bytes()).await;
            }
        } else {
            _ = host.delete(&self.key(lane)).await;
        }
    }

    async fn read_lane(&self, host: &impl Host, lane: &str) -> Option<Hold> {
        let told = host.get(&self.key(lane)).await.ok()??;
        from_json(&serde_json::from_slice(&told).ok()?, host)
    }

    async fn read_flag(&self, host: &impl Host) -> i64 {
        let flag = host.get(&self.flag).await.ok().flatten();
        let flag: Value = flag.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        flag["until"].as_i64().unwrap_or_default()
    }

    fn key(&self, lane: &str) -> String {
        format!("{}:{lane}", self.flag)
    }
}

/// Runs share the calendar only.
fn to_json(hold: &Hold, clock: &impl Clock) -> Value {
    let milliseconds = |moment: Duration| {
        let ahead = i64::try_from(moment.saturating_sub(clock.monotonic()).as_millis()).unwrap_or(i64::MAX);
        clock.now().timestamp_millis().saturating_add(ahead)
    };
    let ends = hold.line.iter().map(|place| milliseconds(place.ends)).max().unwrap_or_default();
    let overdue = i64::try_from(hold.overdue.as_millis()).unwrap_or(i64::MAX);
    let until = milliseconds(hold.until).saturating_sub(overdue);
    let place = |place: &Place| {
        let Place { id, age, ends } = place;
        json!({"id": id, "age": [age.0, age.1], "endsMilliseconds": milliseconds(*ends)})
    };
    let line: Vec<Value> = hold.line.iter().map(place).collect();
    json!({
        "line": line, "front": hold.front, "untilMilliseconds": until, "tailMilliseconds": milliseconds(hold.tail),
        "until": ends / 1000 + 1,
    })
}

/// `None` if it is over.
fn from_json(value: &Value, clock: &impl Clock) -> Option<Hold> {
    let now = clock.now().timestamp_millis();
    let ahead = |value: &Value| Some(value.as_i64()?.saturating_sub(now));
    let duration = |milliseconds: i64| Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default());
    let monotonic = clock.monotonic();
    let past = |ahead: i64| duration(ahead.saturating_neg());
    let moment = |value: &Value| {
        let ahead = ahead(value)?;
        Some((monotonic + duration(ahead)).saturating_sub(past(ahead)))
    };
    let place = |value: &Value| {
        let age = Age(value["age"][0].as_i64()?, value["age"][1].as_i64()?);
        let ends = &value["endsMilliseconds"];
        // A clock that was ahead must not hold a conversation for longer than the queue can hide a message.
        ahead(ends).filter(|ends| *ends > 0 && duration(*ends) <= MAX_HIDE + GRACE)?;
        Some(Place { id: value["id"].as_str()?.to_owned(), age, ends: moment(ends)? })
    };
    let hold = Hold {
        line: value["line"].as_array()?.iter().filter_map(place).collect(),
        front: value["front"].as_str()?.to_owned(),
        until: moment(&value["untilMilliseconds"])?,
        tail: moment(&value["tailMilliseconds"])?,
        overdue: past(ahead(&value["untilMilliseconds"])?).saturating_sub(monotonic),
        elsewhere: false,
    };
    (!hold.line.is_empty()).then_some(hold)
}

#[cfg(test)]
mod tests {
    use envelope::ALL_MARKS;
    use platform::Marks;
    use platform::testing::{FakeHost, run};

    use super::*;

    /// `m7` was put on the queue after `m6`.
    fn place(id: &str) -> Place {
        Place::new(id, Age(0, id.trim_start_matches('m').parse().unwrap()))
    }

    fn behind(line: &[&str], until_seconds: u64) -> Change {
        let next = line[1..].iter().map(|id| place(id)).collect();
        Change::Behind { front: place(line[0]), next, until: Duration::from_secs(until_seconds) }
    }

    fn pushed(message: &str, tail_seconds: u64) -> Change {
        Change::Pushed(vec![(place(message), Duration::from_secs(tail_seconds))])
    }

    fn settled(message: &str) -> Change {
        Change::Settled(vec![message.to_owned()])
    }

    fn ids(hold: &Hold) -> Vec<&str> {
        hold.line.iter().map(|place| place.id.as_str()).collect()
    }

    fn read(host: &FakeHost, holds: &Holds, lanes: &[&str]) -> BTreeMap<String, Hold> {
        run(holds.read(host, lanes.iter().map(|lane| (*lane).to_owned())))
    }

    #[test]
    fn another_run_reads_what_one_has_told() {
        let (host, holds) = (FakeHost::default(), Holds::new("q"));
        run(holds.tell(&host, "a", &behind(&["m1"], 10)));
        run(holds.tell(&host, "b", &behind(&["m2"], 20)));
        let told = read(&host, &holds, &["a", "b", "c", "a"]);
        assert_eq!(told.len(), 2);
        assert_eq!((ids(&told["a"]), told["a"].until), (vec!["m1"], Duration::from_secs(10)));
        // Two runs tell of one conversation: neither undoes what the other one did.
        run(holds.tell(&host, "a", &pushed("m4", 12)));
        run(holds.tell(&host, "a", &pushed("m3", 11)));
        run(holds.tell(&host, "a", &settled("m1")));
        let told = read(&host, &holds, &["a"]);
        assert_eq!((ids(&told["a"]), told["a"].tail), (vec!["m3", "m4"], Duration::from_secs(12)));
        host.elapsed.set(Duration::from_secs(15));
        assert_eq!(read(&host, &holds, &["a"])["a"].overdue(Duration::from_secs(16)), Duration::from_secs(6));
        // Seen, and dealt with.
        run(holds.tell(&host, "a", &Change::Settled(vec!["m3".into(), "m4".into(), "m5".into()])));
        assert_eq!(read(&host, &holds, &["a", "b"]).into_keys().collect::<Vec<_>>(), ["b"]);
        // Never seen again: it ends all the same, and is swept.
        host.elapsed.set(Duration::from_secs(109));
        assert_eq!(read(&host, &holds, &["b"]).len(), 1);
        host.elapsed.set(Duration::from_secs(110));
        assert!(read(&host, &holds, &["b"]).is_empty());
        host.elapsed.set(Duration::from_secs(180));
        assert_eq!(run(Marks::sweep(&ALL_MARKS, &host)), 2);
        assert_eq!(host.store.borrow().keys().collect::<Vec<_>>(), ["marks:swept"]);
    }

    #[test]
    fn a_queue_without_trouble_costs_one_read() {
        let (host, holds) = (FakeHost::default(), Holds::new("q"));
        let mut asked = 0;
        let lanes = std::iter::from_fn(|| {
            asked += 1;
            Some(asked.to_string())
        });
        assert!(run(holds.read(&host, lanes.take(5))).is_empty());
        assert_eq!(asked, 0);
    }

    #[test]
    fn who_has_to_wait() {
        let mut hold = Hold::default();
        assert!(hold.apply(&behind(&["m2", "m3", "m4"], 5)));
        assert!(hold.apply(&pushed("m6", 7)));
        assert!(hold.apply(&pushed("m4", 6)));
        assert_eq!((ids(&hold), hold.tail), (vec!["m2", "m3", "m4", "m6"], Duration::from_secs(7)));
        let waits = |hold: &Hold, message: &str, here: &[&str], seconds: u64| {
            let here = here.iter().map(|id| (*id).to_owned()).collect();
            hold.holds_back(&place(message), &here, Duration::from_secs(seconds))
        };
        // Before its time, nothing goes but the one that was throttled; then, whatever has nothing older away.
        for (message, here, seconds, expected) in [
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
            assert_eq!(waits(&hold, message, &here, seconds), expected, "{message} {here:?} {seconds} s");
        }
        // It may have come back: that shortens nothing, and a new one is waited for so long only.
        let expected = |message: &str| Change::Expected(vec![(place(message), Duration::from_secs(9))]);
        assert!(!hold.apply(&expected("m4")));
        let mut other = hold.clone();
        assert!(other.apply(&expected("m1")));
        assert!(waits(&other, "m2", &[], 8) && !waits(&other, "m2", &[], 9));
        assert!(hold.apply(&settled("m2")) && !hold.apply(&settled("m2")));
        assert!(!waits(&hold, "m3", &[], 6));
        for index in 10..2 * LONGEST_LINE {
            hold.apply(&pushed(&format!("m{index}"), 10));
        }
        assert_eq!(ids(&hold).len(), LONGEST_LINE);
    }

    #[test]
    fn a_record_that_makes_no_sense_holds_nobody() {
        let (host, holds) = (FakeHost::default(), Holds::new("q"));
        run(holds.tell(&host, "x", &behind(&["m1"], 10)));
        let far = r#"{"line":[{"id":"m1","age":[0,0],"endsMilliseconds":9999999999999}],"front":"m1","untilMilliseconds":9999999999999,"tailMilliseconds":0}"#;
        for record in ["", "[]", "1", r#"{"line":["m1"]}"#, far] {
            host.store.borrow_mut().insert("held:q:x".into(), record.into());
            assert!(read(&host, &holds, &["x"]).is_empty(), "{record}");
        }
        host.store.borrow_mut().insert("held:q".into(), b"nonsense".to_vec());
        assert!(read(&host, &holds, &["x"]).is_empty());
    }
}
