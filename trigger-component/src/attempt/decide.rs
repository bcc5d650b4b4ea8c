//! Decides what happens to a message after the Connector's response: one pure function, which follows the
//! table in `docs/delivery.md`.

use std::time::Duration;

use bot_framework::{Class, Verdict};
use envelope::{Delivery, OnUncertain};

use super::hosts::{HostState, LONGEST_PROBE_PAUSE};
use crate::limits::{
    LAST_TRY_BEFORE_DELETION, LONGEST_BACKOFF, LONGEST_OUTAGE, LONGEST_RETRY_AFTER, Limits, MAX_HIDE,
    SHORTEST_BEFORE_DELETION,
};

/// The action that follows from a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// The alert was delivered: delete the message.
    Delete,
    /// The alert may have been delivered, and its sender wants no second try: delete the message.
    Drop,
    /// Hide the message for `after`, and store `delivery` in it.
    Hide { after: Duration, delivery: Delivery, why: Hidden },
    /// Move the message to the poison queue.
    Poison(PoisonReason),
    /// Stop the run, because it can send no alert at all. The message stays as it is.
    StopRun(Stop),
}

/// The reason for which a run stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The login host or the Connector refused the bot's credentials.
    CredentialsRefused,
    /// For now the login host issues no token, or Direct Line opens no conversation. The response may have
    /// had `Retry-After`.
    NoToken { retry_after: Option<Duration> },
}

/// The reason for which a message is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    Throttled,
    Unavailable,
    /// The Connector's host is out, so the message was not sent.
    HostOut,
    PossiblyDelivered,
    /// The tables could not be read, so the poller does not know whether the message may be sent.
    StateUnknown,
}

/// The reason for which a message is moved to the poison queue: the `outcome` in the `failure` of its
/// envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoisonReason {
    DestinationGone,
    Permanent,
    PossiblyDelivered,
    RetriesExhausted,
    /// The message was dequeued too often without a result, because runs were killed while they worked on it.
    Abandoned,
    /// The queue would delete the message before it can be tried again.
    OutOfTime,
    Unreadable,
    SealBroken,
    Unsealed,
    UntrustedHost,
    /// The conversation is in a tenant that the bot does not serve.
    TenantNotAllowed,
}

impl PoisonReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::DestinationGone => "destinationGone",
            Self::Permanent => "permanent",
            Self::PossiblyDelivered => "possiblyDelivered",
            Self::RetriesExhausted => "retriesExhausted",
            Self::Abandoned => "abandoned",
            Self::OutOfTime => "outOfTime",
            Self::Unreadable => "unreadable",
            Self::SealBroken => "sealBroken",
            Self::Unsealed => "unsealed",
            Self::UntrustedHost => "untrustedHost",
            Self::TenantNotAllowed => "tenantNotAllowed",
        }
    }
}

/// The facts about a message that [`decide`] needs.
#[derive(Debug, Clone)]
pub(crate) struct Situation<'a> {
    pub(crate) delivery: &'a Delivery,
    pub(crate) on_uncertain: OnUncertain,
    /// The queue's DequeueCount, with the current dequeue.
    pub(crate) dequeue_count: u32,
    /// Whether a refusal of the token concerns this conversation alone; see [`super::TokenUse`].
    pub(crate) refused_alone: bool,
    /// Whether a failure is the message's own or that of the Connector's host.
    pub(crate) host: HostState,
    /// For how long the message has been due.
    pub(crate) due_for: Duration,
    /// The time until the queue deletes the message.
    pub(crate) until_deletion: Duration,
    /// The time until the alert expires, if it expires.
    pub(crate) until_expired: Option<Duration>,
}

/// Decides what happens to a message after a response. `jitter(max)` returns a random number in `0..=max`.
pub(crate) fn decide(
    verdict: &Verdict,
    situation: &Situation<'_>,
    limits: &Limits,
    jitter: impl FnOnce(u64) -> u64,
) -> Action {
    let mut delivery = situation.delivery.clone();
    delivery.accounted = situation.dequeue_count;
    if let Some(stop) = stops_the_run(verdict, situation.refused_alone) {
        return Action::StopRun(stop);
    }
    let (why, pause) = match verdict.class {
        Class::Accepted => return Action::Delete,
        Class::DestinationGone => return Action::Poison(PoisonReason::DestinationGone),
        Class::Permanent | Class::WrongCloud => return Action::Poison(PoisonReason::Permanent),
        Class::Throttled => {
            delivery.throttled = delivery.throttled.saturating_add(1);
            (
                Hidden::Throttled,
                asked_pause(verdict)
                    .unwrap_or_else(|| backoff(limits.throttled_backoff, delivery.throttled, jitter)),
            )
        }
        Class::GatewayFailed if situation.on_uncertain == OnUncertain::Drop => return Action::Drop,
        // `Unauthorized` comes here only if other conversations accept the token. Then it is the message's
        // own failure, and must not stop the run.
        Class::Unauthorized | Class::NoToken | Class::Unavailable | Class::GatewayFailed => {
            // The pause is at least the back-off, because a service that always asks for one second would
            // otherwise use up all tries in five seconds.
            let pause = match situation.host {
                HostState::Works => {
                    delivery.tries = delivery.tries.saturating_add(1);
                    backoff(limits.backoff, delivery.tries, jitter)
                }
                HostState::Unclear => {
                    delivery.outages = delivery.outages.saturating_add(1);
                    outage_pause(limits.backoff, delivery.outages, jitter)
                }
                HostState::Fails => outage_pause(limits.backoff, u32::MAX, jitter),
            };
            let has_ended = situation.host == HostState::Fails && situation.due_for > LONGEST_OUTAGE;
            if has_ended || delivery.tries >= limits.max_tries || delivery.outages >= limits.max_outages {
                return Action::Poison(PoisonReason::RetriesExhausted);
            }
            (Hidden::Unavailable, asked_pause(verdict).unwrap_or_default().max(pause))
        }
        Class::PossiblyDelivered => match situation.on_uncertain {
            OnUncertain::Drop => return Action::Drop,
            OnUncertain::Retry if delivery.uncertain > 0 => {
                return Action::Poison(PoisonReason::PossiblyDelivered);
            }
            OnUncertain::Retry => {
                delivery.uncertain = 1;
                (Hidden::PossiblyDelivered, limits.uncertain_pause)
            }
        },
    };
    hide(pause, delivery, why, situation)
}

/// Decides what happens to a message that is not sent, because the Connector's host is out.
pub(crate) fn wait_for_host(
    wait: Duration,
    situation: &Situation<'_>,
    jitter: impl FnOnce(u64) -> u64,
) -> Action {
    if situation.due_for > LONGEST_OUTAGE {
        return Action::Poison(PoisonReason::RetriesExhausted);
    }
    let delivery = Delivery { accounted: situation.dequeue_count, ..situation.delivery.clone() };
    // When the host works again, its messages must not all become visible in the same second.
    let spread = jitter(u64::try_from(LONGEST_PROBE_PAUSE.as_millis()).unwrap_or(u64::MAX));
    hide(wait + Duration::from_millis(spread), delivery, Hidden::HostOut, situation)
}

fn hide(pause: Duration, delivery: Delivery, why: Hidden, situation: &Situation<'_>) -> Action {
    // An alert that expires during the pause becomes visible at its end, so that it is recorded as expired.
    let pause = situation.until_expired.map_or(pause, |until_expired| pause.min(until_expired));
    match hide_for(pause, situation.until_deletion) {
        Some(after) => Action::Hide { after, delivery, why },
        None => Action::Poison(PoisonReason::OutOfTime),
    }
}

/// Returns the reason to stop the run, if the verdict shows that no alert can be sent. Every message then
/// goes back unchanged. If each message counted a failed try, an outage of the login host would move the
/// whole queue to the poison queue. The run also records a pause, so that the next runs do not dequeue the
/// messages in vain.
pub(crate) fn stops_the_run(verdict: &Verdict, refused_alone: bool) -> Option<Stop> {
    // A refusal without a status comes from the login host, so it concerns all messages.
    let concerns_all = !refused_alone || verdict.status.is_none();
    match verdict.class {
        Class::Unauthorized if concerns_all => Some(Stop::CredentialsRefused),
        Class::NoToken => Some(Stop::NoToken { retry_after: verdict.retry_after }),
        _ => None,
    }
}

/// Returns the pause that the service asked for. Zero, or a moment in the past, counts as no pause asked for.
fn asked_pause(verdict: &Verdict) -> Option<Duration> {
    verdict.retry_after.filter(|after| !after.is_zero()).map(|after| after.min(LONGEST_RETRY_AFTER))
}

/// Returns a pause between zero and `first * 2^(attempt - 1)` (full jitter), so that messages that failed
/// together are not tried again together.
fn backoff(first: Duration, attempt: u32, jitter: impl FnOnce(u64) -> u64) -> Duration {
    let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = first.saturating_mul(factor).min(LONGEST_BACKOFF);
    Duration::from_millis(jitter(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)))
}

/// Returns the pause after a failure that may be the host's: at first as [`backoff`], then 30 to 60 seconds,
/// so that the alert is delivered soon after the outage.
fn outage_pause(first: Duration, attempt: u32, jitter: impl FnOnce(u64) -> u64) -> Duration {
    if attempt < 3 {
        return backoff(first, attempt, jitter);
    }
    let half = LONGEST_PROBE_PAUSE / 2;
    half + Duration::from_millis(jitter(u64::try_from(half.as_millis()).unwrap_or(u64::MAX)))
}

/// Rounds a pause to a visibility time-out that the queue accepts: whole seconds, 1 s to 7 days, and ended
/// before the queue deletes the message. `None` if the deletion is too close: a message that the queue
/// deletes is lost without a trace.
pub(crate) fn hide_for(pause: Duration, until_deletion: Duration) -> Option<Duration> {
    let seconds = pause.as_secs().saturating_add(u64::from(pause.subsec_nanos() > 0));
    let before = (until_deletion / 2).clamp(SHORTEST_BEFORE_DELETION, LAST_TRY_BEFORE_DELETION);
    let last = until_deletion.checked_sub(before)?.as_secs();
    (last > 0).then(|| Duration::from_secs(seconds.clamp(1, last.min(MAX_HIDE.as_secs()))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    fn verdict(class: Class, retry_after_seconds: Option<u64>) -> Verdict {
        Verdict {
            class,
            status: None,
            reason: String::new(),
            retry_after: retry_after_seconds.map(Duration::from_secs),
            activity_id: None,
        }
    }

    fn decide_while_host_works(
        class: Class,
        retry_after: Option<u64>,
        delivery: Delivery,
        on_uncertain: OnUncertain,
    ) -> Action {
        let situation = Situation {
            delivery: &delivery,
            on_uncertain,
            dequeue_count: 7,
            refused_alone: false,
            host: HostState::Works,
            due_for: Duration::ZERO,
            until_deletion: YEAR,
            until_expired: None,
        };
        decide(&verdict(class, retry_after), &situation, &Limits::default(), |max| max)
    }

    #[test]
    fn every_class_of_response_leads_to_its_action() {
        let delivery =
            |tries, throttled, uncertain| Delivery { tries, throttled, uncertain, accounted: 3, outages: 0 };
        let hide = |seconds, tries, throttled, uncertain, why| Action::Hide {
            after: Duration::from_secs(seconds),
            delivery: Delivery { tries, throttled, uncertain, accounted: 7, outages: 0 },
            why,
        };
        use OnUncertain::{Drop, Retry};
        for (class, after, before, on_uncertain, expected) in [
            (Class::Accepted, None, delivery(0, 0, 0), Retry, Action::Delete),
            (Class::Throttled, Some(9), delivery(4, 0, 0), Retry, hide(9, 4, 1, 0, Hidden::Throttled)),
            (Class::Throttled, None, delivery(0, 0, 0), Retry, hide(2, 0, 1, 0, Hidden::Throttled)),
            (Class::Throttled, None, delivery(0, 3, 0), Retry, hide(16, 0, 4, 0, Hidden::Throttled)),
            (Class::Throttled, Some(1), delivery(4, 400, 1), Retry, hide(1, 4, 401, 1, Hidden::Throttled)),
            (Class::Unavailable, None, delivery(0, 0, 0), Retry, hide(20, 1, 0, 0, Hidden::Unavailable)),
            (Class::Unavailable, None, delivery(3, 9, 0), Retry, hide(160, 4, 9, 0, Hidden::Unavailable)),
            (Class::Unavailable, Some(30), delivery(1, 0, 0), Drop, hide(40, 2, 0, 0, Hidden::Unavailable)),
            (Class::Unavailable, Some(50), delivery(1, 0, 0), Drop, hide(50, 2, 0, 0, Hidden::Unavailable)),
            (Class::Unavailable, Some(0), delivery(1, 0, 0), Drop, hide(40, 2, 0, 0, Hidden::Unavailable)),
            (
                Class::Unavailable,
                Some(9999),
                delivery(0, 0, 0),
                Retry,
                hide(3600, 1, 0, 0, Hidden::Unavailable),
            ),
            (Class::GatewayFailed, None, delivery(0, 0, 0), Retry, hide(20, 1, 0, 0, Hidden::Unavailable)),
            (
                Class::GatewayFailed,
                None,
                delivery(4, 0, 0),
                Retry,
                Action::Poison(PoisonReason::RetriesExhausted),
            ),
            (Class::GatewayFailed, Some(9), delivery(0, 0, 0), Drop, Action::Drop),
            (Class::Throttled, Some(0), delivery(0, 1, 0), Retry, hide(4, 0, 2, 0, Hidden::Throttled)),
            (
                Class::Throttled,
                Some(u64::MAX),
                delivery(0, 0, 0),
                Retry,
                hide(3600, 0, 1, 0, Hidden::Throttled),
            ),
            (Class::Throttled, None, delivery(0, 99, 0), Retry, hide(300, 0, 100, 0, Hidden::Throttled)),
            (
                Class::Unavailable,
                None,
                delivery(4, 0, 0),
                Retry,
                Action::Poison(PoisonReason::RetriesExhausted),
            ),
            (
                Class::Unavailable,
                Some(1),
                delivery(9, 0, 0),
                Retry,
                Action::Poison(PoisonReason::RetriesExhausted),
            ),
            (
                Class::PossiblyDelivered,
                None,
                delivery(0, 0, 0),
                Retry,
                hide(15, 0, 0, 1, Hidden::PossiblyDelivered),
            ),
            (
                Class::PossiblyDelivered,
                None,
                delivery(0, 0, 1),
                Retry,
                Action::Poison(PoisonReason::PossiblyDelivered),
            ),
            (Class::PossiblyDelivered, None, delivery(0, 0, 0), Drop, Action::Drop),
            (Class::Unauthorized, None, delivery(0, 0, 0), Retry, Action::StopRun(Stop::CredentialsRefused)),
            (
                Class::NoToken,
                None,
                delivery(4, 0, 1),
                Drop,
                Action::StopRun(Stop::NoToken { retry_after: None }),
            ),
            (
                Class::NoToken,
                Some(9),
                delivery(0, 0, 0),
                Retry,
                Action::StopRun(Stop::NoToken { retry_after: Some(Duration::from_secs(9)) }),
            ),
            (
                Class::DestinationGone,
                None,
                delivery(0, 0, 0),
                Retry,
                Action::Poison(PoisonReason::DestinationGone),
            ),
            (Class::Permanent, None, delivery(0, 0, 0), Retry, Action::Poison(PoisonReason::Permanent)),
            (Class::WrongCloud, None, delivery(0, 0, 0), Retry, Action::Poison(PoisonReason::Permanent)),
        ] {
            let actual = decide_while_host_works(class, after, before.clone(), on_uncertain);
            assert_eq!(actual, expected, "{class:?} {after:?} {before:?} {on_uncertain:?}");
        }
    }

    #[test]
    fn token_refused_by_one_conversation_alone_counts_as_a_try() {
        for (class, tries, expected) in [
            (Class::Unauthorized, 0, Some(1)),
            (Class::Unauthorized, 3, Some(4)),
            (Class::Unauthorized, 4, None),
            (Class::Unavailable, 4, None),
        ] {
            let delivery = Delivery { tries, ..Delivery::default() };
            let situation = Situation {
                delivery: &delivery,
                on_uncertain: OnUncertain::Retry,
                dequeue_count: 1,
                refused_alone: true,
                host: HostState::Works,
                due_for: Duration::ZERO,
                until_deletion: YEAR,
                until_expired: None,
            };
            let refused = Verdict { status: Some(401), ..verdict(class, None) };
            let action = decide(&refused, &situation, &Limits::default(), |max| max);
            match (expected, action) {
                (Some(tries), Action::Hide { delivery, .. }) => assert_eq!(delivery.tries, tries),
                (None, action) => assert_eq!(action, Action::Poison(PoisonReason::RetriesExhausted)),
                (Some(_), action) => panic!("{class:?} {tries}: {action:?}"),
            }
        }
        let refused_by = |status| Verdict { status, ..verdict(Class::Unauthorized, None) };
        for (status, refused_alone, stops) in
            [(Some(401), true, false), (Some(401), false, true), (None, true, true), (None, false, true)]
        {
            let stop = stops_the_run(&refused_by(status), refused_alone);
            assert_eq!(stop.is_some(), stops, "{status:?} {refused_alone}");
        }
    }

    #[test]
    fn pause_of_any_length_becomes_a_time_out_that_the_queue_accepts() {
        for (pause_ms, until_forgotten_seconds, expected_seconds) in [
            (0, 1000, Some(1)),
            (1, 1000, Some(1)),
            (1000, 1000, Some(1)),
            (1001, 1000, Some(2)),
            (900_000, 1000, Some(880)),
            (900_000, 240, Some(120)),
            (900_000, 120, Some(30)),
            (5000, 91, Some(1)),
            (5000, 90, None),
            (5000, 0, None),
            (10_000_000_000, u64::MAX, Some(604_800)),
        ] {
            let hidden =
                hide_for(Duration::from_millis(pause_ms), Duration::from_secs(until_forgotten_seconds));
            let seconds = hidden.map(|hidden| hidden.as_secs());
            assert_eq!(seconds, expected_seconds, "{pause_ms} ms, {until_forgotten_seconds} s left");
        }
    }

    #[test]
    fn pause_beyond_the_end_of_the_alert_or_message_is_shortened() {
        let delivery = Delivery::default();
        for (until_deletion, until_expired, expected) in [
            (YEAR, Some(30), Some(30)),
            (YEAR, Some(300), Some(100)),
            (Duration::from_secs(180), None, Some(90)),
            (Duration::from_secs(180), Some(30), Some(30)),
            (Duration::from_secs(60), None, None),
            (Duration::from_secs(60), Some(30), None),
        ] {
            let situation = Situation {
                delivery: &delivery,
                on_uncertain: OnUncertain::Retry,
                dequeue_count: 1,
                refused_alone: false,
                host: HostState::Works,
                due_for: Duration::ZERO,
                until_deletion,
                until_expired: until_expired.map(Duration::from_secs),
            };
            let verdict = verdict(Class::Throttled, Some(100));
            let action = decide(&verdict, &situation, &Limits::default(), |max| max);
            match (expected, action) {
                (Some(seconds), Action::Hide { after, .. }) => assert_eq!(after.as_secs(), seconds),
                (None, action) => assert_eq!(action, Action::Poison(PoisonReason::OutOfTime)),
                (Some(_), action) => panic!("{until_deletion:?} {until_expired:?}: {action:?}"),
            }
        }
    }

    #[test]
    fn failure_of_the_host_is_not_counted_as_a_try() {
        #[derive(Debug, PartialEq)]
        struct Counted {
            tries: u32,
            outages: u32,
            pause_seconds: u64,
        }
        let counted = |tries, outages, pause_seconds| Some(Counted { tries, outages, pause_seconds });
        for (host, outages, expected) in [
            (HostState::Works, 0, counted(4, 0, 160)),
            (HostState::Unclear, 0, counted(3, 1, 20)),
            (HostState::Unclear, 1, counted(3, 2, 40)),
            (HostState::Unclear, 22, counted(3, 23, 60)),
            (HostState::Unclear, 23, None),
            (HostState::Fails, 0, counted(3, 0, 60)),
            (HostState::Fails, 23, counted(3, 23, 60)),
        ] {
            let delivery = Delivery { tries: 3, outages, ..Delivery::default() };
            let situation = Situation {
                delivery: &delivery,
                on_uncertain: OnUncertain::Retry,
                dequeue_count: 40,
                refused_alone: false,
                host,
                due_for: Duration::ZERO,
                until_deletion: YEAR,
                until_expired: None,
            };
            let verdict = verdict(Class::Unavailable, None);
            let found = match decide(&verdict, &situation, &Limits::default(), |max| max) {
                Action::Hide { after, delivery, .. } => {
                    counted(delivery.tries, delivery.outages, after.as_secs())
                }
                _ => None,
            };
            assert_eq!(found, expected, "{host:?}, {outages} outages before");
        }
    }

    fn any_class() -> impl Strategy<Value = Class> {
        prop::sample::select(vec![
            Class::Accepted,
            Class::Throttled,
            Class::Unavailable,
            Class::GatewayFailed,
            Class::PossiblyDelivered,
            Class::Unauthorized,
            Class::NoToken,
            Class::WrongCloud,
            Class::DestinationGone,
            Class::Permanent,
        ])
    }

    proptest! {
        #[test]
        fn decision_in_any_situation_keeps_the_rules(
            class in any_class(),
            retry_after in prop::option::of(any::<u64>()),
            (tries, throttled, uncertain, outages) in (0_u32.., 0_u32.., 0_u32..3, 0_u32..50),
            host in prop::sample::select(vec![HostState::Works, HostState::Unclear, HostState::Fails]),
            (drop, refused_alone) in any::<(bool, bool)>(),
            until_deletion in any::<u64>(),
            until_expired in prop::option::of(any::<u64>()),
            jitter in any::<u64>(),
        ) {
            let delivery = Delivery { tries, throttled, uncertain, accounted: 1, outages };
            let situation = Situation {
                delivery: &delivery,
                on_uncertain: if drop { OnUncertain::Drop } else { OnUncertain::Retry },
                dequeue_count: 9,
                refused_alone,
                host,
                due_for: Duration::ZERO,
                until_deletion: Duration::from_secs(until_deletion),
                until_expired: until_expired.map(Duration::from_secs),
            };
            let limits = Limits::default();
            let action = decide(&verdict(class, retry_after), &situation, &limits, |max| jitter % max.saturating_add(1).max(1));
            // A message is deleted without a copy in the poison queue only if the alert was delivered, or if
            // its sender asked for that (`onUncertain: drop`).
            prop_assert_eq!(matches!(action, Action::Delete), class == Class::Accepted);
            let is_uncertain = matches!(class, Class::PossiblyDelivered | Class::GatewayFailed);
            prop_assert_eq!(matches!(action, Action::Drop), is_uncertain && drop);
            // These verdicts have no status, like those of the login host.
            prop_assert_eq!(matches!(action, Action::StopRun(_)), matches!(class, Class::Unauthorized | Class::NoToken));
            if let Action::Hide { after, delivery: after_delivery, .. } = action {
                prop_assert!(after >= Duration::from_secs(1) && after <= MAX_HIDE);
                prop_assert!(after.as_secs() < until_deletion, "the queue deletes the message first");
                prop_assert_eq!(after_delivery.accounted, 9);
                // Throttling uses up no tries, and no count ever decreases.
                prop_assert!(after_delivery.tries >= tries && after_delivery.throttled >= throttled);
                prop_assert!(class != Class::Throttled || after_delivery.tries == tries);
                let is_try = matches!(class, Class::Unavailable | Class::GatewayFailed | Class::Unauthorized);
                prop_assert!(after_delivery.tries < limits.max_tries || !is_try);
                prop_assert!(after_delivery.outages < limits.max_outages || !is_try);
                // While the host fails, no failure is counted.
                prop_assert!(host != HostState::Fails || (after_delivery.tries, after_delivery.outages) == (tries, outages));
            }
        }

        #[test]
        fn backoff_of_any_attempt_keeps_its_bounds(attempt in 0_u32.., random in any::<u64>()) {
            let first = Duration::from_secs(2);
            let pause = backoff(first, attempt, |max| random % (max + 1));
            let longest = 2_f64.powi(i32::try_from(attempt.clamp(1, 64)).unwrap()).min(300.0);
            prop_assert!(pause.as_secs_f64() <= longest);
            prop_assert!(backoff(first, attempt, |max| max) >= backoff(first, attempt.saturating_sub(1), |max| max));
        }
    }
}
