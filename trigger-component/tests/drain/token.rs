//! The tokens that the poller gets from the login host. One token is for the Connector (the HTTP API of
//! channels, such as Teams). If the storage connection string has neither a key nor a SAS, another token
//! is for the storage account.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use trigger_component::Limits;
use trigger_component::run::RunError;

use crate::sim::{POISON, Planned, QUEUE, Reply, Sim};
use crate::{counts, envelope, milliseconds, seconds};

/// The Connector refuses the token for one conversation. The attempt to send to this conversation then takes
/// the *token lock*, and fetches a fresh token, which takes 3 s. In this time, the attempts for other
/// conversations wait for the token lock. Each attempt is a future. The run must go on polling the future
/// that has the token lock. Otherwise this future would never release the token lock, and all attempts would
/// wait forever.
#[test]
fn refused_token_for_one_conversation_does_not_stop_alerts_to_other_conversations() {
    for refusing in [5, 20, 40] {
        for delay in [5, 30, 150] {
            let sim = Sim::with_login(4);
            let (refusing_id, calls) = (format!("c{refusing}"), Cell::new(0));
            sim.connector(move |conversation, _| {
                calls.set(calls.get() + 1);
                let status = if conversation == refusing_id { 401 } else { 201 };
                Reply::status(status).after(milliseconds(delay + calls.get() * 7 % 40))
            });
            for conversation in 0..120 {
                sim.put(&envelope(&format!("c{conversation}"), "1"));
            }
            let row = format!("conversation {refusing} refuses, delay {delay} ms");
            assert_eq!(counts(&sim.run(), ["delivered", "retried"]), [119, 1], "{row}");
        }
    }
}

#[test]
fn token_that_was_revoked_is_renewed_and_all_alerts_are_delivered() {
    let sim = Sim::with_login(4);
    let first = Cell::new(true);
    sim.connector(move |_, _| Reply::status(if first.replace(false) { 401 } else { 201 }));
    for conversation in 0..120 {
        sim.put(&envelope(&format!("c{conversation}"), "1"));
    }
    assert_eq!(counts(&sim.run(), ["delivered"]), [120]);
}

/// If the login host refuses the bot, the run can send no more alerts. This is also true for a run that has
/// already delivered alerts.
#[test]
fn login_host_that_refuses_during_a_run_stops_the_run() {
    let sim = Sim::with_login(4);
    sim.most_tokens.set(1);
    let calls = Cell::new(0);
    sim.connector(move |_, _| {
        calls.set(calls.get() + 1);
        Reply::status(if calls.get() <= 10 { 201 } else { 401 })
    });
    for conversation in 0..30 {
        sim.put(&envelope(&format!("c{conversation}"), "1"));
    }
    assert_eq!(counts(&sim.run(), ["delivered", "retried", "poisoned"]), [10, 0, 0]);
    assert!(sim.lines.borrow().iter().any(|line| line.contains("credentials.refused")));
    assert_eq!(sim.run().to_json()["skipped"], "credentialsRefused");
}

/// Only the run that has the *run lock* sends alerts. The first run waits for the token, and renews the lock
/// in this time, so the two other runs do nothing. After 2.5 s, the test kills the first run. The record of
/// the run lock lists the messages that the first run had dequeued. So the later runs keep the order.
#[test]
fn run_that_waits_for_the_token_keeps_the_run_lock() {
    let sim = Sim::with_login(4);
    for text in 0..100 {
        sim.put(&envelope("a", &text.to_string()));
    }
    let now = sim.now();
    let run = |second| {
        let kill = (second == 0).then_some(now + milliseconds(2500));
        Planned { start: now + seconds(second), kill, limits: Limits::default() }
    };
    let results = sim.run_all((0..3).map(run).collect());
    for result in &results[1..] {
        let report = result.as_ref().unwrap().as_ref().unwrap().to_json();
        assert_eq!(report["skipped"], "anotherRun", "{report}");
    }
    while !sim.storage.borrow().queues[QUEUE].is_empty() {
        sim.run();
        sim.pass(seconds(1));
    }
    let shown: Vec<u32> = sim.shown("a").iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(shown, (0..100).collect::<Vec<_>>());
}

/// The Connector always asks for a pause of 1000 s. An alert's message is on the queue. The queue deletes
/// the message when the message's time to live ends, after 91 to 299 s. Before that, the poller has to move
/// the message to the poison queue. The poller runs once a minute, and each run begins up to ten seconds
/// late.
#[test]
fn poller_that_runs_every_minute_loses_no_message() {
    for seed in 0..100 {
        let sim = Sim::new(seed);
        sim.connector(|_, _| Reply::retry_after(1000));
        let life = 91 + sim.random(209);
        let end = Some(sim.now() + seconds(life));
        sim.storage.borrow_mut().put(QUEUE, &envelope("a", "1").to_string(), sim.now(), end);
        let mut tick = sim.now() + milliseconds(sim.random(60_000));
        for _ in 0..8 {
            let begin = tick + milliseconds(sim.random(10_000));
            sim.pass(begin.saturating_sub(sim.now()));
            sim.run();
            tick += seconds(60);
        }
        assert_eq!(
            sim.storage.borrow().messages(POISON).len(),
            1,
            "the message with {life} s to live is in the poison queue"
        );
    }
}

/// The Connector refuses the token for the conversation `bad`. The first run sends to no other conversation,
/// so the run cannot know whether the token is good. The run still treats the refusal as a failure of `bad`
/// alone.
#[test]
fn refusal_for_one_conversation_moves_only_this_conversations_alert_to_the_poison_queue() {
    let sim = Sim::with_login(5);
    sim.connector(|conversation, _| Reply::status(if conversation == "bad" { 401 } else { 201 }));
    sim.put(&envelope("bad", "1"));
    assert_eq!(counts(&sim.run(), ["retried", "credentials"]), [1, 0]);
    // The refusal for `bad` does not delay the alert to `good`.
    sim.put(&envelope("good", "1"));
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
    while !sim.storage.borrow().queues[QUEUE].is_empty() && sim.now() < seconds(3600) {
        sim.run();
        sim.pass(seconds(1));
    }
    assert_eq!(sim.storage.borrow().messages(POISON).len(), 1, "the refused alert is in the poison queue");
    assert!(!sim.lines.borrow().iter().any(|line| line.contains("credentials.refused")));
}

/// The Connector refuses the token for two conversations. If the Connector accepts the token for a third
/// conversation within a second, the run goes on. Otherwise, the run stops.
#[test]
fn two_refusals_stop_the_run_only_if_no_conversation_accepts_the_token() {
    let sim = Sim::with_login(6);
    sim.connector(|conversation, _| match conversation {
        "good" => Reply::status(201).after(milliseconds(700)),
        _ => Reply::status(401),
    });
    for conversation in ["bad", "worse", "good"] {
        sim.put(&envelope(conversation, "1"));
    }
    assert_eq!(counts(&sim.run(), ["delivered", "retried", "credentials"]), [1, 2, 0]);
    let sim = Sim::with_login(6);
    sim.connector(|_, _| Reply::status(401));
    for conversation in ["bad", "worse"] {
        sim.put(&envelope(conversation, "1"));
    }
    assert_eq!(counts(&sim.run(), ["delivered", "retried", "credentials"]), [0, 0, 2]);
    assert_eq!(sim.run().to_json()["skipped"], "credentialsRefused");
}

/// Makes a world whose connection string has neither a key nor a SAS, so each storage call needs a token. An
/// alert is on the queue.
fn world_without_a_storage_key(seed: u64) -> Sim {
    let sim = Sim::with_login(seed);
    let connection = "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;\
                      TableEndpoint=http://127.0.0.1:10002/devstoreaccount1";
    sim.settings.borrow_mut().insert("storageconnection".into(), connection.into());
    sim.put(&envelope("a", "1"));
    sim
}

#[test]
fn every_call_to_a_storage_account_without_a_key_has_a_token() {
    let sim = world_without_a_storage_key(11);
    let seen: Rc<RefCell<BTreeMap<(u16, String), usize>>> = Rc::default();
    for (is_table, port) in [(false, 10001), (true, 10002)] {
        let seen = Rc::clone(&seen);
        let record_header = move |request: &http::Request<bytes::Bytes>| {
            let header = request.headers()["authorization"].to_str().unwrap().to_owned();
            *seen.borrow_mut().entry((port, header)).or_default() += 1;
            None
        };
        if is_table { sim.table_faults(record_header) } else { sim.faults(record_header) }
    }
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
    let headers: Vec<_> = seen.borrow().keys().cloned().collect();
    assert_eq!(headers, [10001, 10002].map(|port| (port, "Bearer t.o.k".to_owned())));
}

#[test]
fn run_without_a_token_for_the_storage_account_fails_and_loses_nothing() {
    let sim = world_without_a_storage_key(12);
    sim.most_tokens.set(0);
    let error = sim.run_with(Limits::default()).unwrap_err();
    assert!(matches!(error, RunError::NoStorageToken(_)), "{error}");
    let last = sim.lines.borrow().last().cloned().unwrap();
    assert!(
        last.contains("the storage account cannot be opened") && last.contains("AADSTS7000222"),
        "{last}"
    );
    assert_eq!(sim.storage.borrow().messages(QUEUE).len(), 1);
    sim.most_tokens.set(usize::MAX);
    sim.pass(seconds(60));
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
}
