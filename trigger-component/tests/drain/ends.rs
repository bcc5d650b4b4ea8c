//! The end of a run, of a message's lease, of an alert's tries, and of a message's time to live. The *lease*
//! is the time for which the queue hides a dequeued message from other runs.

use http::Method;
use serde_json::json;
use trigger_component::Limits;

use crate::sim::{Fault, POISON, Planned, QUEUE, Reply, Sim};
use crate::{counts, envelope, milliseconds, seconds};

#[test]
fn message_that_is_not_started_when_the_budget_ends_is_put_back() {
    let sim = Sim::new(3);
    sim.connector(|_, _| Reply::status(201).after(seconds(6)));
    for text in 0..4 {
        for conversation in 0..4 {
            sim.put(&envelope(&format!("c{conversation}"), &text.to_string()));
        }
    }
    let begin = sim.now();
    let report = sim.run();
    let took = sim.now() - begin;
    assert!(took > seconds(20) && took < seconds(26), "{took:?}");
    // The run starts no message after its budget of 20 s. Each message takes 6 s, so the run starts four
    // messages of each conversation.
    assert_eq!(counts(&report, ["delivered", "released"]), [16, 0]);
    let sim = Sim::new(3);
    sim.connector(|_, _| Reply::status(201).after(seconds(7)));
    for text in 0..5 {
        sim.put(&envelope("a", &text.to_string()));
    }
    let report = sim.run();
    assert!(report.out_of_budget);
    assert_eq!(counts(&report, ["delivered", "released"]), [3, 2]);
    let messages = sim.storage.borrow().messages(QUEUE);
    assert!(
        messages.iter().all(|message| message.visible_at <= sim.now() && message.dequeue_count == 1),
        "{messages:?}"
    );
    assert!(messages[0].text.contains("\"a-3\"") && messages[1].text.contains("\"a-4\""));
}

#[test]
fn run_with_slow_variables_still_ends_in_time() {
    let sim = Sim::new(3);
    sim.slow_variables.set(seconds(15));
    sim.connector(|_, _| Reply::status(201).after(seconds(2)));
    for text in 0..10 {
        sim.put(&envelope("a", &text.to_string()));
    }
    let begin = sim.now();
    let report = sim.run();
    assert!(sim.now() - begin < seconds(26), "{:?}", sim.now() - begin);
    assert_eq!(counts(&report, ["delivered"]), [3]);
}

/// If a run puts a message back, the queue hands out this message after the messages that came later. So a
/// run must not fetch more messages than it has time for. The test also uses a Connector that takes longer
/// for each message than the pace (the minimum time between two messages).
#[test]
fn run_with_many_messages_of_one_conversation_fetches_only_messages_for_which_there_is_time() {
    let expected: Vec<String> = (0..400).map(|text| text.to_string()).collect();
    for (takes, least) in [(milliseconds(2), 100), (milliseconds(400), 35)] {
        let sim = Sim::new(4);
        sim.connector(move |_, _| Reply::status(201).after(takes));
        expected.iter().for_each(|text| sim.put(&envelope("a", text)));
        while sim.shown("a").len() < expected.len() {
            let report = sim.run();
            assert_eq!(counts(&report, ["released"]), [0]);
            let is_last = sim.shown("a").len() == expected.len();
            assert!(counts(&report, ["delivered"])[0] > least || is_last, "{takes:?}: {report:?}");
        }
        assert_eq!(sim.shown("a"), expected);
    }
}

#[test]
fn delivered_alert_whose_lease_is_lost_counts_as_delivered() {
    let sim = Sim::new(5);
    sim.faults(|request| (request.method() == Method::DELETE).then_some(Fault::Status(404)));
    sim.put(&envelope("a", "1"));
    let report = sim.run();
    assert_eq!(counts(&report, ["delivered"]), [1]);
    assert!(sim.lines.borrow().iter().any(|line| line.contains("queue.trouble")));
}

/// A lease can end while the run works, for example because the Spin host suspends the run. After that,
/// another run can dequeue the message.
#[test]
fn message_whose_lease_has_ended_is_not_sent() {
    let sim = Sim::new(6);
    sim.settings.borrow_mut().insert("pace".into(), "1".into());
    for text in 0..3 {
        sim.put(&envelope(&format!("c{text}"), "x"));
    }
    // With a pace of one message a second, the second message is due one second after the first message. The
    // lease lasts one second, too. So the lease of the second message has ended when this message is due.
    let report = sim.run_with(Limits { lease: seconds(1), ..Limits::default() }).unwrap();
    let [delivered, lost] = counts(&report, ["delivered", "leaseLost"]);
    assert!(lost > 0, "expected a message whose lease had ended when the message was due");
    assert_eq!(sim.attempts.borrow().len() as u64, delivered);
    for text in 0..3 {
        assert!(sim.shown(&format!("c{text}")).len() <= 1, "conversation c{text} saw its alert twice");
    }
}

#[test]
fn run_with_refused_credentials_ends_and_changes_no_message() {
    let sim = Sim::new(7);
    sim.connector(|_, _| Reply::status(401).after(milliseconds(50)));
    for text in 0..40 {
        sim.put(&envelope(&format!("c{text}"), "x"));
    }
    let before: Vec<String> =
        sim.storage.borrow().messages(QUEUE).into_iter().map(|message| message.text).collect();
    let report = sim.run();
    assert_eq!(counts(&report, ["credentials", "poisoned"]), [16, 0]);
    assert_eq!(sim.attempts.borrow().len(), 16, "16 attempts begin at once, and the refusals stop the run");
    let messages = sim.storage.borrow().messages(QUEUE);
    assert!(messages.iter().all(|message| message.visible_at <= sim.now()));
    let mut after: Vec<String> = messages.into_iter().map(|message| message.text).collect();
    after.sort();
    let mut before = before;
    before.sort();
    assert_eq!(after, before, "the texts are unchanged");
    // After a refusal of the credentials, all runs pause, so the next run does nothing. Without this pause,
    // each run would try again and fill the log.
    assert_eq!(sim.run().to_json()["skipped"], "credentialsRefused");
    sim.pass(seconds(31));
    sim.connector(|_, _| Reply::status(201));
    assert_eq!(counts(&sim.run(), ["delivered"]), [40]);
}

/// Throttling and refused credentials have causes outside the alert.
#[test]
fn throttling_and_refused_credentials_use_up_no_tries() {
    let sim = Sim::new(8);
    sim.put(&envelope("a", "1"));
    sim.put(&envelope("b", "1"));
    for round in 0..40 {
        sim.connector(move |_, _| if round % 2 == 0 { Reply::retry_after(1) } else { Reply::status(401) });
        sim.run();
        sim.pass(seconds(35));
    }
    assert!(sim.storage.borrow().messages(QUEUE)[0].dequeue_count >= 20);
    sim.connector(|_, _| Reply::status(201));
    assert_eq!(counts(&sim.run(), ["delivered", "poisoned"]), [2, 0]);
}

#[test]
fn alert_that_fails_six_times_while_other_alerts_succeed_is_moved_to_the_poison_queue() {
    let sim = Sim::new(9);
    sim.connector(|conversation, _| Reply::status(if conversation == "a" { 503 } else { 201 }));
    sim.put(&envelope("a", "1"));
    for second in 0..400 {
        sim.put(&envelope("b", &second.to_string()));
        sim.run();
        sim.pass(seconds(1));
    }
    let failed: Vec<_> = sim.attempts.borrow().iter().filter(|attempt| !attempt.shown).cloned().collect();
    // A failure of this alert counts as a try only under one condition: since the previous failure, the
    // Connector has accepted an alert to another conversation. The first failure has no previous failure, so
    // it does not count. The other five failures count.
    assert_eq!(failed.len(), 6);
    let gaps: Vec<_> = failed[1..].windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    for (index, gap) in gaps.iter().enumerate() {
        assert!(
            *gap <= seconds(20 << index) + seconds(3),
            "expected pauses whose upper limit doubles, found {gaps:?}"
        );
    }
    let poisoned = sim.storage.borrow().messages(POISON);
    assert_eq!(poisoned.len(), 1);
}

#[test]
fn run_whose_queue_fails_ends_with_an_error_and_loses_no_message() {
    let sim = Sim::new(10);
    sim.put(&envelope("a", "1"));
    sim.faults(|_| Some(Fault::Status(503)));
    let error = sim.run_with(Limits::default()).unwrap_err();
    assert!(error.to_string().contains("the queue cannot be read"), "{error}");
    sim.faults(|_| None);
    assert_eq!(counts(&sim.run(), ["delivered"]), [1]);
}

/// Another program can put a message with a time to live on the queue. The queue deletes the message when
/// this time has passed.
#[test]
fn message_with_a_time_to_live_is_moved_to_the_poison_queue_before_the_queue_deletes_it() {
    let sim = Sim::new(11);
    sim.connector(|_, _| Reply::retry_after(3600));
    let expires = Some(sim.now() + seconds(600));
    for text in ["1", "2"] {
        let text = envelope("a", text).to_string();
        sim.storage.borrow_mut().put(QUEUE, &text, sim.now(), expires);
    }
    for _ in 0..700 {
        sim.run();
        sim.pass(seconds(1));
    }
    assert_eq!(sim.storage.borrow().messages(POISON).len(), 2);
    // The queue deletes the messages at 601 s. The last try is more than a minute earlier. So a poller that
    // runs once a minute also makes this try.
    let last = sim.attempts.borrow().last().unwrap().at;
    assert!(last >= seconds(500) && last < seconds(520), "{last:?}");
}

#[test]
fn alert_that_expires_before_the_next_try_is_recorded_as_expired_in_time() {
    let sim = Sim::new(12);
    sim.connector(|_, _| Reply::retry_after(3600));
    let mut expiring = envelope("a", "1");
    expiring["expires"] = json!("2026-11-23T22:00:11Z");
    sim.put(&expiring);
    sim.run();
    sim.pass(seconds(11));
    assert_eq!(counts(&sim.run(), ["expired"]), [1]);
    assert_eq!(sim.attempts.borrow().len(), 1);
}

#[test]
fn run_that_begins_while_another_run_works_is_skipped() {
    let sim = Sim::new(13);
    sim.connector(|_, _| Reply::status(201).after(seconds(1)));
    for text in 0..5 {
        sim.put(&envelope("a", &text.to_string()));
    }
    let now = sim.now();
    let run = |after| Planned { start: now + after, kill: None, limits: Limits::default() };
    let results = sim.run_all(vec![
        run(seconds(0)),
        run(seconds(0)),
        run(milliseconds(2)),
        run(milliseconds(5)),
        run(seconds(3)),
    ]);
    let reports: Vec<_> = results.into_iter().map(|result| result.unwrap().unwrap().to_json()).collect();
    // Several runs begin within a few milliseconds. Any of them can be the run that takes the run lock, the
    // record that lets only one run work at a time.
    let (working, others): (Vec<_>, Vec<_>) =
        reports.iter().partition(|report| report.get("skipped").is_none());
    assert_eq!(working.len(), 1, "only one run takes the lock");
    assert_eq!(working[0]["delivered"], 5);
    for report in others {
        assert_eq!(report["skipped"], "anotherRun");
    }
}

/// The run renews the run lock with a write. The first two tries of this write fail. The third try succeeds,
/// but its response is lost. When the run writes again, the record has another ETag. The run has to find out
/// that its own third try has changed the record.
#[test]
fn lost_response_to_a_renewal_of_the_run_lock_does_not_end_the_run() {
    let sim = Sim::new(11);
    for text in ["1", "2"] {
        sim.put(&envelope("a", text));
    }
    let mut times = 0;
    sim.table_faults(move |request| {
        let is_renewal = request.method() == Method::PUT && request.uri().path().contains("'run'");
        times += usize::from(is_renewal);
        (is_renewal && times <= 3).then_some(if times == 3 { Fault::CutAfter } else { Fault::Status(503) })
    });
    assert_eq!(counts(&sim.run(), ["delivered", "released"]), [2, 0]);
    assert_eq!(sim.shown("a"), ["1", "2"]);
    assert!(!sim.lines.borrow().iter().any(|line| line.contains("run.taken-over")));
}

/// At its end, the run writes the remaining statuses of alerts to the *ledger* (the table with one record for
/// each alert). If this write fails, the run does not repeat the write.
#[test]
fn run_whose_ledger_fails_ends_in_time() {
    let sim = Sim::new(16);
    for text in 0..200 {
        sim.put(&envelope(&format!("c{text}"), "x"));
    }
    sim.table_faults(|request| {
        let is_batch = request.method() == Method::POST && request.uri().path().ends_with("$batch");
        is_batch.then_some(Fault::Status(403))
    });
    let begin = sim.now();
    let report = sim.run();
    assert_eq!(counts(&report, ["delivered"]), [200]);
    assert!(sim.now() - begin < seconds(5), "{:?}", sim.now() - begin);
    let troubles = sim.lines.borrow().iter().filter(|line| line.contains("ledger.trouble")).count();
    assert!((1..=6).contains(&troubles), "expected 1 to 6 lines, found {troubles}");
}
