//! Alerts that an operator replays. An alert *dies* when a run moves its message to the poison queue. The
//! ledger (the table with the status of each alert) then records the death. A *replay* puts the dead alert on
//! the queue again. In some tests, the replay comes before the ledger has recorded the death.

use std::cell::Cell;
use std::rc::Rc;

use http::Method;
use serde_json::json;
use state::ledger::{AlertId, Ledger, RecordKey, Reopened, Replay, Status};

use crate::settled::{accept, killed_after, overview, poll_for, record, wall, with_tables};
use crate::sim::{Fault, POISON, QUEUE, Reply, Sim};
use crate::{envelope, milliseconds, seconds};

/// Sets the alert's status to `queued`, as the bot does before it puts a replayed message on the queue.
/// `message` is the id of the queue message with which the alert died.
fn reopen(sim: &Sim, id: &AlertId, message: &str) {
    let key = RecordKey::of(id, wall(sim)).unwrap();
    let replay = Replay {
        conversation: "a",
        accepted_at: wall(sim),
        until: None,
        by: "operator",
        message: Some(message),
    };
    let reopened = with_tables(sim, async |host, account, tables, deadline| {
        Ledger::new(host, account, tables, deadline).reopen(&key, &replay).await.unwrap()
    });
    assert_eq!(reopened, Reopened::Yes);
}

/// Puts the replayed message on the queue.
fn put_again(sim: &Sim, id: &AlertId) {
    let mut message = envelope("a", "1");
    (message["id"], message["once"]) = (id.as_str().into(), json!(true));
    sim.put(&message);
}

#[test]
fn late_record_of_a_death_does_not_overwrite_the_status_of_a_replayed_alert() {
    for is_replayed in [true, false] {
        let sim = Sim::new(1);
        let id = accept(&sim, "a", "1");
        let died = sim.storage.borrow().messages(QUEUE)[0].id.clone();
        sim.connector(|_, _| Reply::status(400));
        sim.table_faults(|request| {
            let is_write = request.method() != Method::GET;
            (is_write && request.uri().path().contains("proactivebotledger")).then_some(Fault::Status(503))
        });
        sim.run();
        assert_eq!(
            (sim.storage.borrow().messages(POISON).len(), record(&sim, &id).status),
            (1, Status::Queued)
        );
        sim.table_faults(|_| None);
        if is_replayed {
            reopen(&sim, &id, &died);
        }
        sim.run();
        let expected = if is_replayed { Status::Queued } else { Status::Dead };
        assert_eq!(record(&sim, &id).status, expected, "replayed: {is_replayed}");
        let figures = overview(&sim).figures;
        assert_eq!(figures.dead["permanent"], 1, "{figures:?}");
        if is_replayed {
            sim.connector(|_, _| Reply::status(201));
            put_again(&sim, &id);
            sim.run();
            assert_eq!((sim.shown("a"), record(&sim, &id).status), (vec!["1".to_owned()], Status::Delivered));
        }
    }
}

#[test]
fn death_is_recorded_with_one_write_of_the_ledger() {
    let sim = Sim::new(2);
    let id = accept(&sim, "a", "1");
    sim.connector(|_, _| Reply::status(400));
    let calls = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = calls.clone();
    sim.table_faults(move |request| {
        if request.uri().path().contains("proactivebotledger") {
            seen.borrow_mut().push(request.method().clone());
        }
        None
    });
    sim.run();
    assert_eq!(record(&sim, &id).status, Status::Dead);
    assert_eq!(calls.borrow().len(), 2, "a read and a write: {calls:?}");
}

/// The *old message* is the queue message from before the replay. When a run moved the old message to the
/// poison queue, the Delete of the old message on the main queue failed. So after the replay, the main queue
/// holds the alert twice. A run dequeues the old message, and sends the alert. The run first records the
/// status, and then deletes the old message.
#[test]
fn replayed_alert_is_recorded_as_delivered_before_the_old_message_is_deleted() {
    let mut deleted = 0;
    for after in (20..80).step_by(2).map(milliseconds) {
        let sim = Sim::new(3);
        let id = accept(&sim, "a", "1");
        let old = sim.storage.borrow().messages(QUEUE)[0].id.clone();
        sim.connector(|_, _| Reply::status(400));
        sim.faults(|request| (request.method() == Method::DELETE).then_some(Fault::Status(503)));
        sim.run();
        assert_eq!(
            (sim.storage.borrow().messages(POISON).len(), record(&sim, &id).status),
            (1, Status::Dead)
        );
        sim.faults(|_| None);
        sim.connector(|_, _| Reply::status(201));
        // The queue received the old message earlier, so the run dequeues the old message before the new
        // message.
        sim.pass(seconds(2));
        reopen(&sim, &id, &old);
        put_again(&sim, &id);
        sim.pass(seconds(300));
        let has_ended = killed_after(&sim, after);
        let is_deleted = sim.storage.borrow().messages(QUEUE).iter().all(|message| message.id != old);
        if is_deleted {
            deleted += 1;
            assert_eq!(record(&sim, &id).status, Status::Delivered, "killed after {after:?}");
        }
        poll_for(&sim, seconds(90));
        let with_response =
            sim.attempts.borrow().iter().filter(|attempt| attempt.got_response && attempt.shown).count();
        assert!(with_response <= 1 || !is_deleted, "killed after {after:?}");
        let found = record(&sim, &id);
        assert_eq!(found.status, Status::Delivered, "killed after {after:?}: {found:?}");
        if has_ended {
            break;
        }
    }
    assert!(deleted > 0, "expected a kill after the Delete in at least one world, found none");
}

/// The run is killed after it has moved the message to the poison queue. The operator replays the alert
/// before the next run begins. If a killed run had dequeued a message, and the next run cannot find this
/// message on the queue, the message usually counts as *missing*.
#[test]
fn alert_that_dies_in_a_killed_run_and_is_replayed_does_not_count_as_missing() {
    let mut deleted = 0;
    for after in 20..90 {
        let sim = Sim::new(4);
        let id = accept(&sim, "a", "1");
        let died = sim.storage.borrow().messages(QUEUE)[0].id.clone();
        sim.connector(|_, _| Reply::status(400));
        let has_ended = killed_after(&sim, milliseconds(after));
        let is_dead = record(&sim, &id).status == Status::Dead;
        if has_ended || !is_dead || !sim.storage.borrow().messages(QUEUE).is_empty() {
            continue;
        }
        deleted += 1;
        reopen(&sim, &id, &died);
        sim.pass(seconds(10));
        sim.run();
        let found = record(&sim, &id);
        assert_eq!((found.status, found.missed_at), (Status::Queued, None), "killed after {after} ms");
        sim.connector(|_, _| Reply::status(201));
        put_again(&sim, &id);
        sim.run();
        assert_eq!(record(&sim, &id).status, Status::Delivered, "killed after {after} ms");
        let figures = overview(&sim).figures;
        let deaths: u64 = figures.dead.values().sum();
        assert_eq!((deaths, figures.ended["delivered"]), (1, 1), "killed after {after} ms: {figures:?}");
    }
    assert!(deleted > 0, "expected a kill after the Delete in at least one world, found none");
}

/// The alert dies. The operator replays the alert, so the queue gets a second message of the alert, and the
/// alert dies again. The ledger must not record a death that came before the last replay. So before a death,
/// the run reads the time of the last replay from the alert's record. In this test, this read fails before
/// the second death. The ledger must still record the second death, because the operator replayed only the
/// first message.
#[test]
fn second_death_is_recorded_even_if_the_record_cannot_be_read() {
    let sim = Sim::new(5);
    let id = accept(&sim, "a", "1");
    let died = sim.storage.borrow().messages(QUEUE)[0].id.clone();
    let refused = Rc::new(Cell::new(0));
    let seen = refused.clone();
    sim.connector(move |_, _| {
        seen.set(seen.get() + 1);
        Reply::status(400)
    });
    sim.run();
    assert_eq!(record(&sim, &id).status, Status::Dead);
    sim.pass(seconds(2));
    reopen(&sim, &id, &died);
    put_again(&sim, &id);
    // After the Connector has refused the second message, all three attempts to read the record fail.
    let mut failures = 3;
    sim.table_faults(move |request| {
        let is_read = request.method() == Method::GET && request.uri().path().contains("proactivebotledger");
        let fails = is_read && refused.get() == 2 && failures > 0;
        failures -= usize::from(fails);
        fails.then_some(Fault::Status(503))
    });
    sim.run();
    assert!(sim.lines.borrow().iter().any(|line| line.contains("ledger.not-read")));
    assert_eq!(record(&sim, &id).status, Status::Dead);
}
