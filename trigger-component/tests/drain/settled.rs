//! Alerts of killed runs. Each alert gets a final status in the ledger. The figures (the counts of the
//! queue's messages over all runs) count each message once. But if a run dequeues a *missing* message (see
//! below) again, the figures count this message twice, and `found_again` says so.
//!
//! A run has a message *in hand* from the time at which it dequeues the message until it has finished the
//! message. A message is *missing* if a killed run had it in hand, and the next run cannot find it on the
//! queue. The *run lock* is a record that lets only one run work at a time; the record also lists the
//! messages in hand.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use platform::testing::{FakeHost, run};
use platform::{Clock, Deadline};
use state::ledger::{AlertId, Ledger, NewAlert, Record, Shown, Status, Withdrawn};
use state::runs::{Figures, Overview, Runs};
use state::{ConversationKey, Tables};
use storage_account::Account;
use storage_table::testing::FakeTables;

use crate::sim::{Fault, POISON, Planned, QUEUE, Reply, START_SECONDS, Sim};
use crate::{envelope, milliseconds, seconds};
use trigger_component::Limits;

/// Calls `call` with access to the tables of the simulation. With this function, a test reads and writes the
/// tables, as the bot does.
pub(crate) fn with_tables<T>(
    sim: &Sim,
    call: impl AsyncFnOnce(&FakeHost, &Account, &Tables, Deadline) -> T,
) -> T {
    let tables = Rc::new(RefCell::new(std::mem::take(&mut *sim.tables.borrow_mut())));
    let host = FakeHost::default();
    let now = wall(sim);
    host.elapsed.set((now - host.now()).to_std().unwrap());
    let service: Rc<RefCell<FakeTables>> = Rc::clone(&tables);
    host.answers(move |request| service.borrow_mut().response(request, now).map(Ok));
    let account = Account::parse("UseDevelopmentStorage=true").unwrap();
    let names = Tables::read(&host).unwrap();
    let result = run(call(&host, &account, &names, Deadline::after(&host, seconds(20))));
    drop(host);
    *sim.tables.borrow_mut() = Rc::into_inner(tables).unwrap().into_inner();
    result
}

/// Returns the simulated date and time.
pub(crate) fn wall(sim: &Sim) -> DateTime<Utc> {
    Utc.timestamp_opt(START_SECONDS, 0).unwrap() + sim.now()
}

/// Inserts an alert's record into the ledger, and puts the alert on the queue, as the bot does.
pub(crate) fn accept(sim: &Sim, conversation: &str, text: &str) -> AlertId {
    let key = ConversationKey::parse(&platform::name_of(&[conversation])).unwrap();
    let id = AlertId::of_activity(wall(sim), &key, text);
    let alert = NewAlert::queued(id.clone(), key.as_str());
    with_tables(sim, async |host, account, tables, deadline| {
        Ledger::new(host, account, tables, deadline).accept(&alert).await.unwrap()
    });
    let mut message = envelope(conversation, text);
    message["id"] = id.as_str().into();
    sim.put(&message);
    id
}

pub(crate) fn record(sim: &Sim, id: &AlertId) -> Record {
    let found = with_tables(sim, async |host, account, tables, deadline| {
        Ledger::new(host, account, tables, deadline).find(id).await.unwrap()
    });
    found.unwrap()
}

pub(crate) fn overview(sim: &Sim) -> Overview {
    with_tables(sim, async |host, account, tables, deadline| {
        Runs::new(host, account, tables, QUEUE, deadline).overview().await.unwrap()
    })
}

/// Returns the number of messages that the figures count as delivered, dead, or ended in another way.
pub(crate) fn ended(figures: &Figures) -> u64 {
    figures.ended.values().sum::<u64>() + figures.dead.values().sum::<u64>()
}

/// Begins a run, and kills it after `after`. Returns whether the run had ended before the kill.
pub(crate) fn killed_after(sim: &Sim, after: Duration) -> bool {
    let (start, limits) = (sim.now(), Limits::default());
    sim.run_all(vec![Planned { start, kill: Some(start + after), limits }])[0].is_some()
}

/// Runs once a second for `time`.
pub(crate) fn poll_for(sim: &Sim, time: Duration) {
    let until = sim.now() + time;
    while sim.now() < until {
        sim.run();
        sim.pass(seconds(1));
    }
}

#[test]
fn alerts_of_a_run_that_is_killed_at_any_moment_end_and_are_counted_once() {
    let mut missed = 0;
    for after in (1..60).chain((60..600).step_by(9)) {
        let sim = Sim::new(after);
        sim.connector(|conversation, _| match conversation {
            "gone" => Reply::status(400),
            "slow" => Reply::status(201).after(milliseconds(300)),
            _ => Reply::status(201),
        });
        let mut ids: Vec<AlertId> = ["1", "2", "3"].iter().map(|text| accept(&sim, "a", text)).collect();
        for conversation in ["b", "gone", "slow"] {
            ids.push(accept(&sim, conversation, "1"));
        }
        let has_ended = killed_after(&sim, milliseconds(after));
        poll_for(&sim, seconds(75));
        sim.pass(seconds(130));
        assert!(sim.storage.borrow().queues[QUEUE].is_empty(), "killed after {after} ms");
        for id in &ids {
            let record = record(&sim, id);
            missed += usize::from(!record.status.is_final());
            let expected = if *id == ids[4] { Status::Dead } else { Status::Delivered };
            let shown = record.shown(wall(&sim));
            assert_eq!(shown.as_str(), expected.as_str(), "killed after {after} ms: {record:?}");
        }
        let figures = overview(&sim).figures;
        assert_eq!(ended(&figures), 6, "killed after {after} ms: {figures:?}");
        // If a run is killed after a Get Messages, and before it has recorded the dequeued messages, these
        // messages do not count as accepted at first. By now, a later run has corrected the number, because
        // the messages have left the queue.
        assert_eq!(figures.accepted, 6, "killed after {after} ms: {figures:?}");
        if has_ended {
            break;
        }
    }
    assert!(missed > 0, "expected a kill between a Delete and the record of the alert's status, found none");
}

#[test]
fn status_that_a_run_cannot_record_is_recorded_by_the_next_run() {
    let sim = Sim::new(1);
    let id = accept(&sim, "a", "1");
    sim.table_faults(|request| {
        let is_ledger = request.uri().path().contains("proactivebotledger");
        (is_ledger && request.method() != http::Method::GET).then_some(Fault::Status(503))
    });
    sim.run();
    assert_eq!((sim.shown("a").len(), record(&sim, &id).status), (1, Status::Queued));
    sim.table_faults(|_| None);
    sim.run();
    assert_eq!(record(&sim, &id).status, Status::Delivered);
    assert_eq!(overview(&sim).figures.ended["delivered"], 1);
}

#[test]
fn delivered_alert_whose_status_no_run_recorded_cannot_be_cancelled() {
    let sim = Sim::new(2);
    let id = accept(&sim, "a", "1");
    // The run is killed after it has recorded that it has the message in hand. Then the test deletes the
    // message, as if the killed run had deleted it.
    sim.connector(|_, _| Reply::status(201).after(seconds(5)));
    assert!(!killed_after(&sim, seconds(1)));
    sim.storage.borrow_mut().queues.get_mut(QUEUE).unwrap().clear();
    let cancel = |sim: &Sim| {
        with_tables(sim, async |host, account, tables, deadline| {
            Ledger::new(host, account, tables, deadline).withdraw(&id, None).await.unwrap()
        })
    };
    poll_for(&sim, seconds(12));
    let found = record(&sim, &id);
    assert!(found.missed_at.is_some(), "{found:?}");
    assert_eq!(
        found.shown(wall(&sim)),
        Shown::Status(Status::Queued),
        "perhaps a run still dequeues the message"
    );
    poll_for(&sim, seconds(125));
    assert_eq!(cancel(&sim), Withdrawn::TooLate(Status::Delivered));
}

#[test]
fn missing_message_that_a_run_dequeues_again_counts_as_found_again() {
    let sim = Sim::new(3);
    let id = accept(&sim, "a", "1");
    sim.connector(|_, _| Reply::status(201).after(seconds(5)));
    assert!(!killed_after(&sim, seconds(1)));
    // The message gets a new pop receipt, as if another client had updated the message. The next run tries to
    // make the message visible with the old receipt. Azure returns 404, although the queue still holds the
    // message.
    sim.storage.borrow_mut().is_like_azure = true;
    for message in sim.storage.borrow_mut().queues.get_mut(QUEUE).unwrap().iter_mut() {
        message.receipt.push('x');
    }
    sim.connector(|_, _| Reply::status(400));
    poll_for(&sim, seconds(60));
    let found = record(&sim, &id);
    assert!(found.missed_at.is_some(), "{found:?}");
    assert_eq!(
        found.shown(wall(&sim) + chrono::TimeDelta::days(1)),
        Shown::Status(Status::Dead),
        "{found:?}"
    );
    // A run first counted the message as `unrecorded`: the killed run has probably deleted the message, and
    // the final status of the alert is unknown. A later run dequeued the message, and counted the message
    // again.
    let figures = overview(&sim).figures;
    assert_eq!((figures.found_again, figures.ended["unrecorded"], ended(&figures)), (1, 1, 2), "{figures:?}");
    assert!(figures.missing.is_empty(), "{figures:?}");
}

/// The ledger says that the message is missing. When a run dequeues the message again, the run corrects the
/// ledger. Without this correction, the alert would count as delivered two minutes later.
#[test]
fn alert_whose_missing_message_is_found_again_does_not_count_as_delivered() {
    let sim = Sim::new(3);
    let id = accept(&sim, "a", "1");
    sim.connector(|_, _| Reply::status(201).after(seconds(5)));
    assert!(!killed_after(&sim, seconds(1)));
    sim.storage.borrow_mut().is_like_azure = true;
    for message in sim.storage.borrow_mut().queues.get_mut(QUEUE).unwrap().iter_mut() {
        message.receipt.push('x');
    }
    // One of these runs records that the message is missing. The loop ends when the message is visible again.
    // The next run dequeues the message, and is killed, too.
    while record(&sim, &id).missed_at.is_none()
        || sim.storage.borrow().messages(QUEUE)[0].visible_at > sim.now()
    {
        sim.run();
        sim.pass(seconds(1));
    }
    sim.pass(seconds(10));
    assert!(!killed_after(&sim, seconds(2)));
    let found = record(&sim, &id);
    assert_eq!(found.status, Status::Waiting, "{found:?}");
    let later = wall(&sim) + chrono::TimeDelta::minutes(30);
    assert_eq!(found.shown(later), Shown::Status(Status::Waiting), "{found:?}");
}

#[test]
fn ledger_that_hangs_delays_no_delivery() {
    let sim = Sim::new(6);
    let first = accept(&sim, "a", "1");
    let is_write = |request: &http::Request<bytes::Bytes>| {
        request.uri().path().contains("proactivebotledger") && request.method() != http::Method::GET
    };
    sim.table_faults(move |request| is_write(request).then_some(Fault::Status(503)));
    sim.run();
    // The next run has to record the status of the first alert, but the ledger hangs.
    sim.table_faults(|_| None);
    accept(&sim, "b", "1");
    sim.table_faults(move |request| is_write(request).then_some(Fault::Hang));
    let begun = sim.now();
    let outcome = sim.run_with(Limits::default());
    let delivered_at = sim.attempts.borrow().iter().find(|attempt| attempt.conversation == "b").unwrap().at;
    assert!(delivered_at - begun < seconds(1), "delivered after {:?}: {outcome:?}", delivered_at - begun);
    sim.table_faults(|_| None);
    poll_for(&sim, seconds(15));
    assert_eq!(record(&sim, &first).status, Status::Delivered);
}

/// The copy has not been dequeued before, so the run does not read the alert's record in the ledger. But the
/// record of the run lock says that the last run delivered the alert.
#[test]
fn copy_of_an_alert_that_the_last_run_had_delivered_is_not_sent_while_the_ledger_fails() {
    let sim = Sim::new(7);
    accept(&sim, "a", "1");
    let copy = sim.storage.borrow().messages(QUEUE)[0].text.clone();
    sim.table_faults(|request| {
        let is_write = request.method() != http::Method::GET;
        (is_write && request.uri().path().contains("proactivebotledger")).then_some(Fault::Status(503))
    });
    sim.run();
    sim.storage.borrow_mut().put(QUEUE, &copy, sim.now(), None);
    let report = sim.run();
    assert_eq!(sim.shown("a"), ["1"], "{report:?}");
    assert!(sim.storage.borrow().messages(QUEUE).is_empty());
}

/// The *idle time* is the last recorded time at which a run found no message. The scheduler starts a run each
/// minute, sometimes a little late.
#[test]
fn idle_time_is_recorded_every_three_minutes_while_runs_find_no_message() {
    let sim = Sim::new(4);
    let begun = sim.now();
    assert_eq!(idle_at(&sim), None);
    for minute in 0..60 {
        sim.pass(begun + seconds(60 * minute) + milliseconds(sim.random(400)) - sim.now());
        sim.run();
        let now = Utc.timestamp_opt(START_SECONDS, 0).unwrap() + sim.now();
        let age = now - idle_at(&sim).expect("the first run records the idle time");
        assert!(age < TimeDelta::minutes(4), "{age}");
    }
    let idle_writes = sim.writes.borrow().iter().filter(|key| key.starts_with("idle:")).count();
    assert_eq!(idle_writes, 20);
}

fn idle_at(sim: &Sim) -> Option<DateTime<Utc>> {
    overview(sim).idle_at
}

#[test]
fn figures_say_why_a_run_got_no_token() {
    let sim = Sim::with_login(5);
    accept(&sim, "a", "1");
    sim.most_tokens.set(0);
    sim.run();
    let Overview { figures, pause, is_running, .. } = overview(&sim);
    assert!(figures.last_run.failure.contains("AADSTS7000222"), "{figures:?}");
    assert!(pause.is_some() && !is_running);
    assert_eq!((figures.accepted, figures.last_run.received, figures.last_run.delivered), (1, 1, 0));
}

/// The run moves two messages to the poison queue without an attempt to send them. The first message is no
/// envelope. The second message has to wait for an older message, but the time to live of the second message
/// ends before the end of this wait.
#[test]
fn dead_status_of_messages_that_were_not_tried_is_recorded_by_the_next_run_if_the_ledger_fails() {
    let sim = Sim::new(9);
    sim.connector(|_, _| Reply::retry_after(3000));
    sim.storage.borrow_mut().put(QUEUE, "no envelope", sim.now(), None);
    sim.put(&envelope("a", "1"));
    let younger = envelope("a", "2").to_string();
    sim.storage.borrow_mut().put(QUEUE, &younger, sim.now(), Some(sim.now() + seconds(60)));
    sim.table_faults(|request| {
        let is_write = request.method() != http::Method::GET;
        (is_write && request.uri().path().contains("proactivebotledger")).then_some(Fault::Status(503))
    });
    sim.run();
    assert_eq!(sim.storage.borrow().messages(POISON).len(), 2);
    sim.table_faults(|_| None);
    sim.put(&envelope("b", "1"));
    sim.run();
    let rows = sim.tables.borrow().entities("proactivebotledger").clone();
    let dead = rows.iter().filter(|(_, row)| row.get("status").is_some_and(|status| status == "dead"));
    let mut dead: Vec<&str> = dead.map(|((_, row), _)| row.as_str()).collect();
    dead.sort_unstable();
    assert_eq!(dead, ["other.a-2", "unsealed.00000000-0000-0000-0000-000000000001"]);
}
