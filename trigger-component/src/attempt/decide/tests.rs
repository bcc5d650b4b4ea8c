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
fn response_leads_to_the_documented_action() {
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
        (Class::Unavailable, Some(9999), delivery(0, 0, 0), Retry, hide(3600, 1, 0, 0, Hidden::Unavailable)),
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
        (Class::Throttled, Some(u64::MAX), delivery(0, 0, 0), Retry, hide(3600, 0, 1, 0, Hidden::Throttled)),
        (Class::Throttled, None, delivery(0, 99, 0), Retry, hide(300, 0, 100, 0, Hidden::Throttled)),
        (Class::Unavailable, None, delivery(4, 0, 0), Retry, Action::Poison(PoisonReason::RetriesExhausted)),
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
        (Class::NoToken, None, delivery(4, 0, 1), Drop, Action::StopRun(Stop::NoToken { retry_after: None })),
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
fn refusal_of_the_token_by_one_conversation_alone_counts_as_a_try() {
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
fn pause_becomes_a_time_out_that_the_queue_accepts() {
    for (pause_ms, until_deletion_seconds, expected_seconds) in [
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
        let hidden = hide_for(Duration::from_millis(pause_ms), Duration::from_secs(until_deletion_seconds));
        let seconds = hidden.map(|hidden| hidden.as_secs());
        assert_eq!(seconds, expected_seconds, "{pause_ms} ms, {until_deletion_seconds} s left");
    }
}

#[test]
fn pause_ends_when_the_alert_expires_or_before_the_queue_deletes_the_message() {
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
fn failure_counts_as_a_try_only_if_the_host_works() {
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
    fn decide_in_any_situation_loses_no_message_and_counts_throttling_as_no_try(
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
        // In two cases only, a message is deleted without a copy in the poison queue. First: the alert was
        // delivered. Second: the alert was perhaps delivered, and its sender has set `onUncertain: drop`.
        prop_assert_eq!(matches!(action, Action::Delete), class == Class::Accepted);
        let is_uncertain = matches!(class, Class::PossiblyDelivered | Class::GatewayFailed);
        prop_assert_eq!(matches!(action, Action::Drop), is_uncertain && drop);
        // The verdicts of this test have no HTTP status. So an `Unauthorized` comes from the login host, and
        // stops the run, no matter what `refused_alone` says. `NoToken` always stops the run.
        prop_assert_eq!(matches!(action, Action::StopRun(_)), matches!(class, Class::Unauthorized | Class::NoToken));
        if let Action::Hide { after, delivery: after_delivery, .. } = action {
            prop_assert!(after >= Duration::from_secs(1) && after <= MAX_HIDE);
            prop_assert!(after.as_secs() < until_deletion, "the queue deletes the message before the pause ends");
            prop_assert_eq!(after_delivery.accounted, 9);
            // These counts never decrease.
            prop_assert!(after_delivery.tries >= tries && after_delivery.throttled >= throttled);
            // Throttling uses up no tries.
            prop_assert!(class != Class::Throttled || after_delivery.tries == tries);
            let is_try = matches!(class, Class::Unavailable | Class::GatewayFailed | Class::Unauthorized);
            prop_assert!(after_delivery.tries < limits.max_tries || !is_try);
            prop_assert!(after_delivery.outages < limits.max_outages || !is_try);
            // While the host fails, `decide` counts no failure.
            prop_assert!(host != HostState::Fails || (after_delivery.tries, after_delivery.outages) == (tries, outages));
        }
    }

    #[test]
    fn backoff_keeps_its_limit_and_the_limit_never_shrinks(attempt in 0_u32.., random in any::<u64>()) {
        let first = Duration::from_secs(2);
        let pause = backoff(first, attempt, |max| random % (max + 1));
        let longest = 2_f64.powi(i32::try_from(attempt.clamp(1, 64)).unwrap()).min(300.0);
        prop_assert!(pause.as_secs_f64() <= longest);
        prop_assert!(backoff(first, attempt, |max| max) >= backoff(first, attempt.saturating_sub(1), |max| max));
    }
}

#[test]
fn first_word_of_the_reason_in_a_record_names_the_poison_reason() {
    for reason in PoisonReason::ALL {
        assert_eq!(PoisonReason::word_in(&format!("{}: {}", reason.as_str(), "no: such")), reason.as_str());
    }
    for other in ["", "newer: x", "dropped by ops; permanent: x"] {
        assert_eq!(PoisonReason::word_in(other), UNRECORDED, "{other}");
    }
}
