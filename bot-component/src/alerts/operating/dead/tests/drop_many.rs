//! Tests of drops of many dead letters (messages of the poison queue), of a replay among many dead letters,
//! and of the deletion of a conversation with dead letters.

use chrono::TimeDelta;
use platform::Clock;
use serde_json::{Value, json};
use state::ledger::Status;
use state::runs::DeadLetterId;

use super::{Bot, POISON, in_conversation, whys};

impl Bot {
    fn drop(&self, body: &Value) -> (u16, Value) {
        self.call("POST", "/api/dead/drop", body)
    }
}

/// Makes a bot with one dead letter that has an envelope (an alert as JSON), and with `letters` dead letters
/// that have no envelope. A message without an envelope names no row, so the bot finds the row by the digest
/// (hash) of the message. Only the row has the outcome (the word that says why the poller moved the message
/// to the poison queue).
fn bot_with_unreadable(letters: i64) -> Bot {
    let bot = Bot::new();
    let died = bot.die("pizza", |_| ());
    let now = bot.host.now();
    let row = bot.tables.borrow().entities("proactivebotruns").values().next().unwrap().clone();
    for number in 0..letters {
        let id = DeadLetterId::of(&format!("m{number}"), now - TimeDelta::milliseconds(number + 1));
        let (mut row, text) = (row.clone(), format!("no envelope {number}"));
        row.remove("op");
        row.insert("digest".into(), state::runs::digest_of(&text).into());
        row.insert("outcome".into(), "unreadable".into());
        bot.tables.borrow_mut().store("proactivebotruns", "bot-queue.dead", id.as_str(), row, now);
        bot.queues.borrow_mut().put(POISON, &text, now);
    }
    assert_eq!(bot.list("")["dead"][0]["id"], died.letter);
    bot
}

#[test]
fn drop_of_thousands_of_dead_letters_costs_about_two_calls_for_each() {
    const LETTERS: usize = 2_100;
    let bot = Bot::new();
    let (now, seal_key) = (bot.host.now(), bot.settings.seal_key.as_ref());
    let first = bot.die("0", |_| ());
    let row = bot.tables.borrow().entities("proactivebotruns").values().next().unwrap().clone();
    for number in 1..LETTERS {
        let id = DeadLetterId::of(&format!("m{number}"), now - TimeDelta::milliseconds(number as i64));
        let id_of_alert = format!("{:.26}{number:06}", first.alert.as_str());
        let envelope_id = envelope::EnvelopeId::from_text(&id_of_alert);
        let mut envelope = envelope::Envelope::new(envelope_id, in_conversation("a:1"), "x", now);
        envelope.cancellable = true;
        let failure = envelope::Failure {
            id: id.as_str().to_owned(),
            outcome: "permanent",
            reason: "400".into(),
            status: Some(400),
            at: now,
            attempts: 1,
        };
        let text = envelope.encode_failed(seal_key, &failure).unwrap();
        let mut row = row.clone();
        row.remove("op");
        row.insert("digest".into(), state::runs::digest_of(&text).into());
        bot.tables.borrow_mut().store("proactivebotruns", "bot-queue.dead", id.as_str(), row, now);
        bot.queues.borrow_mut().put(POISON, &text, now);
    }
    bot.host.sent.borrow_mut().clear();
    let (mut dropped, mut calls) = (0, 0);
    loop {
        calls += 1;
        let (status, response) = bot.drop(&json!({"all": true}));
        assert_eq!((status, whys(&response)), (200, vec![]), "{}", response["error"]);
        dropped += response["dropped"].as_array().unwrap().len();
        if response["more"] == false {
            break;
        }
    }
    assert_eq!((dropped, bot.poison().len()), (LETTERS, 0));
    assert_eq!(bot.list("?text=true"), json!({"messages": 0, "dead": []}));
    // For each dead letter, the bot makes two calls: it reads the alert's record, and deletes the message.
    // The other calls are few: one call leases up to 32 messages, and one call deletes up to 100 rows.
    let per_letter = bot.host.sent.borrow().len() as f64 / LETTERS as f64;
    assert!(per_letter < 2.1, "{per_letter} calls to the services for each dead letter");
    assert_eq!(calls, LETTERS.div_ceil(512), "calls to the bot");
}

#[test]
fn drop_by_a_condition_killed_at_any_call_is_finished_by_the_next_drop_and_keeps_other_dead_letters() {
    for calls in 0..40 {
        let bot = Bot::new();
        let kept = bot.die("kept", |_| ());
        bot.pass(10);
        let since = bot.host.now().to_rfc3339();
        let died: Vec<_> = (0..3).map(|number| bot.die(&number.to_string(), |_| ())).collect();
        let body = json!({"outcome": "permanent", "since": since});
        bot.calls_left.set(calls);
        let (status, response) = bot.drop(&body);
        let is_finished = status == 200 && response["more"] == false && bot.calls_left.get() > 0;
        bot.calls_left.set(usize::MAX);
        bot.pass(61);
        let (status, again) = bot.drop(&body);
        assert_eq!((status, &again["more"], whys(&again)), (200, &false.into(), vec![]), "{calls}: {again}");
        let left = bot.list("")["dead"].clone();
        assert_eq!((bot.poison().len(), left.as_array().unwrap().len()), (1, 1), "{calls}: {left}");
        assert_eq!(left[0]["id"], kept.letter, "{calls}");
        for one in &died {
            let record = platform::testing::run(bot.ledger().find(&one.alert)).unwrap().unwrap();
            assert_eq!(record.status, Status::Dead);
            assert_eq!(record.reason.as_deref(), Some("dropped by alertkey; permanent: 400 BadSyntax"));
        }
        // The message `kept` is visible, so the replay finds `kept`.
        assert_eq!(bot.replay(&json!({"all": true})).1["replayed"], json!([kept.letter]), "{calls}");
        if is_finished {
            return;
        }
    }
    panic!("expected a drop that ends within 40 calls");
}

#[test]
fn drop_by_outcome_uses_the_row_of_a_message_that_names_no_outcome() {
    let bot = bot_with_unreadable(3);
    let (_, response) = bot.drop(&json!({"outcome": "permanent"}));
    assert_eq!((response["dropped"].as_array().unwrap().len(), bot.poison().len()), (1, 3), "{response}");
    for outcome in ["sealBroken", "unknown"] {
        let (_, response) = bot.drop(&json!({"outcome": outcome}));
        assert_eq!(response, json!({"dropped": [], "refused": [], "more": false}), "{outcome}");
    }
    let (_, response) = bot.drop(&json!({"outcome": "unreadable"}));
    assert_eq!(
        (response["dropped"].as_array().unwrap().len(), &response["more"]),
        (3, &false.into()),
        "{response}"
    );
    assert_eq!(bot.list("?text=true"), json!({"messages": 0, "dead": []}));
}

#[test]
fn drop_deletes_the_row_of_a_missing_message_and_keeps_the_rows_of_hidden_messages() {
    let bot = Bot::new();
    let died = [bot.die("missing", |_| ()), bot.die("hidden", |_| ())];
    bot.queues.borrow_mut().queues.get_mut(POISON).unwrap().remove(0);
    let until = bot.host.now() + TimeDelta::seconds(300);
    bot.queues.borrow_mut().queues.get_mut(POISON).unwrap()[0].visible_at = until;
    bot.pass(100);
    let ids = json!({"ids": [died[0].letter, died[1].letter]});
    // The poison queue counts one message, but the bot cannot read this message while it is hidden. So the
    // bot cannot know to which of the two dead letters the message belongs.
    for body in [&ids, &json!({"all": true})] {
        let (_, response) = bot.drop(body);
        assert_eq!(response["dropped"], json!([]), "{response}");
        assert!(response["more"] == true || whys(&response) == ["hidden", "hidden"], "{response}");
    }
    bot.pass(300);
    let (_, response) = bot.drop(&json!({"ids": [died[0].letter]}));
    assert_eq!(response, json!({"dropped": [died[0].letter], "refused": [], "more": false}));
    let (_, response) = bot.drop(&ids);
    assert_eq!((&response["dropped"], whys(&response)), (&json!([died[1].letter]), vec!["unknown"]));
    // Imitates a run (one execution of the poller) that has written the row, and has not yet put the message
    // on the poison queue.
    let new = bot.die("new", |_| ());
    bot.queues.borrow_mut().queues.remove(POISON);
    let (_, response) = bot.drop(&json!({"all": true}));
    assert_eq!(response["dropped"], json!([]), "{response}");
    assert_eq!(bot.list("")["dead"][0]["id"], new.letter);
    bot.pass(61);
    assert_eq!(bot.drop(&json!({"all": true})).1["dropped"], json!([new.letter]));
    assert_eq!(bot.list("")["dead"], json!([]));
}

#[test]
fn replay_of_one_letter_behind_hundreds_of_refused_letters_takes_one_call() {
    let bot = Bot::new();
    let now = bot.host.now();
    for number in 0..600 {
        bot.queues.borrow_mut().put(POISON, &format!("no envelope {number}"), now);
    }
    let died = bot.die("pizza", |_| ());
    let (_, response) = bot.replay(&json!({"all": true}));
    assert_eq!((&response["replayed"], whys(&response).len()), (&json!([died.letter]), 600));
    assert_eq!(response["more"], false);
}

#[test]
fn deletion_of_a_conversation_with_a_hidden_message_is_reported_as_incomplete() {
    let bot = Bot::new();
    let path = format!("/api/targets/{}", state::ConversationKey::of(&in_conversation("a:1")).as_str());
    for _ in 0..2 {
        bot.die("pizza", |_| ());
    }
    // Hides one of the messages, as another API call does.
    let until = bot.host.now() + TimeDelta::seconds(25);
    bot.queues.borrow_mut().queues.get_mut(POISON).unwrap()[1].visible_at = until;
    for (complete, left) in [(false, 1), (true, 0)] {
        let (status, response) = bot.call("DELETE", &path, &Value::Null);
        assert_eq!((status, &response["complete"], &response["removed"]), (200, &json!(complete), &json!(1)));
        assert_eq!(bot.poison().len(), left);
        bot.pass(30);
    }
}
