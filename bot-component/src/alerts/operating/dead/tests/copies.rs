//! Tests of replays and drops of a message that the poison queue holds twice.

use chrono::TimeDelta;
use platform::Clock;
use serde_json::json;

use super::{Bot, POISON, whys};

/// Adds an older copy of the only message to the poison queue.
///
/// The poison queue can hold two copies if a run (one execution of the poller) was killed while it moved the
/// message. The next run then moves the message again. The copies have different texts, because each run
/// writes the time and the reason into its copy. The message's *row* (its entry in the table of dead letters)
/// contains a digest (a hash) of the newer copy.
fn add_older_copy(bot: &Bot) {
    let now = bot.host.now();
    let text = bot.poison().remove(0);
    let seal_key = bot.settings.seal_key.as_ref();
    let arrival = envelope::Arrival { id: envelope::EnvelopeId::from_text("x"), at: now };
    let (mut older, _) = envelope::Envelope::decode(&text, seal_key, arrival).unwrap();
    let note = older.take_failure().unwrap();
    let failure = envelope::Failure {
        id: note.id.unwrap(),
        outcome: "permanent",
        reason: "an older reason".into(),
        status: None,
        at: now - TimeDelta::seconds(9),
        attempts: 1,
    };
    let text = older.encode_failed(seal_key, &failure).unwrap();
    bot.queues.borrow_mut().put(POISON, &text, now);
    // Puts the older copy first.
    bot.queues.borrow_mut().queues.get_mut(POISON).unwrap().reverse();
}

#[test]
fn replay_of_a_message_that_the_poison_queue_holds_twice_delivers_once_and_removes_both_copies() {
    for by_ids in [true, false] {
        let bot = Bot::new();
        let died = bot.die("pizza", |_| ());
        add_older_copy(&bot);
        assert_eq!(bot.poison().len(), 2);
        let body = if by_ids { json!({"ids": [died.letter]}) } else { json!({"all": true}) };
        let (status, response) = bot.replay(&body);
        let expected = json!({"replayed": [died.letter], "refused": [], "more": false});
        assert_eq!((status, response), (200, expected), "{by_ids}");
        assert_eq!(bot.list("?text=true"), json!({"messages": 0, "dead": []}), "{by_ids}");
        bot.deliver();
        assert_eq!(bot.shown.borrow().as_slice(), ["pizza"]);
        assert_eq!(whys(&bot.replay(&json!({"ids": [died.letter]})).1), ["unknown"]);
    }
}

#[test]
fn drop_of_a_message_that_the_poison_queue_holds_twice_deletes_both_copies() {
    for body in [None, Some(json!({"all": true}))] {
        let bot = Bot::new();
        let died = bot.die("pizza", |_| ());
        add_older_copy(&bot);
        let body = body.unwrap_or_else(|| json!({"ids": [died.letter]}));
        let (status, response) = bot.call("POST", "/api/dead/drop", &body);
        let expected = json!({"dropped": [died.letter], "refused": [], "more": false});
        assert_eq!((status, response), (200, expected));
        assert_eq!(bot.list("?text=true"), json!({"messages": 0, "dead": []}));
    }
}
