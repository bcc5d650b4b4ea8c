//! A host of the Connector that fails for minutes or for days. On Teams, each region counts as a host of its
//! own.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::sim::{POISON, QUEUE, Reply, Sim};
use crate::{counts, envelope, seconds};

const CONVERSATIONS: u64 = 60;

/// Makes a simulation with an outage. Until `ends_at` (in seconds), the Connector returns `failure`. After
/// that, attempts succeed. Attempts to conversations whose id begins with `works` always succeed. Also
/// returns the clock of the outage, in seconds, which the caller has to set before each run.
fn outage(seed: u64, failure: Reply, ends_at: u64) -> (Sim, Rc<Cell<u64>>) {
    let sim = Sim::new(seed);
    let clock = Rc::new(Cell::new(0));
    let now = Rc::clone(&clock);
    sim.connector(move |conversation, _| {
        let is_out = now.get() < ends_at && !conversation.starts_with("works");
        if is_out { failure.clone() } else { Reply::status(201) }
    });
    (sim, clock)
}

/// Runs once in three seconds, until the moment `until` (in seconds). Sets the clock of the outage before
/// each run.
fn run_until(sim: &Sim, clock: &Cell<u64>, until: u64) {
    while sim.now() < seconds(until) {
        clock.set(sim.now().as_secs());
        sim.run();
        sim.pass(seconds(3));
    }
}

fn poisoned(sim: &Sim) -> usize {
    sim.storage.borrow().messages(POISON).len()
}

fn waiting(sim: &Sim) -> usize {
    sim.storage.borrow().messages(QUEUE).len()
}

fn in_region(mut alert: Value, region: &str) -> Value {
    alert["address"]["serviceUrl"] = format!("http://127.0.0.1:9200/{region}/").into();
    alert
}

#[test]
fn outage_of_ten_minutes_moves_nothing_to_the_poison_queue() {
    for (seed, failure) in
        [(1, Reply::status(503)), (2, Reply::status(504)), (3, Reply::status(502)), (4, Reply::status(500))]
    {
        let (sim, clock) = outage(seed, failure.clone(), 600);
        for text in 0..5 {
            for conversation in 0..CONVERSATIONS {
                sim.put(&envelope(&format!("c{conversation}"), &text.to_string()));
            }
            run_until(&sim, &clock, 20 * (text + 1));
        }
        run_until(&sim, &clock, 600);
        let attempts = sim.attempts.borrow().len();
        assert!(
            attempts < 100,
            "{failure:?}: expected fewer than 100 attempts in ten minutes, found {attempts}"
        );
        run_until(&sim, &clock, 600 + 240);
        assert_eq!((waiting(&sim), poisoned(&sim)), (0, 0), "{failure:?}: (waiting, poisoned)");
        for conversation in 0..CONVERSATIONS {
            assert_eq!(sim.shown(&format!("c{conversation}")), ["0", "1", "2", "3", "4"], "{failure:?}");
        }
    }
}

#[test]
fn single_alert_in_an_outage_of_ten_minutes_is_delivered_after_the_outage() {
    for seed in 0..8 {
        let (sim, clock) = outage(seed, Reply::status(503), 600);
        sim.put(&envelope("a", "1"));
        run_until(&sim, &clock, 600 + 65);
        assert_eq!((sim.shown("a").len(), poisoned(&sim)), (1, 0), "seed {seed}: (shown, poisoned)");
    }
}

#[test]
fn alert_that_always_fails_is_moved_to_the_poison_queue_even_if_the_host_has_no_other_alert() {
    let (sim, clock) = outage(5, Reply::status(503), u64::MAX);
    sim.put(&envelope("a", "1"));
    run_until(&sim, &clock, 24 * 60);
    assert_eq!((sim.attempts.borrow().len(), poisoned(&sim)), (24, 1), "(attempts, poisoned)");
    assert!(sim.attempts.borrow().last().unwrap().at > seconds(600));
}

#[test]
fn region_that_is_down_does_not_delay_another_region() {
    let (sim, clock) = outage(6, Reply::status(503), 300);
    for conversation in 0..20 {
        sim.put(&envelope(&format!("c{conversation}"), "1"));
    }
    run_until(&sim, &clock, 60);
    for conversation in 0..20 {
        sim.put(&in_region(envelope(&format!("works{conversation}"), "1"), "emea"));
        sim.put(&envelope(&format!("c{conversation}"), "2"));
    }
    let began = sim.now();
    sim.run();
    for conversation in 0..20 {
        assert_eq!(sim.shown(&format!("works{conversation}")), ["1"]);
    }
    assert!(sim.now() - began < seconds(3));
    run_until(&sim, &clock, 300 + 180);
    assert_eq!((waiting(&sim), poisoned(&sim)), (0, 0), "(waiting, poisoned)");
}

#[test]
fn slow_recovery_of_a_host_moves_nothing_to_the_poison_queue() {
    let sim = Sim::new(7);
    let clock = Rc::new(Cell::new(0));
    let (now, calls) = (Rc::clone(&clock), Cell::new(0_u64));
    sim.connector(move |_, _| {
        calls.set(calls.get() + 1);
        match now.get() {
            0..120 => Reply::status(503),
            120..600 if !calls.get().is_multiple_of(10) => Reply::status(503),
            _ => Reply::status(201),
        }
    });
    for conversation in 0..CONVERSATIONS {
        sim.put(&envelope(&format!("c{conversation}"), "1"));
    }
    run_until(&sim, &clock, 600 + 180);
    assert_eq!((waiting(&sim), poisoned(&sim)), (0, 0), "(waiting, poisoned)");
}

#[test]
fn host_that_fails_twice_is_logged_as_failed_and_as_recovered_twice() {
    let sim = Sim::new(8);
    let clock = Rc::new(Cell::new(0));
    let now = Rc::clone(&clock);
    sim.connector(move |_, _| match now.get() {
        0..100 | 160..260 => Reply::status(503),
        _ => Reply::status(201),
    });
    for round in 0..20 {
        for conversation in 0..10 {
            sim.put(&envelope(&format!("c{conversation}"), &round.to_string()));
        }
        run_until(&sim, &clock, 20 * (round + 1));
    }
    run_until(&sim, &clock, 600);
    assert_eq!((waiting(&sim), poisoned(&sim)), (0, 0), "(waiting, poisoned)");
    let lines = sim.lines.borrow();
    for event in ["host.failed", "host.recovered"] {
        let count = lines.iter().filter(|line| line.contains(&format!("\"{event}\""))).count();
        assert_eq!(count, 2, "{event}: one line for each of the two outages");
    }
}

#[test]
fn alert_that_expires_during_an_outage_is_recorded_as_expired() {
    let (sim, clock) = outage(9, Reply::status(503), 600);
    for conversation in 0..4 {
        sim.put(&envelope(&format!("c{conversation}"), "1"));
    }
    run_until(&sim, &clock, 3);
    let mut alert = envelope("late", "1");
    alert["expires"] = json!("2026-11-23T22:01:00Z");
    sim.put(&alert);
    let first = sim.run();
    assert_eq!(counts(&first, ["hostOut"])[0], 1, "the alert is hidden without a try");
    run_until(&sim, &clock, 70);
    assert_eq!(sim.status("late-1").as_deref(), Some("expired"));
    assert!(sim.attempts.borrow().iter().all(|attempt| attempt.conversation != "late"));
}

#[test]
fn stored_failures_of_a_host_are_deleted_after_the_host_works_again() {
    let (sim, clock) = outage(10, Reply::status(503), 30);
    for conversation in 0..10 {
        sim.put(&envelope(&format!("c{conversation}"), "1"));
    }
    let stored = |sim: &Sim| {
        let rows = sim.tables.borrow().entities("proactivebotruns").clone();
        rows.into_iter().any(|((_, row), record)| row == "run" && record.get("hosts").is_some())
    };
    run_until(&sim, &clock, 10);
    assert!(stored(&sim));
    run_until(&sim, &clock, 200);
    assert_eq!(waiting(&sim), 0);
    assert!(!stored(&sim), "the record of the run lock contains no host");
}

#[test]
fn alerts_to_a_host_that_is_down_for_more_than_a_day_are_moved_to_the_poison_queue() {
    let (sim, clock) = outage(11, Reply::status(503), u64::MAX);
    for conversation in 0..4 {
        sim.put(&envelope(&format!("c{conversation}"), "1"));
    }
    run_until(&sim, &clock, 60);
    assert_eq!((waiting(&sim), poisoned(&sim)), (4, 0), "(waiting, poisoned)");
    sim.pass(seconds(24 * 3600));
    run_until(&sim, &clock, 24 * 3600 + 300);
    assert_eq!((waiting(&sim), poisoned(&sim)), (0, 4), "(waiting, poisoned)");
}

#[test]
fn host_that_failed_and_gets_no_more_alerts_no_longer_counts_as_down() {
    let (sim, clock) = outage(9, Reply::status(503), 10_000);
    for conversation in ["a", "b", "c"] {
        sim.put(&envelope(conversation, "1"));
    }
    run_until(&sim, &clock, 20);
    assert_eq!(crate::settled::overview(&sim).figures.hosts_out.len(), 1);
    sim.storage.borrow_mut().queues.get_mut(QUEUE).unwrap().clear();
    sim.pass(seconds(11 * 60));
    sim.put(&in_region(envelope("works", "1"), "emea"));
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
    assert_eq!(crate::settled::overview(&sim).figures.hosts_out, [""; 0]);
}
