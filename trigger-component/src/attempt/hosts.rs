//! The circuit breaker, which finds out which Connector hosts fail. Without the breaker, the outage of a host
//! would use up the tries of the alerts that the poller sends through this host. The breaker also watches the
//! hosts of programs that get callbacks. (A *callback* is a call that brings a person's answer to a program.)
//!
//! For each host (on Teams: for each region of a host), the run records the last result for each
//! conversation. A *run* is one execution of the poller. The result says that the host *reached* the
//! conversation, or that the host *failed*. Some responses show neither, so the run does not record them.
//!
//! When the run ends, it stores the results in the record of the run lock, which is a table row. The next run
//! reads the results from this record. A killed run does not store its results, so the stored results can be
//! out of date. Such results do little harm, because the breaker uses the results for two decisions only:
//! when an alert is tried, and whether a failed attempt counts as a try of the alert.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use bot_framework::{Class, Verdict};
use platform::Clock;
use serde::{Deserialize, Serialize};

use crate::schedule::LaneKey;

/// A host is *out* (counts as down) if its newest results, for this many conversations, are all failures.
const OUT_AFTER: usize = 3;
/// For each host, the run keeps the results of at most this many conversations.
const MAX_RESULTS: usize = 8;
/// The breaker ignores results that are older than this time.
const RESULTS_END_AFTER: Duration = Duration::from_secs(10 * 60);
/// The pause before the first probe of a host that is down. A *probe* is one alert that the run sends to find
/// out whether the host works again. The pause doubles with each probe that fails, up to
/// [`LONGEST_PROBE_PAUSE`].
const FIRST_PROBE_AFTER: Duration = Duration::from_secs(5);
/// The longest pause between two probes.
pub(super) const LONGEST_PROBE_PAUSE: Duration = Duration::from_secs(60);
/// The extra wait of an alert that was perhaps delivered, before this alert can be the probe. Such an alert
/// has only one try left, so another alert should probe the host first. If no other alert probes the host
/// during the extra wait, this alert becomes the probe.
const UNCERTAIN_PROBES_AFTER: Duration = Duration::from_secs(2 * 60);
/// The run stores the results of at most this many hosts for the next run.
const STORED_HOSTS: usize = 16;

/// The state of a host after a failed attempt. The results of this attempt and of earlier attempts decide the
/// state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostState {
    /// The host works, so the cause of the failure is probably the alert. The last two results of the alert's
    /// conversation are failures, and between the two failures the host reached another conversation.
    /// [`Self::Fails`] does not apply.
    Works,
    /// There are too few results to know whether the host or the alert is at fault.
    Unclear,
    /// The host fails. The last result of each conversation counts, and one of these two rules applies:
    ///
    /// - The newest three results are failures.
    /// - At least three results are failures, and more than half of all results are failures.
    Fails,
}

/// Whether a response shows that the host works (`Reached`) or fails (`Failed`).
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
            // These responses show nothing about the host: perhaps they come from a gateway or from the login
            // host.
            Class::Throttled
            | Class::Unauthorized
            | Class::NoToken
            | Class::WrongCloud
            | Class::NotChangeable
            | Class::Permanent => None,
        }
    }
}

/// The last result of a conversation. `lane` is the name of the conversation's lane (the messages of one
/// conversation in a run). `at` is the time of the result in milliseconds since 1970. The time does not come
/// from the monotonic clock, because each run has its own monotonic clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LastResult {
    lane: String,
    reached: bool,
    at: i64,
}

/// The results of one host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Results {
    /// One result for each conversation. The newest result is the last element.
    last: Vec<LastResult>,
    /// The time of the next probe, in milliseconds since 1970. The value has a meaning only while the host is
    /// down.
    probe_at: i64,
    /// The pause after the next probe, in milliseconds. The breaker uses this pause only if the next probe
    /// fails.
    pause: u64,
}

impl Results {
    /// The number of conversations for which the host has failed after it last reached a conversation.
    fn failed_in_a_row(&self) -> usize {
        self.last.iter().rev().take_while(|result| !result.reached).count()
    }

    fn is_out(&self) -> bool {
        self.failed_in_a_row() >= OUT_AFTER
    }

    fn fails(&self) -> bool {
        let failed = self.last.iter().filter(|result| !result.reached).count();
        self.is_out() || failed >= OUT_AFTER && failed * 2 > self.last.len()
    }

    fn remove_old(&mut self, now: i64) {
        let oldest = now - milliseconds(RESULTS_END_AFTER);
        // A result with a time in the future comes from a run whose clock was ahead. Without the limit
        // `newest`, such a result would stay valid for too long.
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

/// The start (`WentOut`) or the end (`CameBack`) of the time in which a host is *out*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostChange {
    WentOut,
    CameBack,
}

/// The results of all hosts that a run sends to.
#[derive(Debug, Default)]
pub(crate) struct Hosts(RefCell<BTreeMap<String, Results>>);

impl Hosts {
    /// Reads the results that an earlier run stored as a text. An unreadable text counts as empty.
    pub(crate) fn read(stored: &str) -> Self {
        Self(RefCell::new(serde_json::from_slice(stored.as_bytes()).unwrap_or_default()))
    }

    /// Returns a text for the next run: the results of each host that has at least one failure. The text has
    /// at most [`STORED_HOSTS`] hosts, and about 12 KiB. If no result is a failure, the text is empty.
    pub(crate) fn stored(&self) -> String {
        let hosts = self.0.borrow();
        let failing = hosts.iter().filter(|(_, results)| results.last.iter().any(|result| !result.reached));
        let failing: BTreeMap<_, _> = failing.take(STORED_HOSTS).collect();
        // Writing JSON into memory does not fail.
        if failing.is_empty() { String::new() } else { serde_json::to_string(&failing).unwrap_or_default() }
    }

    /// Removes the results that are more than ten minutes old, or more than ten minutes in the future.
    pub(crate) fn remove_old(&self, clock: &impl Clock) {
        let now = clock.now().timestamp_millis();
        let mut hosts = self.0.borrow_mut();
        hosts.values_mut().for_each(|results| results.remove_old(now));
        hosts.retain(|_, results| !results.last.is_empty());
    }

    /// Returns the names of the hosts that are down, at most [`STORED_HOSTS`] names.
    pub(crate) fn out(&self) -> Vec<String> {
        let hosts = self.0.borrow();
        let out = hosts.iter().filter(|(_, results)| results.is_out());
        out.take(STORED_HOSTS).map(|(host, _)| host.clone()).collect()
    }

    /// Returns how long an alert has to wait while its host is down. Returns `None` if the run has to send
    /// the alert now. After the wait, a run calls this function for the alert again. When a probe is due, the
    /// first alert gets `None`, and so becomes the probe. The other alerts then wait for the result of this
    /// probe, or for the next probe. `is_uncertain` says whether an earlier attempt perhaps delivered the
    /// alert.
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
            // The run does not hide the alert for the whole extra wait. The reason is that the outage can end
            // earlier, if another alert probes the host with success.
            return Some(Duration::from_millis(wait).min(LONGEST_PROBE_PAUSE));
        }
        let pause = Duration::from_millis(results.pause).clamp(FIRST_PROBE_AFTER, LONGEST_PROBE_PAUSE);
        results.probe_at = now.saturating_add(milliseconds(pause));
        results.pause = u64::try_from((pause * 2).as_millis()).unwrap_or(u64::MAX);
        None
    }

    /// Records the result of an attempt, and returns the state of the host. The second value is `Some` if the
    /// host goes down with this result, or if the host was down and works again.
    pub(super) fn record(
        &self,
        host: &str,
        lane: LaneKey,
        class: Class,
        clock: &impl Clock,
    ) -> (HostState, Option<HostChange>) {
        // The class shows nothing about the host, so this function records no result. `decide` uses the
        // returned state in one case only: after an `Unauthorized` that concerns the alert's conversation
        // alone. This failure has to count as a try of the alert, and `decide` counts a try only if the state
        // is `Works`.
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
                Some(HostChange::WentOut)
            }
            (true, false) => Some(HostChange::CameBack),
            _ => None,
        };
        (state, change)
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Makes the verdict (the classified result of a call) for an alert whose host is down. The run did not send
/// this alert.
pub(super) fn host_out(host_name: &str) -> Verdict {
    let reason = format!("{host_name}: several conversations failed in a row; the poller probes the host");
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

    /// Records results, one second apart. Each pair has the number of a conversation, and says whether the
    /// host reached this conversation.
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
    fn host_with_one_success_in_ten_results_counts_as_failing() {
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
        // `out` names the host until `remove_old` removes the old results.
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
