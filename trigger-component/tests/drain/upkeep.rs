//! The records of the run lock and the ledger beside the delivery: a record of a newer version, and the
//! deletion of expired records.

use serde_json::Value;

use crate::sim::{QUEUE, Sim};
use crate::{envelope, seconds};

/// The lines of the log with this event.
fn events(sim: &Sim, event: &str) -> Vec<Value> {
    let lines = sim.lines.borrow();
    let all = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["event"] == event).collect()
}

/// Sets a property of the record of the run lock.
fn set_in_lock(sim: &Sim, name: &str, value: impl Into<Value>) {
    let mut tables = sim.tables.borrow_mut();
    let key = (QUEUE.into(), "run".into());
    tables.entities_mut("proactivebotruns").get_mut(&key).unwrap().insert(name.into(), value.into());
}

#[test]
fn run_that_finds_a_lock_of_a_newer_version_sends_nothing_and_says_so() {
    let sim = Sim::new(1);
    sim.put(&envelope("a", "1"));
    sim.run();
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
