//! How the bot puts a person's message on the queue. In these tests, the queue is missing, the queue service
//! or the Connector is unreachable or slow, or the message is unusual (e.g. too long, or repeated).
//!
//! In this file, a *message* is a person's message. A message is *queued* if the bot has put an alert with
//! the message's text on the queue. The *acknowledgement* is the text `Queued: <text>`, which the bot sends
//! to the person.

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
    missing_queue_is_created,
    unreachable_queue_is_reported_to_channel_and_person,
    bot_responds_with_503_before_the_channel_times_out_if_the_queue_is_silent,
    message_that_is_too_long_is_refused_with_a_reply,
    message_of_nearly_the_maximum_length_is_delivered_unchanged,
    message_without_text_is_refused_with_a_reply,
    pressed_button_without_text_gets_a_reply_and_is_not_queued,
    message_without_an_id_is_queued,
    message_with_a_late_or_refused_acknowledgement_is_not_queued_again,
    message_in_a_known_conversation_does_not_change_the_key_value_store,
    repeated_message_is_queued_if_the_first_message_was_not_queued,
    refused_acknowledgement_keeps_the_message_queued,
    lost_acknowledgement_keeps_the_message_queued,
    unreachable_connector_keeps_the_message_queued,
    slow_connector_does_not_delay_the_response_to_the_channel,
);

/// The time after which a channel (e.g. Teams) stops waiting for the bot's response.
const CHANNEL_WAITS: Duration = Duration::from_secs(15);

fn hello() -> Value {
    message("a:queueing", "1", "hello")
}

fn missing_queue_is_created(world: &World) {
    let stage = Stage::start(world);
    assert!(!stage.queue.exists());
    stage.say(&hello());
    assert_eq!(stage.queue.count(), 1);
    // When the next message arrives, the queue already exists.
    stage.say(&message("a:queueing", "2", "hello again"));
    assert_eq!(stage.queue.count(), 2);
}

fn unreachable_queue_is_reported_to_channel_and_person(world: &World) {
    let closed = ClosedPort::reserve();
    let stage = Script::new(world).unreachable_queue(&closed).start();
    stage.post(&stage.connector.host(&hello())).expect_error(503, "QueueUnavailable");
    expect_not_queued_reply(&stage);
    let failures = stage.wait_for_events("queue.put.failed", 1);
    assert_eq!(failures.len(), 1, "{failures:?}");
}

fn bot_responds_with_503_before_the_channel_times_out_if_the_queue_is_silent(world: &World) {
    // The kernel accepts connections to this port. But no program reads from these connections, so the bot
    // gets no response.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stage = Script::new(world).queue_at(&silent.local_addr().unwrap().to_string()).start();
    let asked = Instant::now();
    stage.post(&stage.connector.host(&hello())).expect_error(503, "QueueUnavailable");
    assert!(
        asked.elapsed() < CHANNEL_WAITS,
        "expected the response before the channel's time-out, but it took {:?}",
        asked.elapsed()
    );
    // The bot cannot know whether the queue service has stored the alert.
    let told = stage.connector.wait_for(1).remove(0);
    assert!(told.text().starts_with("Perhaps accepted: "), "{told:?}");
}

fn message_that_is_too_long_is_refused_with_a_reply(world: &World) {
    let stage = Stage::start(world);
    // An alert on the queue can have at most 48 KiB (49 152 bytes) of JSON. The first text has 49 200 bytes,
    // because `x` takes one byte. The second text has 24 700 characters and 49 400 bytes, because `ü` takes
    // two bytes in UTF-8.
    for text in ["x".repeat(49_200), "ü".repeat(24_700)] {
        let seen = stage.connector.received().len();
        stage.say(&message("a:queueing", "1", &text));
        let reply = stage.connector.wait_for(seen + 1).remove(seen);
        assert!(reply.text().starts_with("Not accepted:"), "{reply:?}");
        assert_eq!(reply.reply_to().as_deref(), Some("1"));
        assert_eq!(stage.queue.count(), 0, "expected that the message is not queued");
    }
}

fn message_of_nearly_the_maximum_length_is_delivered_unchanged(world: &World) {
    let stage = Stage::start(world);
    let text = "ü".repeat(24_000);
    stage.say(&message("a:queueing", "1", &text));
    stage.poll();
    let alert = stage.connector.wait_for(2).remove(1);
    assert!(alert.text() == format!("Alert: {text}"), "the text changed on its way");
}

fn message_without_text_is_refused_with_a_reply(world: &World) {
    let stage = Stage::start(world);
    stage.say(&message("a:queueing", "1", "  \n"));
    expect_not_queued_reply(&stage);
}

/// A person presses a button with `Action.Submit` of an Adaptive Card. The channel then posts an activity of
/// the type `message`, which has `value` and no text.
fn pressed_button_without_text_gets_a_reply_and_is_not_queued(world: &World) {
    let stage = Stage::start(world);
    let mut pressed = message("a:queueing", "1", "");
    pressed["value"] = json!({"order": 42});
    stage.say(&pressed);
    let reply = stage.connector.wait_for(1).remove(0);
    assert_eq!(reply.text(), "Nothing happened: this button has no effect.");
    assert_eq!(stage.queue.count(), 0);
}

fn message_without_an_id_is_queued(world: &World) {
    let stage = Stage::start(world);
    let mut without_id = hello();
    without_id.as_object_mut().unwrap().remove("id");
    stage.say(&without_id);
    stage.poll();
    // The acknowledgement usually is a reply to the person's activity. A reply needs the id of this activity.
    // Here, the activity has no id, so the bot sends the acknowledgement into the conversation. The poller
    // also sends the alert into the conversation.
    for received in stage.connector.wait_for(2) {
        assert_eq!(received.reply_to(), None, "{received:?}");
        assert_eq!(received.conversation().as_deref(), Some("a:queueing"));
        assert!(received.body.get("replyToId").is_none(), "{received:?}");
    }
}

/// The channel posts the same activity three times, as if it got no response within 15 s. The bot sends the
/// acknowledgement before it responds to the channel. After the acknowledgement, the bot records in the
/// ledger (its table of alerts and messages) that the message is queued. The bot writes this record only if
/// one of these holds:
///
/// - The Connector refused the acknowledgement.
/// - More than 5 s have passed since the bot received the activity.
///
/// When the second and the third activity arrive, the bot finds this record.
fn message_with_a_late_or_refused_acknowledgement_is_not_queued_again(world: &World) {
    let late = Duration::from_millis(5_500);
    for reply in [Reply::error(502, "BadGateway"), Reply::created("ack").after(late)] {
        let stage = Stage::start(world);
        stage.connector.on(move |_| Some(reply.clone()));
        for _ in 0..3 {
            stage.say(&hello());
        }
        assert_eq!((stage.queue.count(), stage.connector.wait_for(1).len()), (1, 1));
        assert_eq!(stage.events("message.seen").len(), 2);
        // The bot recognises a repeated message by the conversation id and the activity id. In each of the
        // next two messages, one of these two ids is different. So both messages are new.
        stage.say(&message("a:other", "1", "hello"));
        stage.say(&message("a:queueing", "2", "hello"));
        assert_eq!(stage.queue.count(), 3);
        // The poller delivers the alerts. Then the channel posts the first activity again, and the bot still
        // does not queue the message.
        stage.connector.on(|_| Some(Reply::created("delivered")));
        stage.poll();
        stage.say(&hello());
        assert_eq!(stage.queue.count(), 0);
    }
}

fn message_in_a_known_conversation_does_not_change_the_key_value_store(world: &World) {
    let stage = Stage::start(world);
    stage.say(&hello());
    let known = stage.stored();
    assert!(!known.is_empty(), "expected the conversation in the key-value store");
    stage.say(&message("a:queueing", "2", "hello"));
    assert_eq!(
        stage.stored(),
        known,
        "a message in a known conversation must not change the key-value store"
    );
}

fn repeated_message_is_queued_if_the_first_message_was_not_queued(world: &World) {
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

fn refused_acknowledgement_keeps_the_message_queued(world: &World) {
    let stage = Stage::start(world);
    stage.connector.on(|_| Some(Reply::error(500, "ServiceError")));
    stage.say(&hello());
    stage.connector.wait_for(1);
    assert_eq!(stage.queue.count(), 1);
}

fn lost_acknowledgement_keeps_the_message_queued(world: &World) {
    let stage = Stage::start(world);
    stage.connector.on(|_| Some(Reply::cut_without_response()));
    stage.say(&hello());
    assert_eq!(stage.queue.count(), 1);
    stage.connector.wait_for(1);
}

fn unreachable_connector_keeps_the_message_queued(world: &World) {
    let stage = Stage::start(world);
    let closed = ClosedPort::reserve();
    let activity = end_to_end::activity::at_service(&hello(), &closed.authority());
    stage.post(&activity).expect_status(202);
    assert_eq!(stage.queue.count(), 1);
    stage.wait_for_events("connector.answer.failed", 1);
}

fn slow_connector_does_not_delay_the_response_to_the_channel(world: &World) {
    let stage = Stage::start(world);
    stage.connector.on(|_| Some(Reply::created("late").after(Duration::from_secs(30))));
    let asked = Instant::now();
    stage.say(&hello());
    assert!(
        asked.elapsed() < CHANNEL_WAITS,
        "expected the response before the channel's time-out, but it took {:?}",
        asked.elapsed()
    );
    assert_eq!(stage.queue.count(), 1);
}

#[track_caller]
fn expect_not_queued_reply(stage: &Stage) {
    let reply = stage.connector.wait_for(1).remove(0);
    assert!(reply.text().starts_with("Not accepted:"), "{reply:?}");
    assert_eq!(reply.reply_to().as_deref(), Some("1"));
    assert_eq!(stage.queue.count(), 0, "expected that the message is not queued");
}
