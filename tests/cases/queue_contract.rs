//! Tests of the project's queue client with Azurite, the emulator of Azure Storage. In the unit tests of this
//! client, a fake sends the responses of the queue service. The tests in this file check that Azurite sends
//! the same kinds of responses.

use end_to_end::queue::Queue;
use end_to_end::suite::World;
use storage_queue::{Created, PutOptions, QueueError, TimeToLive};

end_to_end::cases!(
    message_is_put_leased_updated_and_deleted,
    wrong_account_key_is_refused,
    text_with_special_characters_is_returned_unchanged
);

fn queue(world: &World, name: &str) -> Queue {
    Queue::new(&world.azurite().connection_string(), name)
}

fn message_is_put_leased_updated_and_deleted(world: &World) {
    let options = PutOptions {
        visibility_timeout_seconds: 0,
        time_to_live: TimeToLive::Seconds(600),
        ..PutOptions::default()
    };
    queue(world, "contract-life").with(async |client| {
        assert_eq!(client.get(1, 30).await, Err(QueueError::QueueMissing));
        assert_eq!(client.put("x", options).await, Err(QueueError::QueueMissing));
        assert_eq!(client.create().await, Ok(Created::New));
        assert_eq!(client.create().await, Ok(Created::Existed));
        client.put("first", options).await.unwrap();
        client.put("second", options).await.unwrap();
        assert_eq!(client.approximate_count().await, Ok(2));
        assert_eq!(client.peek(32).await.unwrap(), ["first", "second"]);

        let mut messages = client.get(32, 30).await.unwrap();
        assert_eq!(messages.len(), 2);
        let second = messages.pop().unwrap();
        let first = messages.pop().unwrap();
        assert_eq!((first.text.as_str(), first.dequeue_count), ("first", 1));
        assert!(
            first.expiration_time > first.insertion_time && first.time_next_visible > first.insertion_time
        );
        assert_eq!(client.get(32, 30).await.unwrap(), [], "expected that both messages are leased");

        // The update makes the pop receipt of `first` invalid.
        let updated = client.update(&first.id, &first.pop_receipt, 0, Some("changed")).await.unwrap();
        assert_eq!(
            client.delete(&first.id, &first.pop_receipt).await,
            Err(QueueError::LeaseLost { is_on_queue: true })
        );
        let again = client.get(1, 30).await.unwrap().remove(0);
        assert_eq!((again.text.as_str(), again.dequeue_count), ("changed", 2));
        assert_ne!(again.pop_receipt, updated.pop_receipt);
        client.delete(&again.id, &again.pop_receipt).await.unwrap();
        assert_eq!(
            client.delete(&again.id, &again.pop_receipt).await,
            Err(QueueError::LeaseLost { is_on_queue: false })
        );
        client.delete(&second.id, &second.pop_receipt).await.unwrap();
        assert_eq!(client.approximate_count().await, Ok(0));
        let too_long = "x".repeat(64 * 1024 + 1);
        assert_eq!(client.put(&too_long, options).await, Err(QueueError::MessageTooLarge));
    });
}

fn wrong_account_key_is_refused(world: &World) {
    let connection = world.azurite().connection_string();
    let (before, after) = connection.split_once("AccountKey=").unwrap();
    let rest = after.split_once(';').unwrap().1;
    let wrong = format!("{before}AccountKey=d3Jvbmc=;{rest}");
    Queue::new(&wrong, "contract-key").with(async |client| {
        let error = client.create().await.expect_err("a wrong key");
        assert!(matches!(error, QueueError::NotAuthorized { status: 403, .. }), "{error}");
    });
}

fn text_with_special_characters_is_returned_unchanged(world: &World) {
    let queue = queue(world, "contract-texts");
    for text in ["a & b <c> \"d\" 'e'", "  spaces  ", "&amp;&#65;", "]]>", "ü€🍕"] {
        queue.put(text);
        assert_eq!(queue.take_all(), [text]);
    }
}
