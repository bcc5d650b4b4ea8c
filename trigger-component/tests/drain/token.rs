//! The bot's token: fetched while everything else goes on.

use std::cell::Cell;

use trigger_component::Limits;

use crate::sim::{POISON, Planned, QUEUE, Reply, Sim};
use crate::{counts, envelope, milliseconds, seconds};

/// The token is renewed, which takes 3 s, while messages are fetched and others are sent: nobody waits for a lock whose holder
/// waits to be polled.
#[test]
fn a_conversation_that_refuses_the_bot_holds_nobody_up() {
    for pill in [5, 20, 40] {
        for delay in [5, 30, 150] {
            let sim = Sim::with_login(4);
            let (refusing, calls) = (format!("c{pill}"), Cell::new(0));
            sim.connector(move |conversation, _| {
                calls.set(calls.get() + 1);
                let status = if conversation == refusing { 401 } else { 201 };
                Reply::status(status).after(milliseconds(delay + calls.get() * 7 % 40))
            });
            for conversation in 0..120 {
                sim.put(&envelope(&format!("c{conversation}"), "1"));
            }
            assert_eq!(counts(&sim.run(), ["delivered", "retried"]), [119, 1], "{pill} {delay}");
        }
    }
}

#[test]
fn a_token_that_was_revoked_is_renewed_once() {
    let sim = Sim::with_login(4);
    let first = Cell::new(true);
    sim.connector(move |_, _| Reply::status(if first.replace(false) { 401 } else { 201 }));
    for conversation in 0..120 {
        sim.put(&envelope(&format!("c{conversation}"), "1"));
    }
    assert_eq!(counts(&sim.run(), ["delivered"]), [120]);
}

/// The login host's word counts for everybody, also if others were delivered before.
#[test]
fn a_login_host_that_refuses_in_the_middle_stops_the_run() {
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

/// What a run was handed is noted before it waits for anything.
#[test]
fn a_run_that_waits_for_its_token_keeps_others_out() {
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

/// A poller that looks once a minute, give or take some seconds, finds each message before the queue forgets it.
#[test]
fn a_poller_of_every_minute_loses_nothing() {
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
        assert_eq!(sim.storage.borrow().messages(POISON).len(), 1, "{life} s: lost without a trace");
    }
}

/// Nobody else's message shows that the token is good. All the same it is one conversation that refuses, and not the Connector.
#[test]
fn conversation_that_refuses_the_bot_alone_stops_no_run_and_is_given_up() {
    let sim = Sim::with_login(5);
    sim.connector(|conversation, _| Reply::status(if conversation == "bad" { 401 } else { 201 }));
    sim.put(&envelope("bad", "1"));
    assert_eq!(counts(&sim.run(), ["retried", "credentials"]), [1, 0]);
    // Somebody else's alert does not wait.
    sim.put(&envelope("good", "1"));
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
    while !sim.storage.borrow().queues[QUEUE].is_empty() && sim.now() < seconds(3600) {
        sim.run();
        sim.pass(seconds(1));
    }
    assert_eq!(sim.storage.borrow().messages(POISON).len(), 1, "it is given up");
    assert!(!sim.lines.borrow().iter().any(|line| line.contains("credentials.refused")));
}

/// Two that refuse are no proof, if a third one takes the token in the same moment.
#[test]
fn conversations_that_refuse_the_bot_first_wait_for_those_that_do_not() {
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
