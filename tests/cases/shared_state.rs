//! Tests of a bot that runs on two *Spin hosts* (programs that run the components). The hosts share the queue
//! and the tables. Each host has its own key-value store. In the tests, each host also has its own fake
//! Connector. The *run lock*, a record in the tables, lets only one *run* (execution of the poller) work at a
//! time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use end_to_end::activity::message;
use end_to_end::alerts::{self, alert, call, known, queued, targets, to_conversation};
use end_to_end::connector::{Received, Reply};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::{SOON, eventually};
use serde_json::{Value, json};

end_to_end::cases!(
    conversation_that_the_first_host_stored_gets_alerts_through_the_second_host,
    stop_at_the_first_host_applies_at_the_second_host,
    call_repeated_at_the_second_host_makes_no_second_alert,
    same_call_to_both_hosts_at_once_makes_one_alert,
    activity_sent_again_to_the_second_host_is_queued_once,
    cancellation_at_the_second_host_applies_at_the_first_host,
    run_at_the_second_host_is_skipped_during_a_run_at_the_first_host,
    runs_that_begin_at_the_same_moment_deliver_once_and_in_order,
);

fn two_stages(world: &World) -> (Stage, Stage) {
    let first = alerts::script(world).variable("pace", "0").start();
    let second = alerts::script(world).variable("pace", "0").beside(&first).start();
    (first, second)
}

fn conversation_that_the_first_host_stored_gets_alerts_through_the_second_host(world: &World) {
    let (first, second) = two_stages(world);
    let key = known(&first, "a:1", "subscribe news");
    assert_eq!(targets(&second), targets(&first));
    let activity = message("a:1", "1", "");
    for to in [
        json!({"conversation": key}),
        json!({"tag": "news"}),
        json!({"user": activity["from"]["aadObjectId"]}),
    ] {
        queued(&second, &json!({"to": to, "text": "hello"}));
        assert_eq!(second.poll()["delivered"], 1, "{to}");
        assert_eq!(first.connector.wait_for(1)[0].conversation().as_deref(), Some("a:1"), "{to}");
        first.connector.forget();
    }
    // The first host records in the tables that the conversation has ended. The second host reads this
    // record.
    let mut end = first.connector.host(&message("a:1", "2", ""));
    end["type"] = "endOfConversation".into();
    first.post(&end).expect_status(200);
    alert(&second, &to_conversation(&key, "x")).expect_error(404, "TargetNotFound");
}

fn stop_at_the_first_host_applies_at_the_second_host(world: &World) {
    let (first, second) = two_stages(world);
    let key = known(&first, "a:1", "hello");
    queued(&second, &to_conversation(&key, "before the stop"));
    first.say(&message("a:1", "2", "stop"));
    let response = alert(&second, &to_conversation(&key, "x")).expect_status(202).json();
    assert_eq!(response["alerts"][0]["status"], "stopped", "{response}");
    let counts = second.poll();
    assert_eq!((&counts["stopped"], &counts["delivered"]), (&1.into(), &0.into()), "{counts}");
    assert_eq!(first.queue.count(), 0);

    // The person's next message arrives at the second host. The serviceUrl of this message is the address of
    // the second fake Connector. The bot stores this serviceUrl. So the next alert goes to the second fake
    // Connector.
    second.say(&message("a:1", "3", "start"));
    first.connector.forget();
    second.connector.forget();
    queued(&first, &to_conversation(&key, "after the start"));
    assert_eq!(first.poll()["delivered"], 1);
    assert_eq!(second.connector.wait_for(1)[0].text(), "Alert: after the start");
    first.connector.expect_silence();
}

fn call_repeated_at_the_second_host_makes_no_second_alert(world: &World) {
    let (first, second) = two_stages(world);
    let key = known(&first, "a:1", "hello");
    let mut body = to_conversation(&key, "once");
    body["idempotencyKey"] = "order 42".into();
    let response = alert(&first, &body).expect_status(202).json();
    assert_eq!(alert(&second, &body).expect_status(202).json(), response);
    let counts = second.poll();
    assert_eq!(counts["delivered"], 1, "{counts}");
    for stage in [&second, &first] {
        assert_eq!(alert(stage, &body).expect_status(202).json(), response);
        assert_eq!(stage.queue.count(), 0, "expected that a delivered alert is not queued again");
    }
    body["text"] = "another".into();
    alert(&second, &body).expect_error(422, "IdempotencyKeyReused");
    first.connector.wait_for(1);
}

fn same_call_to_both_hosts_at_once_makes_one_alert(world: &World) {
    let (first, second) = two_stages(world);
    for conversation in ["a:1", "a:2", "a:3"] {
        known(&first, conversation, "subscribe crowd");
    }
    for round in 0..10 {
        let body =
            json!({"to": {"tag": "crowd"}, "text": "once", "idempotencyKey": format!("round {round}")});
        let responses: Vec<Value> = std::thread::scope(|scope| {
            let calls: Vec<_> = [&first, &second, &first, &second]
                .map(|stage| scope.spawn(|| alert(stage, &body).expect_status(202).json()))
                .into();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        assert!(responses.iter().all(|response| *response == responses[0]), "{responses:?}");
        let counts = first.poll();
        assert_eq!(counts["delivered"], 3, "{counts}");
        assert_eq!((first.connector.wait_for(3).len(), first.queue.count()), (3, 0));
        first.connector.forget();
    }
}

fn activity_sent_again_to_the_second_host_is_queued_once(world: &World) {
    let (first, second) = two_stages(world);
    let activity = first.connector.host(&message("a:1", "1", "hello"));
    first.post(&activity).expect_status(202);
    assert_eq!(first.poll()["delivered"], 1);
    second.post(&activity).expect_status(202);
    assert_eq!(second.queue.count(), 0);
    let texts: Vec<_> = first.connector.wait_for(2).iter().map(|seen| seen.text().to_owned()).collect();
    assert_eq!(texts, ["Queued: hello", "Alert: hello"]);
}

fn cancellation_at_the_second_host_applies_at_the_first_host(world: &World) {
    let (first, second) = two_stages(world);
    let key = known(&first, "a:1", "hello");
    let kept = queued(&first, &to_conversation(&key, "kept"));
    let cancelled = queued(&first, &to_conversation(&key, "cancelled"));
    let delete = |stage: &Stage, id: &str| call(stage, "DELETE", &format!("/api/alerts/{id}"), &Value::Null);
    delete(&second, &cancelled).expect_status(202);
    let counts = first.poll();
    assert_eq!((&counts["delivered"], &counts["cancelled"]), (&1.into(), &1.into()), "{counts}");
    assert_eq!(first.connector.wait_for(1)[0].text(), "Alert: kept");
    delete(&second, &cancelled).expect_status(202);
    delete(&second, &kept).expect_error(409, "AlertIsOver");
    delete(&second, "0a260123456789abcdef0123456789ab").expect_error(404, "AlertNotFound");
}

fn run_at_the_second_host_is_skipped_during_a_run_at_the_first_host(world: &World) {
    let (first, second) = two_stages(world);
    let key = known(&first, "a:1", "hello");
    first.connector.on(|_| Some(Reply::created("x").after(Duration::from_secs(2))));
    queued(&first, &to_conversation(&key, "slow"));
    std::thread::scope(|scope| {
        let run = scope.spawn(|| first.poll());
        eventually("the alert at the Connector", || (!first.connector.received().is_empty()).then_some(()));
        queued(&second, &to_conversation(&key, "behind"));
        let skipped = second.poll();
        assert_eq!(
            (&skipped["skipped"], &skipped["received"]),
            (&"anotherRun".into(), &0.into()),
            "{skipped}"
        );
        let counts = run.join().unwrap();
        assert_eq!(
            counts["delivered"], 2,
            "expected that the run also delivers the alert that was queued during the run: {counts}"
        );
    });
    let texts: Vec<_> = first.connector.wait_for(2).iter().map(|seen| seen.text().to_owned()).collect();
    assert_eq!(texts, ["Alert: slow", "Alert: behind"]);
    assert_eq!(second.poll().get("skipped"), None, "expected that the first run has released the run lock");
}

fn runs_that_begin_at_the_same_moment_deliver_once_and_in_order(world: &World) {
    const CONVERSATIONS: usize = 5;
    const EACH: usize = 20;
    let (first, second) = two_stages(world);
    let keys: Vec<String> =
        (0..CONVERSATIONS).map(|number| known(&first, &format!("a:{number}"), "hello")).collect();
    first
        .connector
        .on(|received| received.is_alert().then(|| Reply::created("x").after(Duration::from_millis(20))));
    let is_over = AtomicBool::new(false);
    let runs: Vec<Value> = std::thread::scope(|scope| {
        // Two threads start runs on each host. So runs on the same host and runs on different hosts try to
        // take the run lock at the same time.
        let polling_threads: Vec<_> = [&first, &second, &first, &second]
            .map(|stage| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut runs = Vec::new();
                    while !is_over.load(Ordering::SeqCst) {
                        runs.push(stage.poll());
                    }
                    runs
                })
            })
            .into();
        let all = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for index in 0..EACH {
                for (number, key) in keys.iter().enumerate() {
                    let stage = [&first, &second][(index + number) % 2];
                    queued(stage, &to_conversation(key, &index.to_string()));
                }
            }
            eventually("every alert", || {
                (first.connector.received().len() >= CONVERSATIONS * EACH && first.queue.count() == 0)
                    .then_some(())
            });
        }));
        is_over.store(true, Ordering::SeqCst);
        let runs = polling_threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        all.unwrap_or_else(|failure| std::panic::resume_unwind(failure));
        runs
    });
    let sum = |field: &str| runs.iter().filter_map(|run| run[field].as_u64()).sum::<u64>();
    let all = (CONVERSATIONS * EACH) as u64;
    assert_eq!((sum("delivered"), sum("received")), (all, all), "{runs:?}");
    let skipped = runs.iter().filter(|run| run["skipped"] == "anotherRun").count();
    assert!(skipped > 0, "expected a skipped run, found none in {} runs within {SOON:?}", runs.len());
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for alert in first.connector.received().into_iter().filter(Received::is_alert) {
        seen.entry(alert.conversation().unwrap()).or_default().push(alert.text().to_owned());
    }
    let in_order: Vec<String> = (0..EACH).map(|index| format!("Alert: {index}")).collect();
    assert_eq!(seen.len(), CONVERSATIONS);
    for (conversation, texts) in seen {
        assert_eq!(texts, in_order, "{conversation}");
    }
    second.connector.expect_silence();
}
