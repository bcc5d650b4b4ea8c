//! Random failures in many simulated worlds. A *world* is one simulation (`sim.rs`), and its *seed* is the
//! start value of its random numbers. The tests check the rules that hold in each world.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use envelope::json_of;
use serde_json::Value;
use trigger_component::Limits;

use crate::sim::{Fault, POISON, Planned, QUEUE, Reply, Sim};
use crate::{envelope, milliseconds, seconds};

const CONVERSATIONS: u64 = 12;
const ALERTS_OF_EACH: u64 = 6;

/// A generator of random numbers for the failures. The world has its own generator for all other random
/// numbers. So the failures of a seed stay the same if the world needs more or fewer random numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

fn world(seed: u64) -> Sim {
    let sim = Sim::new(seed);
    let dice = Rc::new(RefCell::new(Dice(seed)));
    let storage_dice = Rc::clone(&dice);
    sim.connector(move |_, _| {
        let mut dice = dice.borrow_mut();
        let delay = milliseconds(dice.roll(80));
        match dice.roll(100) {
            0..10 => Reply::retry_after(dice.roll(4)),
            10..15 => Reply::status(503),
            15..18 => Reply::cut(),
            18..20 => Reply { cut: true, ..Reply::status(500) },
            20..22 => Reply::status(404),
            _ => Reply::status(201),
        }
        .after(delay)
    });
    sim.faults(move |_| {
        let mut dice = storage_dice.borrow_mut();
        match dice.roll(300) {
            0..5 => Some(Fault::Status(503)),
            5..10 => Some(Fault::CutBefore),
            10..15 => Some(Fault::CutAfter),
            _ => None,
        }
    });
    sim
}

fn texts(sim: &Sim, queue: &str) -> Vec<(String, Value)> {
    let messages = sim.storage.borrow().messages(queue);
    messages
        .into_iter()
        .map(|message| {
            let envelope: Value = serde_json::from_str(&json_of(&message.text).unwrap()).unwrap();
            (envelope["id"].as_str().unwrap().to_owned(), envelope)
        })
        .collect()
}

/// Checks one world: each alert is shown to the person or moved to the poison queue. When the poller knows
/// that the Connector has accepted an alert, the poller does not send this alert again.
fn check_world(seed: u64) {
    let sim = world(seed);
    let mut dice = Dice(!seed);
    let mut wanted = BTreeSet::new();
    for round in 0.. {
        assert!(
            sim.now() < seconds(400),
            "seed {seed}: expected an empty queue within 400 s, found {:#?}",
            sim.storage.borrow().messages(QUEUE)
        );
        if round < ALERTS_OF_EACH {
            for conversation in 0..CONVERSATIONS {
                let alert = envelope(&format!("c{conversation}"), &round.to_string());
                wanted.insert(alert["id"].as_str().unwrap().to_owned());
                sim.put(&alert);
            }
        }
        let planned: Vec<Planned> = (0..1 + dice.roll(4))
            .map(|_| {
                let start = sim.now() + milliseconds(dice.roll(5));
                let kill =
                    (round < 10 && dice.roll(4) == 0).then(|| start + milliseconds(1 + dice.roll(3000)));
                Planned { start, kill, limits: Limits::default() }
            })
            .collect();
        sim.run_all(planned);
        sim.pass(seconds(1));
        if round >= ALERTS_OF_EACH && sim.storage.borrow().queues[QUEUE].is_empty() {
            break;
        }
    }
    let attempts = sim.attempts.borrow();
    let poisoned = texts(&sim, POISON);
    for (id, envelope) in &poisoned {
        assert!(envelope["failure"]["outcome"].is_string(), "seed {seed}: {id} has no reason");
    }
    for id in &wanted {
        let of_it: Vec<_> = attempts
            .iter()
            .filter(|attempt| format!("{}-{}", attempt.conversation, attempt.text) == *id)
            .collect();
        let shown: Vec<_> = of_it.iter().filter(|attempt| attempt.shown).collect();
        let copies = poisoned.iter().filter(|(poisoned, _)| poisoned == id).count();
        assert!(!shown.is_empty() || copies > 0, "seed {seed}: {id} is lost");
        // An alert can be shown twice only if the poller did not receive the response to the earlier attempt:
        // either the response was lost, or the run was killed.
        for earlier in shown.iter().rev().skip(1) {
            assert!(!earlier.got_response, "seed {seed}: {id} was sent again after a response: {of_it:#?}");
        }
    }
}

/// Checks the order in one world: no alert overtakes an older alert of its conversation. `kills`: whether the
/// function kills runs. The order is not certain if two runs overlap, or if the response to a Get Messages is
/// lost. So this world has no overlapping runs and loses no such response. The order is also not certain if a
/// run is killed after a Get Messages, and before the run has recorded the dequeued messages. If this has
/// happened, the function does not check the order, and returns `None`.
fn check_order_in_world(seed: u64, kills: bool) -> Option<()> {
    let sim = world(seed);
    let mut dice = Dice(!seed);
    let mut faults = Dice(seed ^ 7);
    sim.faults(move |request| match (faults.roll(60), request.method() == http::Method::GET) {
        (0, _) => Some(Fault::Status(503)),
        (1, false) => Some(Fault::CutAfter),
        (2, _) => Some(Fault::CutBefore),
        _ => None,
    });
    let (mut put, mut killed) = (0, Vec::new());
    while put < ALERTS_OF_EACH || !sim.storage.borrow().queues[QUEUE].is_empty() {
        assert!(sim.now() < seconds(3600), "seed {seed}: expected an empty queue within an hour");
        if put < ALERTS_OF_EACH && dice.roll(3) == 0 {
            for conversation in 0..CONVERSATIONS {
                sim.put(&envelope(&format!("c{conversation}"), &put.to_string()));
            }
            put += 1;
        }
        let start = sim.now();
        let limits = Limits { budget: milliseconds(500 + dice.roll(5000)), ..Limits::default() };
        let kill = (kills && dice.roll(3) == 0).then(|| start + milliseconds(dice.roll(400)));
        if sim.run_all(vec![Planned { start, kill, limits }])[0].is_none() {
            killed.extend(kill);
        }
        sim.pass(milliseconds(dice.roll(1500)));
    }
    let gets = &sim.storage.borrow().calls;
    let gets = gets.iter().filter(|call| call.method == http::Method::GET).map(|call| call.at);
    // The response to a Get Messages takes 2 ms to arrive. Then the run records the dequeued messages, and
    // this write takes 2 ms to arrive. So after 5 ms, the messages are recorded.
    if gets.into_iter().any(|get| killed.iter().any(|kill| (get..get + milliseconds(5)).contains(kill))) {
        return None;
    }
    let lines = sim.lines.borrow();
    for conversation in 0..CONVERSATIONS {
        let name = format!("c{conversation}");
        let mut shown = sim.shown(&name);
        // The check leaves out the alerts that the poller tried to move to the poison queue. If the Put to
        // the poison queue failed, a later run can deliver the alert out of order.
        shown.retain(|text| {
            let id = format!("\"{name}-{text}\"");
            !lines.iter().any(|line| line.contains("\"alert.poisoned\"") && line.contains(&id))
        });
        shown.dedup();
        assert!(shown.is_sorted(), "seed {seed}: c{conversation}: {shown:?}");
    }
    Some(())
}

#[test]
fn alert_in_a_world_of_failures_overtakes_no_older_alert() {
    for seed in 0..seeds() {
        check_order_in_world(seed, false).expect("no run is killed");
    }
}

#[test]
fn alert_in_a_world_of_killed_runs_overtakes_no_older_alert() {
    let checked = (0..seeds()).filter_map(|seed| check_order_in_world(seed, true)).count() as u64;
    assert!(checked > seeds() / 3, "only {checked} of {} worlds could be checked", seeds());
}

/// Returns the number of worlds that a test checks. The environment variable `SEEDS` changes this number.
fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(25)
}

#[test]
fn alert_in_a_world_of_failures_and_kills_is_not_lost_and_not_sent_again_after_a_response() {
    for seed in 0..seeds() {
        check_world(seed);
    }
}

/// If a read of a table fails, no alert is lost. But a run can send alerts later or in another order, or put
/// a second copy of a message on the poison queue.
#[test]
fn failed_reads_of_a_table_are_logged_once_in_a_run() {
    let is_read_of = |request: &http::Request<bytes::Bytes>, part: &str| {
        request.method() == http::Method::GET && request.uri().to_string().contains(part)
    };
    // Each pair has a part of a URL and an event. The reads of URLs with this part fail, and the run logs the
    // event.
    for (part, event) in [("since.", "withdrawals.not-read"), ("proactivebotledger", "ledger.not-read")] {
        let sim = Sim::new(4);
        for round in 0..2 {
            for conversation in 0..3 {
                sim.put(&envelope(&format!("c{conversation}"), &round.to_string()));
                sim.storage.borrow_mut().put(QUEUE, "no envelope", sim.now(), None);
            }
        }
        // The messages have the dequeue count that a killed run leaves. For such messages, the run reads the
        // *ledger* (the table with one record for each alert).
        for message in sim.storage.borrow_mut().queues.get_mut(QUEUE).unwrap().iter_mut() {
            message.dequeue_count = 1;
        }
        sim.table_faults(move |request| is_read_of(request, part).then_some(Fault::Status(403)));
        sim.run();
        let lines = sim.lines.borrow();
        let logged = lines.iter().filter(|line| line.contains(event)).count();
        assert_eq!(logged, 1, "{event} in {lines:#?}");
    }
}
