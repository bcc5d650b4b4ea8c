//! The operator's page without the fake: the real bot answers the API calls of the page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dev::browser::walk::Walk;
use end_to_end::alerts::{self, known, queued, to_conversation};
use end_to_end::connector::Reply;
use end_to_end::queue::decode;
use end_to_end::suite::World;
use serde_json::Value;

use super::{pictures, take, texts, unlocked};

/// The Connector refuses alerts for a while, and one conversation no longer exists. The case also replaces
/// one message on the queue with a forged copy. The operator then uses only the page.
pub(super) fn operator_finds_replays_and_drops_dead_letters_with_the_page_alone(world: &World) {
    let stage = alerts::script(world).variable("sealkey", "a seal key for tests").start();
    let (here, deleted) = (known(&stage, "a:here", "hello"), known(&stage, "a:deleted", "hello"));
    let is_out = Arc::new(AtomicBool::new(true));
    let refuses = Arc::clone(&is_out);
    stage.connector.on(move |received| match received.text() {
        "Alert: to the deleted one" => Some(Reply::error(404, "ConversationNotFound")),
        _ if received.is_alert() && refuses.load(Ordering::SeqCst) => Some(Reply::error(400, "BadSyntax")),
        _ => None,
    });
    for text in ["tea", "cake", "pie"] {
        queued(&stage, &to_conversation(&here, text));
    }
    queued(&stage, &to_conversation(&deleted, "to the deleted one"));
    queued(&stage, &to_conversation(&here, "genuine"));
    for text in stage.queue.take_all() {
        let mut envelope: Value = decode(&text);
        match envelope["text"] == "genuine" {
            true => {
                envelope["text"] = "forged".into();
                stage.queue.put_json(&envelope);
            }
            false => stage.queue.put(&text),
        }
    }
    let counts = stage.poll();
    assert_eq!(counts["poisoned"], 5, "{counts}");
    is_out.store(false, Ordering::SeqCst);
    stage.connector.forget();

    // The operator reads the reasons, and replays the alerts that the Connector refused.
    let walk = unlocked(Walk::open(&stage.url("/ops"), 1280))
        .expect("5 dead letters shown.")
        .expect("alerts shown.");
    let walk = walk.read("problems", "#problems li").read("outcomes", "#dead-list .badge");
    let walk = walk.picture("body", &pictures().join("bot-before.png"));
    let walk = walk.tab_to("combobox", "Reason").type_text("perm").tab_to("button", "Show").press("Enter");
    let walk = walk.expect("3 dead letters shown.").tab_to("button", "Replay all permanent").press("Enter");
    let walk = walk.tab_to("button", "Replay all").press("Enter").expect("3 dead letters replayed.");
    let seen = take(&walk, "bot-before");
    let problems = texts(&seen, "problems").join("\n");
    assert!(problems.contains("poison queue: holds 5 messages"), "{problems}");
    let mut outcomes = texts(&seen, "outcomes");
    outcomes.sort();
    assert_eq!(outcomes, ["destinationGone", "permanent", "permanent", "permanent", "sealBroken"]);
    assert_eq!(stage.poll()["delivered"], 3);

    // Two dead letters (messages in the poison queue) are left: the message to the deleted conversation, and
    // the forged message. The operator drops both dead letters.
    let walk = unlocked(Walk::open(&stage.url("/ops"), 1280))
        .expect("2 dead letters shown.")
        .expect("alerts shown.");
    let walk = walk.click("button", "Drop all").expect("Drop all dead letters?").tab_to("button", "Drop all");
    let walk = walk.press("Enter").expect("2 dead letters dropped.").read("left", "#dead-list li");
    let walk =
        walk.read("statuses", "#alerts-list .badge").picture("body", &pictures().join("bot-after.png"));
    let seen = take(&walk, "bot-after");
    assert!(texts(&seen, "left").is_empty());
    let mut statuses = texts(&seen, "statuses");
    statuses.sort();
    // Three alerts stay `queued`, because their messages were taken off the queue. The function `known` took
    // the messages of the two alerts `hello`. This case replaced the message of the alert `genuine` with a
    // forged copy. The seal of the copy is broken, so the poller did not change the record of `genuine`. If
    // the poller changed the record, any program that can write to the queue could mark an alert as dead.
    assert_eq!(statuses, ["dead", "delivered", "delivered", "delivered", "queued", "queued", "queued"]);
    assert_eq!((stage.queue.count(), stage.queue.poison().count()), (0, 0), "expected empty queues");
    let mut alerted: Vec<_> =
        stage.connector.received().iter().map(|received| received.text().to_owned()).collect();
    alerted.sort();
    assert_eq!(alerted, ["Alert: cake", "Alert: pie", "Alert: tea"]);
    // The total `accepted` is the number of messages that runs have taken off the queue for the first time:
    // the five messages of the first run, and the three replayed messages, which are new queue messages.
    let totals = alerts::call(&stage, "GET", "/api/status", &Value::Null).json()["totals"].clone();
    let dead = totals["dead"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(
        (totals["accepted"].as_u64(), totals["delivered"].as_u64(), dead),
        (Some(8), Some(3), 5),
        "{totals}"
    );

    // The poller delivers the test alert while the page waits for the outcome.
    let choose = format!("document.getElementById('test-target').value = '{here}'");
    let walk = unlocked(Walk::open(&stage.url("/ops"), 320)).expect("alerts shown.");
    let chosen = "String(document.getElementById('test-target').value)";
    let walk =
        walk.evaluate("chosen before", chosen).evaluate("chosen", &choose).click("button", "Send test alert");
    let walk = walk.expect("The alert is queued. The page waits for the outcome");
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| take(&walk.expect("The Connector accepted the alert"), "bot-test"));
        // The browser starts first, which takes long on a busy machine. `take` has a time limit, so this loop
        // needs none.
        while stage.queue.count() == 0 && !seen.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(stage.poll()["delivered"], 1);
        let seen = seen.join().unwrap();
        assert_eq!(seen["chosen before"], "", "the page must choose no conversation by itself");
    });
}
