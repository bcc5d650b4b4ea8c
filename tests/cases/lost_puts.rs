//! The bot puts an alert on the queue with a *Put* (the call Put Message), but the response is lost. So the
//! bot repeats the Put, and the queue can then hold several copies of the alert. Different runs (executions
//! of the poller) can get the copies, but the person must get the alert once. If no Put has a response, the
//! bot must tell the sender (a person or a program) that the alert is perhaps on the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use end_to_end::activity::message;
use end_to_end::alerts::{self, alert, call, known, to_conversation};
use end_to_end::faulty_queue::{Fault, FaultyQueue, Plan};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use http::Method;
use serde_json::{Value, json};

end_to_end::cases!(
    person_gets_the_reply_perhaps_accepted_and_one_alert_if_no_put_has_a_response,
    alert_without_an_idempotency_key_is_sent_once_if_the_put_has_no_response,
    copy_that_arrives_after_the_delivery_is_not_sent,
    alert_whose_puts_have_no_response_is_unconfirmed_and_then_delivered,
);

/// Makes a proxy in front of the queue service, and a counter of Puts. A *plan* says whether the proxy delays
/// a Put or makes the Put fail. When the case sets the counter to 0, the first plan applies to the next Put,
/// the second plan to the Put after that, and so on. All other Puts succeed.
fn puts(world: &World, plans: &[Plan]) -> (FaultyQueue, Arc<AtomicUsize>) {
    let (plans, next) = (plans.to_vec(), Arc::new(AtomicUsize::new(usize::MAX)));
    let counter = Arc::clone(&next);
    let queue = FaultyQueue::start(&world.azurite().queue_authority(), move |_, method| {
        let is_put = method == Method::POST && counter.load(Ordering::SeqCst) != usize::MAX;
        let number = if is_put { counter.fetch_add(1, Ordering::SeqCst) } else { usize::MAX };
        plans.get(number).copied().unwrap_or_default()
    });
    (queue, next)
}

fn lost() -> Plan {
    Plan { fault: Some(Fault::CutAfter), ..Plan::default() }
}

fn later(plan: Plan) -> Plan {
    Plan { delay: Duration::from_millis(1500), ..plan }
}

/// Starts the poller again and again until `work` ends. So different runs of the poller can get the copies of
/// an alert.
fn while_polling<T: Send>(stage: &Stage, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let work = scope.spawn(work);
        while !work.is_finished() {
            stage.poll();
        }
        let done = work.join().unwrap();
        stage.poll();
        done
    })
}

fn alerted(stage: &Stage) -> Vec<String> {
    let texts = stage.connector.received();
    texts.iter().map(|seen| seen.text().to_owned()).filter(|text| text.starts_with("Alert: ")).collect()
}

fn person_gets_the_reply_perhaps_accepted_and_one_alert_if_no_put_has_a_response(world: &World) {
    let (queue, begin) = puts(world, &[lost(), later(lost()), later(lost()), lost(), later(Plan::default())]);
    let stage = alerts::script(world).queue_at(queue.authority()).start();
    known(&stage, "a:1", "earlier");
    begin.store(0, Ordering::SeqCst);
    let hello = stage.connector.host(&message("a:1", "7", "hello"));
    let response = while_polling(&stage, || stage.post(&hello));
    response.expect_error(503, "QueueUnavailable");
    let told = stage.connector.received();
    let told: Vec<_> = told.iter().filter(|told| told.reply_to().is_some()).collect();
    assert!(told.len() == 1 && told[0].text().starts_with("Perhaps accepted: "), "{told:?}");
    assert_eq!(alerted(&stage), ["Alert: hello"]);
    // The channel sends the activity again, because the bot answered 503.
    for _ in 0..2 {
        while_polling(&stage, || stage.say(&hello));
    }
    assert_eq!(alerted(&stage), ["Alert: hello"]);
    assert_eq!((stage.queue.count(), stage.queue.poison().count()), (0, 0));
}

fn alert_without_an_idempotency_key_is_sent_once_if_the_put_has_no_response(world: &World) {
    for delay in [Duration::ZERO, Duration::from_millis(600)] {
        let (queue, begin) =
            puts(world, &[lost(), Plan { delay, ..lost() }, Plan { delay, ..Plan::default() }]);
        let stage = alerts::script(world).queue_at(queue.authority()).start();
        let key = known(&stage, "a:1", "hello");
        begin.store(0, Ordering::SeqCst);
        let response = while_polling(&stage, || alert(&stage, &to_conversation(&key, "pizza")));
        let response = response.expect_status(202).json();
        assert_eq!(response["alerts"][0]["status"], "queued");
        assert_eq!(alerted(&stage), ["Alert: pizza"], "{delay:?}");
        assert_eq!((stage.queue.count(), stage.queue.poison().count()), (0, 0));
    }
}

/// The first Put is slow, so the bot repeats the Put. The poller delivers the queue message of the second
/// Put. Then the queue message of the first Put reaches the queue, as a late copy.
fn copy_that_arrives_after_the_delivery_is_not_sent(world: &World) {
    let late = Plan { delay: Duration::from_secs(9), ..Plan::default() };
    let (queue, begin) = puts(world, &[late]);
    let stage = alerts::script(world).queue_at(queue.authority()).start();
    let key = known(&stage, "a:1", "hello");
    begin.store(0, Ordering::SeqCst);
    alert(&stage, &to_conversation(&key, "pizza")).expect_status(202);
    assert_eq!(stage.poll()["delivered"], 1);
    end_to_end::waiting::eventually("the late copy", || (!stage.queue.texts().is_empty()).then_some(()));
    let counts = stage.poll();
    assert_eq!(alerted(&stage), ["Alert: pizza"], "{counts}");
    assert_eq!(counts["alreadySent"], 1, "{counts}");
    assert_eq!(stage.queue.count(), 0);
}

fn alert_whose_puts_have_no_response_is_unconfirmed_and_then_delivered(world: &World) {
    let (queue, begin) = puts(world, &[lost(), lost(), lost(), lost(), lost(), lost()]);
    let stage = alerts::script(world).queue_at(queue.authority()).start();
    let key = known(&stage, "a:1", "hello");
    begin.store(0, Ordering::SeqCst);
    let mut ids = Vec::new();
    for text in ["sent", "cancelled"] {
        let mut body = to_conversation(&key, text);
        body["expires"] = "2099-01-01T00:00:00Z".into();
        let response = alert(&stage, &body).expect_error(503, "QueueUnavailable").json();
        let shown = &response["alerts"][0];
        assert_eq!(shown["status"], "unconfirmed", "{response}");
        let said = response["error"]["message"].as_str().unwrap();
        assert!(
            said.contains("cancel"),
            "expected advice to cancel, because a caller without an idempotency key cannot repeat the call: {said}"
        );
        ids.push(shown["id"].as_str().unwrap().to_owned());
        if text == "sent" {
            stage.poll();
            assert_eq!(alerted(&stage), ["Alert: sent"]);
        }
    }
    let cancel = |id: &str| call(&stage, "DELETE", &format!("/api/alerts/{id}"), &Value::Null);
    let response = cancel(&ids[0]).expect_error(409, "AlertIsOver").json();
    assert!(response["error"]["message"].as_str().unwrap().contains("already delivered"), "{response}");
    assert_eq!(cancel(&ids[1]).expect_status(202).json(), json!({"id": ids[1], "status": "cancelling"}));
    stage.poll();
    assert_eq!(alerted(&stage), ["Alert: sent"]);
    assert_eq!(cancel(&ids[1]).expect_status(202).json()["status"], "cancelled");
    assert_eq!((stage.queue.count(), stage.queue.poison().count()), (0, 0));
}
