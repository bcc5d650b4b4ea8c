//! What can happen between a person's message and the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use end_to_end::activity::message;
use end_to_end::closed_port::ClosedPort;
use end_to_end::connector::Reply;
use end_to_end::faulty_queue::{Fault, FaultyQueue, Plan};
use end_to_end::stage::{Script, Stage};
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    a_missing_queue_is_created,
    a_queue_out_of_reach_is_told_to_both,
    a_silent_queue_is_given_up_in_time,
    a_message_that_is_too_long_is_told_to_the_person,
    a_message_that_just_fits_is_delivered_whole,
    a_message_without_text_is_told_to_the_person,
    a_button_that_does_nothing_says_so,
    a_message_without_an_id_is_queued,
    message_whose_acknowledgement_was_late_or_refused_is_not_queued_again,
    message_that_was_answered_in_time_leaves_nothing_behind,
    what_was_not_stored_is_queued_when_it_is_sent_again,
    a_refused_acknowledgement_changes_nothing,
    a_lost_acknowledgement_changes_nothing,
    a_connector_out_of_reach_changes_nothing,
    a_slow_connector_does_not_hold_the_channel,
);

/// A channel gives a bot 15 s.
const CHANNEL_WAITS: Duration = Duration::from_secs(15);

fn hello() -> Value {
    message("a:queueing", "1", "hello")
}

fn a_missing_queue_is_created(world: &World) {
    let stage = Stage::start(world);
    assert!(!stage.queue.exists());
    stage.say(&hello());
    assert_eq!(stage.queue.count(), 1);
    // And one that is there already is no obstacle.
    stage.say(&message("a:queueing", "2", "hello again"));
    assert_eq!(stage.queue.count(), 2);
}

fn a_queue_out_of_reach_is_told_to_both(world: &World) {
    let closed = ClosedPort::reserve();
    let stage = Script::new(world).unreachable_queue(&closed).start();
    stage.post(&stage.connector.host(&hello())).expect_error(503, "QueueUnavailable");
    told_that_nothing_was_queued(&stage);
    let failures = stage.wait_for_events("queue.put.failed", 1);
    assert_eq!(failures.len(), 1, "{failures:?}");
}

fn a_silent_queue_is_given_up_in_time(world: &World) {
    // Connections are taken by the kernel's backlog, and nobody ever answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stage = Script::new(world).queue_at(&silent.local_addr().unwrap().to_string()).start();
    let asked = Instant::now();
    stage.post(&stage.connector.host(&hello())).expect_error(503, "QueueUnavailable");
    assert!(asked.elapsed() < CHANNEL_WAITS, "the answer took {:?}", asked.elapsed());
    // It may have taken the message.
    let told = stage.connector.wait_for(1).remove(0);
    assert!(told.text().starts_with("Perhaps queued: "), "{told:?}");
}

fn a_message_that_is_too_long_is_told_to_the_person(world: &World) {
    let stage = Stage::start(world);
    // 48 KiB are 49 152 bytes: the text alone is more. Then one that only its UTF-8 makes too long.
    for text in ["x".repeat(49_200), "ü".repeat(24_700)] {
        let seen = stage.connector.received().len();
        stage.say(&message("a:queueing", "1", &text));
        let told = stage.connector.wait_for(seen + 1).remove(seen);
        assert!(told.text().starts_with("Not queued:"), "{told:?}");
        assert_eq!(told.reply_to().as_deref(), Some("1"));
        assert_eq!(stage.queue.count(), 0, "nothing is queued");
    }
}

fn a_message_that_just_fits_is_delivered_whole(world: &World) {
    let stage = Stage::start(world);
    let text = "ü".repeat(24_000);
    stage.say(&message("a:queueing", "1", &text));
    stage.poll();
    let alert = stage.connector.wait_for(2).remove(1);
    assert!(alert.text() == format!("Alert: {text}"), "the text changed on its way");
}

fn a_message_without_text_is_told_to_the_person(world: &World) {
    let stage = Stage::start(world);
    stage.say(&message("a:queueing", "1", "  \n"));
    told_that_nothing_was_queued(&stage);
}

/// `Action.Submit` of an Adaptive Card: a message with `value`, and no text.
fn a_button_that_does_nothing_says_so(world: &World) {
    let stage = Stage::start(world);
    let mut pressed = message("a:queueing", "1", "");
    pressed["value"] = json!({"order": 42});
    stage.say(&pressed);
    let said = stage.connector.wait_for(1).remove(0);
    assert_eq!(said.text(), "Nothing happened: I do nothing with this button.");
    assert_eq!(stage.queue.count(), 0);
}

fn a_message_without_an_id_is_queued(world: &World) {
    let stage = Stage::start(world);
    let mut nameless = hello();
    nameless.as_object_mut().unwrap().remove("id");
    stage.say(&nameless);
    stage.poll();
    // There is nothing to reply to: both go into the conversation.
    for received in stage.connector.wait_for(2) {
        assert_eq!(received.reply_to(), None, "{received:?}");
        assert_eq!(received.conversation().as_deref(), Some("a:queueing"));
        assert!(received.body.get("replyToId").is_none(), "{received:?}");
    }
}

/// A channel that got no answer within its 15 s sends an activity again.
fn message_whose_acknowledgement_was_late_or_refused_is_not_queued_again(world: &World) {
    let late = Duration::from_millis(5_500);
    for reply in [Reply::error(502, "BadGateway"), Reply::created("ack").after(late)] {
        let stage = Stage::start(world);
        stage.connector.on(move |_| Some(reply.clone()));
        for _ in 0..3 {
            stage.say(&hello());
        }
        assert_eq!((stage.queue.count(), stage.connector.wait_for(1).len()), (1, 1));
        assert_eq!(stage.events("message.seen").len(), 2);
        // The same id in another conversation, and another one in this.
        stage.say(&message("a:other", "1", "hello"));
        stage.say(&message("a:queueing", "2", "hello"));
        assert_eq!(stage.queue.count(), 3);
        // Also when its alert is long delivered.
        stage.connector.on(|_| Some(Reply::created("delivered")));
        stage.poll();
        stage.say(&hello());
        assert_eq!(stage.queue.count(), 0);
    }
}

fn message_that_was_answered_in_time_leaves_nothing_behind(world: &World) {
    let stage = Stage::start(world);
    stage.say(&hello());
    let known = stage.stored();
    assert!(!known.is_empty(), "the conversation is stored");
    stage.say(&message("a:queueing", "2", "hello"));
    assert_eq!(stage.stored(), known, "a known conversation's message changes nothing in key-value");
}

fn what_was_not_stored_is_queued_when_it_is_sent_again(world: &World) {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let behind = world.azurite().queue_authority();
    let queue = FaultyQueue::start(&behind, move |_, _| Plan {
        fault: failing.load(Ordering::SeqCst).then_some(Fault::Status(503)),
        ..Plan::default()
    });
    let stage = Script::new(world).queue_at(queue.authority()).start();
    stage.post(&stage.connector.host(&hello())).expect_error(503, "QueueUnavailable");
    fails.store(false, Ordering::SeqCst);
    stage.say(&hello());
    assert_eq!(stage.queue.count(), 1);
}

fn a_refused_acknowledgement_changes_nothing(world: &World) {
    let stage = Stage::start(world);
    stage.connector.on(|_| Some(Reply::error(500, "ServiceError")));
    stage.say(&hello());
    stage.connector.wait_for(1);
    assert_eq!(stage.queue.count(), 1);
}

fn a_lost_acknowledgement_changes_nothing(world: &World) {
    let stage = Stage::start(world);
    stage.connector.on(|_| Some(Reply::cut_unanswered()));
    stage.say(&hello());
    assert_eq!(stage.queue.count(), 1);
    stage.connector.wait_for(1);
}

fn a_connector_out_of_reach_changes_nothing(world: &World) {
    let stage = Stage::start(world);
    let closed = ClosedPort::reserve();
    let activity = end_to_end::activity::at_service(&hello(), &closed.authority());
    stage.post(&activity).expect_status(202);
    assert_eq!(stage.queue.count(), 1);
    stage.wait_for_events("connector.answer.failed", 1);
}

fn a_slow_connector_does_not_hold_the_channel(world: &World) {
    let stage = Stage::start(world);
    stage.connector.on(|_| Some(Reply::created("late").after(Duration::from_secs(30))));
    let asked = Instant::now();
    stage.say(&hello());
    assert!(asked.elapsed() < CHANNEL_WAITS, "the answer took {:?}", asked.elapsed());
    assert_eq!(stage.queue.count(), 1);
}

#[track_caller]
fn told_that_nothing_was_queued(stage: &Stage) {
    let told = stage.connector.wait_for(1).remove(0);
    assert!(told.text().starts_with("Not queued:"), "{told:?}");
    assert_eq!(told.reply_to().as_deref(), Some("1"));
    assert_eq!(stage.queue.count(), 0, "nothing is queued");
}
