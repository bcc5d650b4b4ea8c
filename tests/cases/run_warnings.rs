//! Tests of failures after which a run (one execution of the poller) or the bot continues its work. The run
//! or the bot writes a log line about the failure. If the same failure happens several times in a run, the
//! run writes only one line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use end_to_end::activity::message;
use end_to_end::alerts::{self, alert, known, to_conversation};
use end_to_end::connector::Reply;
use end_to_end::faulty_queue::{FaultyQueue, Plan};
use end_to_end::faulty_tables::{Call, Fault, FaultyTables};
use end_to_end::stage::{POLL_KEY, Script, Stage};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use end_to_end::web;
use http::{Method, Request};
use serde_json::Value;

use crate::draining::envelope;

end_to_end::cases!(
    failed_reads_of_the_withdrawals_are_logged_once_and_alerts_are_delivered,
    failure_to_read_the_ledger_is_logged_once_and_messages_go_to_the_poison_queue,
    failed_recovery_of_the_messages_of_a_killed_run_is_logged_once,
    failure_to_repeat_a_run_is_logged_and_the_next_run_delivers,
    failure_to_delete_a_fingerprint_is_logged_and_the_conversation_is_forgotten,
);

/// The HTTP status with which the test makes storage calls fail. A proxy between the components and Azurite
/// (the storage emulator) sends this status. After this status, the storage clients do not repeat the call.
const REFUSED: u16 = 403;

/// Expects exactly one log line of this event. The line has the level `warn`, and the reason in the line
/// contains [`REFUSED`].
#[track_caller]
fn expect_one(stage: &Stage, event: &str) {
    let events = stage.wait_for_events(event, 1);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["level"], "warn", "{events:?}");
    assert!(events[0]["reason"].as_str().is_some_and(|reason| reason.contains("403")), "{events:?}");
}

#[track_caller]
fn expect_several_refusals(tables: &FaultyTables) {
    let refused = tables.notes().iter().filter(|note| note.status == Some(REFUSED)).count();
    assert!(refused > 1, "expected more than one refused call, found {refused}");
}

fn failed_reads_of_the_withdrawals_are_logged_once_and_alerts_are_delivered(world: &World) {
    // One call of Get Messages returns at most 32 queue messages, so this run makes several calls. After each
    // call, the run reads the *withdrawals*: the latest cancellations and `stop` commands.
    const ALERTS: usize = 40;
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = Script::new(world).variable("pace", "0").tables_at(tables.authority()).start();
    for index in 0..ALERTS {
        let id = index.to_string();
        stage.queue.put_json(&envelope(&stage, &id, &format!("a:{id}"), "hello"));
    }
    tables.fail(|call| {
        let reads = call.method == Method::GET && call.query.contains("since.");
        reads.then_some(Fault::Status(REFUSED))
    });
    let counts = stage.poll();
    assert_eq!(counts["delivered"], ALERTS, "{counts}");
    expect_several_refusals(&tables);
    expect_one(&stage, "withdrawals.not-read");
}

/// A queue message is *unreadable* if it is no envelope (one alert as JSON). A run moves such a message to
/// the poison queue. If the message was dequeued before, perhaps an earlier run has already put a copy into
/// the poison queue. The ledger (the bot's table of alerts) would then have a record of the message. So the
/// run first reads the ledger.
fn failure_to_read_the_ledger_is_logged_once_and_messages_go_to_the_poison_queue(world: &World) {
    const MESSAGES: usize = 3;
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = Script::new(world).tables_at(tables.authority()).start();
    for index in 0..MESSAGES {
        stage.queue.put(&format!("garbage {index}"));
    }
    let dequeued = stage.queue.with(async |client| client.get(32, 1).await).unwrap();
    assert_eq!(dequeued.len(), MESSAGES);
    eventually("the messages to become visible again", || {
        (stage.queue.texts().len() == MESSAGES).then_some(())
    });
    tables.fail(|call| {
        let reads = call.method == Method::GET && call.table().ends_with("ledger");
        reads.then_some(Fault::Status(REFUSED))
    });
    let counts = stage.poll();
    assert_eq!(counts["poisonedBy"]["unreadable"], MESSAGES, "{counts}");
    assert_eq!((stage.queue.count(), stage.queue.poison().count()), (0, MESSAGES as u64));
    expect_several_refusals(&tables);
    expect_one(&stage, "ledger.not-read");
}

/// If a run was killed, the next run does the *recovery*: the next run makes the messages visible that the
/// killed run had dequeued and not finished. In this test, the recovery fails for each message.
fn failed_recovery_of_the_messages_of_a_killed_run_is_logged_once(world: &World) {
    const MESSAGES: usize = 3;
    let fails = Arc::new(AtomicBool::new(false));
    let is_failing = Arc::clone(&fails);
    // In this test, the components send PUT to the queue service only for Update Message.
    let queue = FaultyQueue::start(&world.azurite().queue_authority(), move |_, method| {
        let is_update = *method == Method::PUT && is_failing.load(Ordering::SeqCst);
        Plan { fault: is_update.then_some(Fault::Status(REFUSED)), ..Plan::default() }
    });
    let mut stage = Script::new(world).variable("pace", "0").queue_at(queue.authority()).start();
    for index in 0..MESSAGES {
        let id = index.to_string();
        stage.queue.put_json(&envelope(&stage, &id, &format!("a:{id}"), "hello"));
    }
    // The Connector responds to each alert only after a minute. When all alerts have arrived at the
    // Connector, the run still waits for the responses. At this moment, the test kills the Spin host.
    stage.connector.on(|_| Some(Reply::created("x").after(Duration::from_secs(60))));
    let poll =
        Request::post(stage.url("/internal/poll")).header("authorization", format!("Bearer {POLL_KEY}"));
    let poll = poll.body(web::whole("")).unwrap();
    let killed = std::thread::spawn(move || web::try_send(poll).is_err());
    stage.connector.wait_for(MESSAGES);
    fails.store(true, Ordering::SeqCst);
    stage.kill_and_restart(0);
    assert!(killed.join().unwrap(), "expected no response, because the host was killed");
    let counts = eventually("a run after the lock of the killed run has expired", || {
        Some(stage.poll()).filter(|counts| counts.get("skipped").is_none())
    });
    assert_eq!(counts.get("recovered"), None, "{counts}");
    assert!(
        queue.calls_and_faults().1 >= MESSAGES,
        "expected that the run tries to make each message visible"
    );
    expect_one(&stage, "recovery.failed");
}

/// A queue message arrives while the run releases the *run lock*, a record that lets only one run work at a
/// time. To deliver this message, the run has to take the run lock again. But the run cannot read the record
/// of the run lock.
fn failure_to_repeat_a_run_is_logged_and_the_next_run_delivers(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = Script::new(world).tables_at(tables.authority()).start();
    let (queue, late) = (stage.queue.clone(), envelope(&stage, "late", "a:late", "late"));
    let released = AtomicBool::new(false);
    tables.fail(move |call| {
        let is_lock = call.path.ends_with("RowKey='run')");
        if is_release(call, is_lock) && !released.swap(true, Ordering::SeqCst) {
            // `put_json` blocks its thread, and the proxy of the tables has few threads. `block_in_place`
            // moves the other work of this thread to another thread.
            tokio::task::block_in_place(|| queue.put_json(&late));
        }
        let reads = is_lock && call.method == Method::GET && released.load(Ordering::SeqCst);
        reads.then_some(Fault::Status(REFUSED))
    });
    stage.queue.put_json(&envelope(&stage, "first", "a:first", "first"));
    let counts = stage.poll();
    assert_eq!(counts["delivered"], 1, "{counts}");
    assert_eq!(stage.queue.texts().len(), 1, "expected that the late message is visible for the next run");
    expect_one(&stage, "run.not-repeated");
    tables.fail_nothing();
    assert_eq!(stage.poll()["delivered"], 1);
}

/// Whether the call releases the run lock. To release the run lock, a run sets the field `run` in the record
/// of the run lock to the empty text. `is_lock` tells whether the call names this record.
fn is_release(call: &Call<'_>, is_lock: bool) -> bool {
    let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
    is_lock && call.method != Method::GET && body["run"] == ""
}

/// The bot stores conversations in a table. For each stored conversation, the bot also keeps a *fingerprint*
/// in its key-value store: hashes of the conversation's address. When the bot forgets a conversation, the bot
/// also deletes the fingerprint. In this test, the key-value store fails.
fn failure_to_delete_a_fingerprint_is_logged_and_the_conversation_is_forgotten(world: &World) {
    let stage = alerts::stage(world);
    let key = known(&stage, "a:1", "hello");
    stage.break_key_value();
    let mut end = stage.connector.host(&message("a:1", "2", ""));
    end["type"] = "endOfConversation".into();
    stage.post(&end).expect_status(200);
    let events = stage.wait_for_events("conversation.fingerprint-not-deleted", 1);
    for event in &events {
        assert_eq!(
            (&event["level"], &event["conversation"]),
            (&"warn".into(), &key.as_str().into()),
            "{event}"
        );
    }
    alert(&stage, &to_conversation(&key, "x")).expect_error(404, "TargetNotFound");
}
