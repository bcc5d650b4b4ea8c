//! How runs (executions of the poller) handle unusual entities and expired records in the tables. The *run
//! lock* is an entity. Only the run that holds the run lock sends alerts. The *ledger* is the table with one
//! record for each alert.

use serde_json::Value;

use crate::sim::{Fault, QUEUE, Sim};
use crate::{envelope, seconds};

/// Returns the log lines with this event.
fn events(sim: &Sim, event: &str) -> Vec<Value> {
    let lines = sim.lines.borrow();
    let all = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["event"] == event).collect()
}

/// Sets a property of the run lock.
fn set_in_lock(sim: &Sim, name: &str, value: impl Into<Value>) {
    let mut tables = sim.tables.borrow_mut();
    let key = (QUEUE.into(), "run".into());
    tables.entities_mut("proactivebotruns").get_mut(&key).unwrap().insert(name.into(), value.into());
}

#[test]
fn run_that_finds_a_lock_of_a_newer_version_sends_nothing_and_logs_an_error() {
    let sim = Sim::new(1);
    sim.put(&envelope("a", "1"));
    sim.run();
    // A newer version of the poller has written the run lock.
    set_in_lock(&sim, "version", 2);
    sim.put(&envelope("a", "2"));
    sim.pass(seconds(60));
    assert_eq!(sim.run().to_json()["skipped"], "anotherRun");
    assert_eq!(sim.shown("a"), ["1"]);
    assert_eq!(events(&sim, "run.lock-newer").len(), 1);
    set_in_lock(&sim, "version", 1);
    sim.run();
    assert_eq!(sim.shown("a"), ["1", "2"]);
}

/// Another program has changed the run lock and an alert's record. The program has also inserted a *waiting
/// line* (the list of a conversation's hidden messages) and a *withdrawal* (an entity that tells the runs
/// e.g. about a cancellation). Each of these four entities has a property that the run cannot read.
#[test]
fn foreign_entities_are_logged_once_for_each_table_and_do_not_stop_the_run() {
    let sim = Sim::new(3);
    sim.put(&envelope("a", "1"));
    sim.run();
    set_in_lock(&sim, "fence", "many");
    let foreign =
        || [("line".to_owned(), Value::from(7)), ("kind".to_owned(), true.into())].into_iter().collect();
    for row in ["line.0123456789abcdef", "since.99999999999999.x"] {
        sim.tables
            .borrow_mut()
            .entities_mut("proactivebotruns")
            .insert((QUEUE.into(), row.into()), foreign());
    }
    let mut again = envelope("a", "1");
    // With `once`, the run reads the alert's record before it sends the alert.
    again["once"] = true.into();
    for ((_, row), record) in sim.tables.borrow_mut().entities_mut("proactivebotledger") {
        assert_eq!(row, "other.a-1");
        record.insert("status".into(), 7.into());
    }
    sim.put(&again);
    sim.run();
    // The run could not read the status `delivered` in the record, so the run sent the alert again.
    assert_eq!(sim.shown("a").len(), 2);
    let lines = events(&sim, "table.entity-skipped");
    let tables: Vec<_> = lines.iter().map(|line| line["table"].as_str().unwrap()).collect();
    assert_eq!(tables, ["proactivebotledger", "proactivebotruns"], "{lines:?}");
    sim.put(&envelope("b", "1"));
    sim.tables.borrow_mut().entities_mut("proactivebotruns").retain(|(_, row), _| row == "run");
    sim.run();
    assert_eq!(events(&sim, "table.entity-skipped").len(), 2, "the last run reads no foreign entity");
}

const DAY: u64 = 24 * 60 * 60;

/// Makes a world in which the ledger has the expired record of a delivered alert. A record expires seven days
/// after the delivery.
fn world_with_an_expired_record() -> Sim {
    let sim = Sim::new(7);
    sim.put(&envelope("a", "1"));
    sim.run();
    assert_eq!(sim.status("a-1").as_deref(), Some("delivered"));
    sim.pass(seconds(30 * DAY));
    sim
}

/// A run that finds no message decides at random whether to delete expired records. One of 60 such runs does.
#[test]
fn expired_record_is_deleted_by_runs_that_find_no_message() {
    let sim = world_with_an_expired_record();
    for _ in 0..600 {
        sim.pass(seconds(60));
        sim.run();
    }
    assert_eq!(sim.status("a-1"), None);
    let lines = events(&sim, "tables.cleaned");
    assert_eq!(lines.iter().map(|line| line["records"].as_u64().unwrap()).sum::<u64>(), 1, "{lines:?}");
}

/// A run that finds a message takes the run lock, and gets a number from the run lock. If the number is a
/// multiple of 60, the run deletes expired records.
#[test]
fn expired_record_is_deleted_even_if_every_run_finds_a_message() {
    let sim = world_with_an_expired_record();
    for number in 0..60 {
        sim.pass(seconds(60));
        sim.put(&envelope("b", &number.to_string()));
        sim.run();
    }
    assert_eq!(sim.status("a-1"), None);
    assert_eq!(sim.shown("b").len(), 60);
}

#[test]
fn cleaning_that_fails_is_logged_and_the_run_still_delivers() {
    let sim = world_with_an_expired_record();
    // The next run has the number 60, so the run deletes expired records at its end.
    set_in_lock(&sim, "fence", 59.to_string());
    sim.table_faults(|request| request.uri().query()?.contains("endsAt").then_some(Fault::Status(403)));
    sim.put(&envelope("b", "1"));
    sim.run();
    assert_eq!(sim.shown("b"), ["1"]);
    let lines = events(&sim, "tables.not-cleaned");
    assert!(lines.len() == 1 && lines[0]["level"] == "warn", "{lines:?}");
}
