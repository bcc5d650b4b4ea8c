//! The circuit breaker: it finds out which Connector hosts fail, so that an outage of a host does not use up
//! the tries of the alerts to this host. The breaker does the same for the hosts of programs that get
//! callbacks. (A *callback* is a call that brings a person's answer to a program.)
//!
//! For each host (on Teams: for each region of a host), the run records which conversations the host reached,
//! and for which conversations it failed. When the run ends, it stores these results in the record of the run
//! lock (a row of a table). The next run reads them there. A killed run does not store its results, so the
//! stored results are only a hint. The breaker uses the results for two decisions only: when an alert is
//! tried, and whether a failed try counts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use bot_framework::{Class, Verdict};
use platform::Clock;
use serde::{Deserialize, Serialize};

use crate::schedule::LaneKey;

/// A host is *out* (counts as down) after this many conversations have failed in a row.
const CONVERSATIONS: usize = 3;
/// For each host, the run keeps the last results of at most this many conversations.
const MAX_RESULTS: usize = 8;
/// Results older than this are ignored.
const RESULTS_END_AFTER: Duration = Duration::from_secs(10 * 60);
/// The pause before the first probe of a host that is down. A *probe* is one alert that the run sends to find
/// out whether the host works again. The pause doubles with each probe that fails.
const FIRST_PROBE_AFTER: Duration = Duration::from_secs(5);
/// The longest pause between two probes.
pub(super) const LONGEST_PROBE_PAUSE: Duration = Duration::from_secs(60);
/// For this time, an alert that was perhaps delivered leaves the probe to other alerts. Such an alert has
/// only one try left, so another alert should probe the host first. When a probe is due, the alert waits for
/// this time. If no other alert probes the host in this time, the alert becomes the probe.
const UNCERTAIN_PROBES_AFTER: Duration = Duration::from_secs(2 * 60);
/// At most this many hosts are stored for the next run.
const STORED_HOSTS: usize = 16;

/// The state of a host after a failed attempt. It follows from this attempt and the results before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostState {
    /// The last two results of this conversation are failures, and between them the host reached another
    /// conversation. So the cause of the second failure is probably the alert, and not the host.
    Works,
    /// There are too few results to know whether the host or the alert is at fault.
    Unclear,
    /// The run keeps the last result of each conversation. The host fails in two cases:
    ///
    /// - The newest three results are failures.
    /// - At least three results are failures, and more than half of all results are failures.
    Fails,
}

/// The meaning of a response for the state of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Reached,
    Failed,
}

impl Sign {
    fn of(class: Class) -> Option<Self> {
        match class {
            Class::Accepted | Class::DestinationGone | Class::MessageGone => Some(Self::Reached),
            Class::Unavailable | Class::GatewayFailed | Class::PossiblyDelivered => Some(Self::Failed),
            // These responses show nothing about the host, because perhaps a gateway or the login host has
            // sent them.
            Class::Throttled
            | Class::Unauthorized
            | Class::NoToken
            | Class::WrongCloud
            | Class::NotChangeable
            | Class::Permanent => None,
        }
    }
}

/// The last result of a conversation. `at` is the time in milliseconds since 1970. A time of the monotonic
/// clock would mean nothing to the next run, because each run has its own monotonic clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LastResult {
    lane: String,
    reached: bool,
    at: i64,
}

/// The results of one host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Results {
    /// One result for each conversation, the newest last.
    last: Vec<LastResult>,
    /// The time of the next probe, while the host is down.
    probe_at: i64,
    /// The pause after the next probe, in milliseconds. It counts only if the next probe fails.
    pause: u64,
}

impl Results {
    /// The number of conversations that have failed since the host last reached a conversation.
    fn failed_in_a_row(&self) -> usize {
        self.last.iter().rev().take_while(|result| !result.reached).count()
    }

    fn is_out(&self) -> bool {
        self.failed_in_a_row() >= CONVERSATIONS
    }

    fn fails(&self) -> bool {
        let failed = self.last.iter().filter(|result| !result.reached).count();
        self.is_out() || failed >= CONVERSATIONS && failed * 2 > self.last.len()
    }

    fn remove_old(&mut self, now: i64) {
        let oldest = now - milliseconds(RESULTS_END_AFTER);
        // A result in the future comes from a run whose clock was ahead. Without this limit, the result would
        // stay valid for too long.
        let newest = now + milliseconds(RESULTS_END_AFTER);
        self.last.retain(|result| (oldest..newest).contains(&result.at));
    }

    /// Records a result, and returns the state of the host. The state has a meaning only if the result is a
    /// failure.
    fn record(&mut self, lane: &str, reached: bool, now: i64) -> HostState {
        self.remove_old(now);
        let before = self.last.iter().position(|result| result.lane == lane);
        let worked_since =
            before.is_some_and(|before| self.last[before..].iter().any(|result| result.reached));
        let had_failed = before.is_some_and(|before| !self.last[before].reached);
        if let Some(before) = before {
            self.last.remove(before);
        }
        self.last.push(LastResult { lane: lane.to_owned(), reached, at: now });
        if self.last.len() > MAX_RESULTS {
            self.last.remove(0);
        }
        match (self.fails(), had_failed && worked_since) {
            (true, _) => HostState::Fails,
            (false, true) => HostState::Works,
            (false, false) => HostState::Unclear,
        }
    }
}

/// A change in the state of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Failed,
    Recovered,
}

/// The results of all hosts that a run sends to.
#[derive(Debug, Default)]
pub(crate) struct Hosts(RefCell<BTreeMap<String, Results>>);

impl Hosts {
    /// Reads the text that an earlier run stored. A text that cannot be read counts as empty.
    pub(crate) fn read(stored: &str) -> Self {
        Self(RefCell::new(serde_json::from_slice(stored.as_bytes()).unwrap_or_default()))
    }

    /// Returns the results as a text for the next run. The text is empty if no result is a failure, and has
    /// at most about 12 KiB.
    pub(crate) fn stored(&self) -> String {
        let hosts = self.0.borrow();
        let failing = hosts.iter().filter(|(_, results)| results.last.iter().any(|result| !result.reached));
        let failing: BTreeMap<_, _> = failing.take(STORED_HOSTS).collect();
        // Writing JSON into memory does not fail.
        if failing.is_empty() { String::new() } else { serde_json::to_string(&failing).unwrap_or_default() }
    }

    /// Removes the results that are older than ten minutes.
    pub(crate) fn remove_old(&self, clock: &impl Clock) {
        let now = clock.now().timestamp_millis();
        let mut hosts = self.0.borrow_mut();
        hosts.values_mut().for_each(|results| results.remove_old(now));
        hosts.retain(|_, results| !results.last.is_empty());
    }

    /// Returns the names of the hosts that are down.
    pub(crate) fn out(&self) -> Vec<String> {
        let hosts = self.0.borrow();
        let out = hosts.iter().filter(|(_, results)| results.is_out());
        out.take(STORED_HOSTS).map(|(host, _)| host.clone()).collect()
    }

    /// Returns how long an alert has to wait, because its host is down; `None` if the run has to send the
    /// alert now. After the wait, a run calls this function for the alert again. While the host is down, one
    /// alert at a time gets `None` and probes the host. `is_uncertain`: whether the alert was perhaps
    /// delivered by an earlier attempt.
    pub(super) fn wait(&self, host: &str, is_uncertain: bool, clock: &impl Clock) -> Option<Duration> {
        let mut hosts = self.0.borrow_mut();
        let results = hosts.get_mut(host)?;
        let now = clock.now().timestamp_millis();
        results.remove_old(now);
        if !results.is_out() {
            return None;
        }
        let mut wait = results.probe_at.saturating_sub(now).min(milliseconds(LONGEST_PROBE_PAUSE));
        if is_uncertain {
            wait = wait.saturating_add(milliseconds(UNCERTAIN_PROBES_AFTER));
        }
        if let Some(wait) = u64::try_from(wait).ok().filter(|wait| *wait > 0) {
            // An uncertain alert is not hidden for the whole time, because another alert can probe the host
            // and end the outage earlier.
            return Some(Duration::from_millis(wait).min(LONGEST_PROBE_PAUSE));
        }
        let pause = Duration::from_millis(results.pause).clamp(FIRST_PROBE_AFTER, LONGEST_PROBE_PAUSE);
        results.probe_at = now.saturating_add(milliseconds(pause));
        results.pause = u64::try_from((pause * 2).as_millis()).unwrap_or(u64::MAX);
        None
    }

    /// Records the result of an attempt. Returns the state of the host. If the host goes down with this
    /// result, or was down and works again, also returns this change.
    pub(super) fn record(
        &self,
        host: &str,
        lane: LaneKey,
        class: Class,
        clock: &impl Clock,
    ) -> (HostState, Option<Change>) {
        // A response of such a class shows nothing about the host, so no result is recorded. For most of
        // these classes, `decide` does not read the returned state. It reads the state for an `Unauthorized`
        // that concerns this conversation alone. This failure has to count as a try of the alert, and
        // `decide` counts a try only if the state is `Works`.
        let Some(sign) = Sign::of(class) else { return (HostState::Works, None) };
        let mut hosts = self.0.borrow_mut();
        let results = match hosts.get_mut(host) {
            Some(results) => results,
            None => hosts.entry(host.to_owned()).or_default(),
        };
        let now = clock.now().timestamp_millis();
        let was_out = results.is_out();
        let state = results.record(&lane.name(), sign == Sign::Reached, now);
        let change = match (was_out, results.is_out()) {
            (false, true) => {
                results.pause = u64::try_from((FIRST_PROBE_AFTER * 2).as_millis()).unwrap_or(u64::MAX);
                results.probe_at = now.saturating_add(milliseconds(FIRST_PROBE_AFTER));
                Some(Change::Failed)
            }
            (true, false) => Some(Change::Recovered),
            _ => None,
        };
        (state, change)
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Makes the verdict for an alert that was not sent, because its Connector host is down.
pub(super) fn host_out(region: &str) -> Verdict {
    let reason = format!("{region}: several conversations failed in a row; the poller probes the host");
    Verdict { class: Class::Unavailable, status: None, reason, retry_after: None, activity_id: None }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    const HOST: &str = "https://smba.trafficmanager.net/amer";

    fn lane(name: u64) -> LaneKey {
        LaneKey::named(&format!("{name:x}")).unwrap()
    }

    /// Records results, one second apart. Each pair names a conversation, and says whether the host reached
    /// this conversation.
    fn record_all(hosts: &Hosts, host: &FakeHost, results: &[(u64, bool)]) -> Vec<HostState> {
        let record = |&(conversation, reached): &(u64, bool)| {
            host.elapsed.set(host.elapsed.get() + Duration::from_secs(1));
            let class = if reached { Class::Accepted } else { Class::Unavailable };
            hosts.record(HOST, lane(conversation), class, host).0
        };
        results.iter().map(record).collect()
    }

    #[test]
    fn host_that_worked_between_two_failures_of_one_conversation_counts_as_working() {
        use HostState::{Fails, Unclear, Works};
        for (results, expected) in [
            (vec![(1, false)], Unclear),
            (vec![(1, false), (1, false), (1, false), (1, false)], Unclear),
            (vec![(2, true), (1, false)], Unclear),
            (vec![(2, true), (1, false), (1, false)], Unclear),
            (vec![(1, false), (2, true), (1, false)], Works),
            (vec![(1, false), (2, true), (1, false), (1, false)], Unclear),
            (vec![(1, false), (2, false), (1, false)], Unclear),
            (vec![(1, false), (2, false), (3, false)], Fails),
            (vec![(1, false), (2, false), (3, false), (4, true), (1, false)], Fails),
            (vec![(1, false), (2, true), (3, true), (4, true), (1, false)], Works),
        ] {
            let (hosts, host) = (Hosts::default(), FakeHost::default());
            assert_eq!(record_all(&hosts, &host, &results).last(), Some(&expected), "{results:?}");
        }
    }

    #[test]
    fn host_that_reaches_only_one_conversation_in_ten_counts_as_failing() {
        let (hosts, host) = (Hosts::default(), FakeHost::default());
        let results: Vec<(u64, bool)> = (0..200).map(|index| (index % 37, index % 10 == 9)).collect();
        let states = record_all(&hosts, &host, &results);
        assert_eq!(states[2..].iter().filter(|state| **state != HostState::Fails).count(), 0);
    }

    #[test]
    fn host_that_is_out_is_probed_by_one_alert_at_a_time() {
        let (hosts, host) = (Hosts::default(), FakeHost::default());
        record_all(&hosts, &host, &[(1, false), (2, false)]);
        assert_eq!(hosts.wait(HOST, false, &host), None, "two conversations are too few");
        record_all(&hosts, &host, &[(3, false)]);
        let mut probes = Vec::new();
        let went_out_at = host.elapsed.get();
        for _ in 0..300 {
            host.elapsed.set(host.elapsed.get() + Duration::from_secs(1));
            if hosts.wait(HOST, false, &host).is_none() {
                probes.push((host.elapsed.get() - went_out_at).as_secs());
                assert!(
                    hosts.wait(HOST, false, &host).is_some(),
                    "a second alert has to wait while the first one probes the host"
                );
                hosts.record(HOST, lane(4), Class::GatewayFailed, &host);
            }
            assert_eq!(hosts.wait("https://smba.trafficmanager.net/emea", false, &host), None);
        }
        assert_eq!(probes, [5, 15, 35, 75, 135, 195, 255]);
        record_all(&hosts, &host, &[(1, true)]);
        assert_eq!(hosts.wait(HOST, false, &host), None, "one success ends the outage");
    }

    #[test]
    fn alert_that_was_perhaps_delivered_probes_two_minutes_later_than_other_alerts() {
        let (hosts, host) = (Hosts::default(), FakeHost::default());
        record_all(&hosts, &host, &[(1, false), (2, false), (3, false)]);
        let mut waits = Vec::new();
        while let Some(wait) = hosts.wait(HOST, true, &host) {
            waits.push(wait);
            host.elapsed.set(host.elapsed.get() + wait);
        }
        assert_eq!(waits.iter().sum::<Duration>(), FIRST_PROBE_AFTER + UNCERTAIN_PROBES_AFTER);
        assert_eq!(
            waits.into_iter().max(),
            Some(LONGEST_PROBE_PAUSE),
            "no pause is longer than the longest pause of other alerts"
        );
    }

    #[test]
    fn results_of_an_earlier_run_are_ignored_after_ten_minutes() {
        let (hosts, host) = (Hosts::default(), FakeHost::default());
        record_all(&hosts, &host, &[(7, true)]);
        assert_eq!(hosts.stored(), "", "the text is empty while no host fails");
        record_all(&hosts, &host, &[(1, false), (2, false), (3, false)]);
        let next = Hosts::read(&hosts.stored());
        assert!(next.wait(HOST, false, &host).is_some());
        host.elapsed.set(host.elapsed.get() + RESULTS_END_AFTER + Duration::from_millis(1));
        // `out` names the host until a run removes the old results.
        assert_eq!(next.out(), [HOST]);
        next.remove_old(&host);
        assert_eq!((next.out(), next.stored()), (Vec::new(), String::new()));
        assert_eq!(next.wait(HOST, false, &host), None);
        for text in [
            "",
            "[]",
            "{}",
            r#"{"a":1}"#,
            r#"{"a":{"last":[{"lane":"1","reached":false,"at":9999999999999}]}}"#,
        ] {
            assert_eq!(Hosts::read(text).wait("a", false, &host), None, "{text}");
        }
    }
}
