//! Alerts whose conversation the poller has to find or create. Most alerts in this file have a `key` (the
//! name of a problem). There are three cases: a person who never wrote to the bot, a chat that Teams has
//! purged (deleted), and a channel, in which each alert can start a thread.

use std::cell::Cell;
use std::rc::Rc;

use chrono::TimeDelta;
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use zones::ClockSpan;

use crate::changed::{change, taking_back};
use crate::keyed::{accept, id_of, key, keyed, methods, record, status};
use crate::people::{PERSON, created, record_first_activity, reference, refused, with_book};
use crate::settled::wall;
use crate::sim::{Reply, START_SECONDS, Sim};
use crate::trouble::{any_trouble, expect_newest, run_in};
use crate::{counts, seconds};

const CHAT: &str = "a:kim";
const CHANNEL: &str = "19:c@thread.tacv2";

/// Makes the queue message of an alert with the key. The alert goes to a person, and the address does not
/// contain the id of the person's chat.
fn to_person(sim: &Sim, number: u32, more: &Value) -> Value {
    let mut message = keyed(sim, number, number.into(), more);
    message["address"]["user"] = json!({"id": PERSON, "aadObjectId": PERSON});
    message["address"]["conversation"] =
        json!({"id": format!("new:t/{PERSON}"), "tenantId": "t", "conversationType": "personal"});
    message["creation"] = json!({"kind": "person"});
    message
}

/// Makes the queue message of an alert with the key. The alert goes to the chat with the id `chat`.
fn to_chat(sim: &Sim, chat: &str, number: u32, more: &Value) -> Value {
    let mut message = keyed(sim, number, number.into(), more);
    message["address"]["user"] = json!({"id": "29:kim", "aadObjectId": PERSON});
    message["address"]["conversation"] = json!({"id": chat, "tenantId": "t", "conversationType": "personal"});
    message
}

/// Changes the address of a queue message to the channel.
fn in_channel(mut message: Value) -> Value {
    message["address"]["conversation"] =
        json!({"id": CHANNEL, "tenantId": "t", "conversationType": "channel"});
    message["creation"] = json!({"kind": "thread"});
    message
}

fn to_channel(sim: &Sim, number: u32, more: &Value) -> Value {
    in_channel(keyed(sim, number, number.into(), more))
}

/// Lets the Connector create chats. `name` gets the number of a call, and returns the id of the new chat.
/// Returns a counter of the calls that create a chat.
fn count_creations(sim: &Sim, name: impl Fn(u32) -> String + 'static) -> Rc<Cell<u32>> {
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    sim.creations(move |_| {
        count.set(count.get() + 1);
        created(&name(count.get()))
    });
    calls
}

/// Lets the Connector start the threads 1, 2, and so on. Returns a counter of the threads.
fn count_threads(sim: &Rc<Sim>) -> Rc<Cell<u32>> {
    let threads = Rc::new(Cell::new(0));
    let (count, chats) = (Rc::clone(&threads), Rc::downgrade(sim));
    sim.creations(move |body| {
        count.set(count.get() + 1);
        let thread = thread(count.get());
        let text = body["activity"]["text"].as_str().unwrap().trim_start_matches("Alert: ").to_owned();
        let sim = chats.upgrade().unwrap();
        let (_, id) =
            sim.chats.borrow_mut().carry_out(&Method::POST, &thread, None, &text, &Reply::status(201));
        (201, json!({"id": thread, "activityId": id}))
    });
    threads
}

fn thread(number: u32) -> String {
    format!("{CHANNEL};messageid={number}")
}

fn texts(sim: &Sim, conversation: &str) -> Vec<String> {
    sim.chats.borrow().texts(conversation).into_iter().map(str::to_owned).collect()
}

#[test]
fn burst_of_alerts_with_a_key_to_a_new_person_is_one_message() {
    let sim = Sim::new(1);
    let creations = count_creations(&sim, |_| CHAT.into());
    for number in 0..10 {
        accept(&sim, &to_person(&sim, number, &json!({})), true);
    }
    assert_eq!(counts(&sim.run(), ["delivered", "replaced"]), [1, 9]);
    assert_eq!((texts(&sim, CHAT), methods(&sim)), (vec!["9 text".to_owned()], vec![Method::POST]));
    assert_eq!(creations.get(), 1);
    // Later alerts change the same message, both with the address of the person and with the address of the
    // chat.
    accept(&sim, &to_person(&sim, 10, &json!({})), true);
    sim.run();
    accept(&sim, &to_chat(&sim, CHAT, 11, &json!({})), true);
    sim.run();
    assert_eq!(texts(&sim, CHAT), ["11 text"]);
    assert_eq!(methods(&sim), [Method::POST, Method::PUT, Method::PUT]);
    assert_eq!(creations.get(), 1);
}

#[test]
fn alert_to_a_person_or_a_chat_makes_no_connector_call_if_the_shown_message_has_the_same_content() {
    let sim = Sim::new(13);
    count_creations(&sim, |_| CHAT.into());
    for number in 1..=3 {
        let mut message = match number {
            2 => to_chat(&sim, CHAT, number, &json!({})),
            _ => to_person(&sim, number, &json!({})),
        };
        message["text"] = "disk full".into();
        accept(&sim, &message, true);
        sim.run();
        assert_eq!(status(&sim, number), "delivered");
    }
    assert_eq!(methods(&sim), [Method::POST]);
}

#[test]
fn only_the_newest_alert_with_a_key_waits_until_the_bot_is_installed() {
    let sim = Sim::new(2);
    let creations = Rc::new(Cell::new(0));
    let count = Rc::clone(&creations);
    sim.creations(move |_| {
        count.set(count.get() + 1);
        refused(403, "BotNotInConversationRoster")
    });
    for number in 0..5 {
        accept(&sim, &to_person(&sim, number, &json!({})), true);
    }
    assert_eq!(counts(&sim.run(), ["replaced", "notInstalled"]), [4, 1]);
    assert_eq!(creations.get(), 1);
    record_first_activity(&sim, CHAT);
    sim.pass(seconds(61));
    sim.run();
    assert_eq!((texts(&sim, CHAT), status(&sim, 4)), (vec!["4 text".to_owned()], "delivered"));
}

#[test]
fn older_alert_with_another_address_of_the_same_chat_does_not_replace_a_newer_alert() {
    for slow in ["1 text", "2 text"] {
        let sim = Sim::new(3);
        count_creations(&sim, |_| CHAT.into());
        sim.connector(move |_, text| Reply::status(200).after(seconds(if text == slow { 4 } else { 0 })));
        // The bot accepted alert 1 before it knew the person's chat, and alert 2 after it knew the chat. So
        // the alerts have different addresses, and without a check of the key, the run would send both at the
        // same time.
        accept(&sim, &to_person(&sim, 1, &json!({})), false);
        accept(&sim, &to_chat(&sim, CHAT, 2, &json!({})), false);
        sim.run();
        assert_eq!(texts(&sim, CHAT), ["2 text"], "{slow} is slow: {:?}", sim.attempts.borrow());
    }
}

#[test]
fn older_alert_does_not_replace_a_newer_alert_whose_response_was_lost() {
    let sim = Sim::new(12);
    count_creations(&sim, |_| CHAT.into());
    record_first_activity(&sim, CHAT);
    accept(&sim, &to_chat(&sim, CHAT, 1, &json!({})), false);
    sim.run();
    // One run sends alert 3, and the response is lost. So alert 3 waits for its next try. Then the queue gets
    // the older alert 2. Alert 2 has another address, so the next run works on it at once. The bot has not
    // recorded alert 3 as the newest alert with the key. The next run must still find out that alert 3 is
    // newer.
    sim.connector(|_, text| match text {
        "3 text" => Reply::cut(),
        _ => Reply::status(200),
    });
    accept(&sim, &to_chat(&sim, CHAT, 3, &json!({})), false);
    sim.run();
    accept(&sim, &to_person(&sim, 2, &json!({})), false);
    sim.run();
    assert_eq!((texts(&sim, CHAT), status(&sim, 2)), (vec!["3 text".to_owned()], "replaced"));
    sim.connector(|_, _| Reply::status(200));
    sim.pass(seconds(120));
    sim.run();
    assert_eq!((texts(&sim, CHAT), status(&sim, 3)), (vec!["3 text".to_owned()], "delivered"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// After all runs, the chat shows the newest alert, and no chat message has changed back to an older
    /// alert. `noted` says for each alert whether the bot recorded it as the newest alert with the key.
    /// `known` says for each alert whether the bot knew the person's chat when it accepted the alert.
    /// `trouble` makes calls fail or kills runs (`trouble.rs`).
    #[test]
    fn older_alert_never_replaces_a_newer_alert_in_a_chat_that_the_poller_creates(
        order in Just((0..6_u32).collect::<Vec<_>>()).prop_shuffle(),
        rules in prop::collection::vec(prop::sample::select(vec!["update", "update", "new", "reply"]), 6),
        noted in prop::collection::vec(any::<bool>(), 6),
        known in prop::collection::vec(any::<bool>(), 6),
        trouble in any_trouble(),
        seed in 1_u64..1000,
    ) {
        let sim = Sim::new(seed);
        count_creations(&sim, |_| CHAT.into());
        for number in order {
            let index = number as usize;
            let more = json!({"again": rules[index]});
            let message = match known[index] {
                true => to_chat(&sim, CHAT, number, &more),
                false => to_person(&sim, number, &more),
            };
            accept(&sim, &message, noted[index]);
        }
        run_in(&sim, trouble);
        expect_newest(&sim, &texts(&sim, CHAT))?;
    }

    /// After all runs, one of the threads shows the newest alert, and no chat message has changed back to an
    /// older alert. `noted` and `trouble` mean the same as in the test above.
    #[test]
    fn older_alert_never_replaces_a_newer_alert_in_a_thread(
        order in Just((0..6_u32).collect::<Vec<_>>()).prop_shuffle(),
        rules in prop::collection::vec(prop::sample::select(vec!["update", "update", "new", "reply"]), 6),
        noted in prop::collection::vec(any::<bool>(), 6),
        trouble in any_trouble(),
        seed in 1_u64..1000,
    ) {
        let sim = Rc::new(Sim::new(seed));
        let threads = count_threads(&sim);
        for number in order {
            let index = number as usize;
            accept(&sim, &to_channel(&sim, number, &json!({"again": rules[index]})), noted[index]);
        }
        run_in(&sim, trouble);
        let all: Vec<String> = (1..=threads.get()).flat_map(|number| texts(&sim, &thread(number))).collect();
        expect_newest(&sim, &all)?;
    }
}

#[test]
fn alerts_with_a_key_to_a_purged_chat_create_one_new_chat() {
    for has_message in [false, true] {
        let sim = Sim::new(4);
        let creations = count_creations(&sim, |_| "a:new".into());
        record_first_activity(&sim, "a:old");
        if has_message {
            accept(&sim, &to_chat(&sim, "a:old", 0, &json!({})), true);
            sim.run();
            sim.attempts.borrow_mut().clear();
        }
        sim.connector(|conversation, _| match conversation {
            "a:old" => Reply::coded(404, "ConversationNotFound"),
            _ => Reply::status(201),
        });
        for number in 1..=3 {
            accept(&sim, &to_chat(&sim, "a:old", number, &json!({})), true);
        }
        assert_eq!(counts(&sim.run(), ["delivered", "replaced", "poisoned"]), [1, 2, 0]);
        assert_eq!((texts(&sim, "a:new"), creations.get()), (vec!["3 text".to_owned()], 1));
        let first = if has_message { Method::PUT } else { Method::POST };
        assert_eq!(methods(&sim), [first, Method::POST]);
        let new = state::ConversationKey::of_ids("msteams", "a:new");
        assert_eq!(record(&sim, &id_of(&sim, 3)).conversation, new.as_str());
        // The key now belongs to the new chat. Even an alert with the address of the old chat changes the
        // message in the new chat. For such an alert, the poller asks the Connector for a chat again, and
        // gets the same chat.
        accept(&sim, &to_chat(&sim, "a:new", 4, &json!({})), true);
        sim.run();
        assert_eq!(texts(&sim, "a:new"), ["4 text"]);
        accept(&sim, &to_chat(&sim, "a:old", 5, &json!({})), true);
        sim.run();
        assert_eq!((texts(&sim, "a:new"), creations.get()), (vec!["5 text".to_owned()], 2));
    }
}

#[test]
fn alert_with_a_key_to_a_chat_that_is_purged_each_time_creates_only_one_chat() {
    let sim = Sim::new(5);
    let creations = count_creations(&sim, |number| format!("a:new-{number}"));
    sim.connector(|_, _| Reply::coded(404, "ConversationNotFound"));
    accept(&sim, &to_chat(&sim, "a:old", 1, &json!({})), true);
    accept(&sim, &to_person(&sim, 2, &json!({})), true);
    for _ in 0..5 {
        sim.run();
        sim.pass(seconds(61));
    }
    assert_eq!((status(&sim, 1), status(&sim, 2)), ("dead", "dead"));
    assert_eq!((creations.get(), sim.attempts.borrow().len()), (2, 3), "each alert creates only one chat");
}

/// A *change* is a queue message with new content for the chat message of an earlier alert. If a sender
/// *takes an alert back*, the poller deletes the chat message of this alert.
#[test]
fn change_in_a_purged_chat_creates_a_new_chat_and_taking_back_creates_none() {
    let of = json!({"key": key(), "at": START_SECONDS * 1000 + 1});
    for takes_back in [false, true] {
        let sim = Sim::new(6);
        let creations = count_creations(&sim, |_| "a:new".into());
        accept(&sim, &to_chat(&sim, "a:old", 1, &json!({})), true);
        sim.run();
        sim.connector(|conversation, _| match conversation {
            "a:old" => Reply::coded(404, "ConversationNotFound"),
            _ => Reply::status(201),
        });
        let mut job = if takes_back { taking_back(&sim, 2, 1, &of) } else { change(&sim, 2, 1, 900, &of) };
        job["address"] = to_chat(&sim, "a:old", 0, &json!({}))["address"].clone();
        accept(&sim, &job, false);
        sim.run();
        if takes_back {
            assert_eq!((status(&sim, 1), status(&sim, 2), creations.get()), ("withdrawn", "withdrawn", 0));
            continue;
        }
        assert_eq!((texts(&sim, "a:new"), status(&sim, 2)), (vec!["2 change".to_owned()], "delivered"));
        accept(&sim, &to_chat(&sim, "a:new", 3, &json!({})), true);
        sim.run();
        assert_eq!(
            texts(&sim, "a:new"),
            ["3 text"],
            "the key is still firing, so alert 3 changes the message"
        );
        assert_eq!(methods(&sim), [Method::POST, Method::PUT, Method::POST, Method::PUT]);
    }
}

#[test]
fn alerts_with_a_key_to_a_channel_change_the_message_in_the_thread() {
    let sim = Rc::new(Sim::new(7));
    let threads = count_threads(&sim);
    for (number, more, shown) in [
        (1, json!({}), [vec!["1 text"], vec![]]),
        (2, json!({}), [vec!["2 text"], vec![]]),
        (3, json!({"again": "reply"}), [vec!["2 text", "3 text"], vec![]]),
        (4, json!({"again": "skip"}), [vec!["2 text", "3 text"], vec![]]),
        (
            5,
            json!({"notify": true}),
            [vec!["5 text", "3 text", "The message above has changed: 5 text"], vec![]],
        ),
        (
            6,
            json!({"again": "new"}),
            [vec!["5 text", "3 text", "The message above has changed: 5 text"], vec!["6 text"]],
        ),
        (
            7,
            json!({"state": "resolved"}),
            [vec!["5 text", "3 text", "The message above has changed: 5 text"], vec!["7 text"]],
        ),
    ] {
        accept(&sim, &to_channel(&sim, number, &more), true);
        sim.run();
        assert_eq!([texts(&sim, &thread(1)), texts(&sim, &thread(2))], shown, "after {number}");
    }
    assert!(texts(&sim, CHANNEL).is_empty(), "nothing is sent to the channel itself");
    let key = |thread: u32| state::ConversationKey::of_ids("msteams", &self::thread(thread)).to_string();
    let of = |number: u32| record(&sim, &id_of(&sim, number)).conversation;
    assert_eq!([of(1), of(2), of(3), of(7)], [key(1), key(1), key(1), key(2)]);
    // Alert 7 has resolved the key, so the next alert starts a new thread.
    accept(&sim, &to_channel(&sim, 8, &json!({})), true);
    sim.run();
    assert_eq!((texts(&sim, &thread(3)), threads.get()), (vec!["8 text".to_owned()], 3));
}

#[test]
fn burst_of_alerts_with_a_key_to_a_channel_is_one_thread_and_the_same_content_makes_no_connector_call() {
    let sim = Rc::new(Sim::new(8));
    let threads = count_threads(&sim);
    for number in 0..10 {
        accept(&sim, &to_channel(&sim, number, &json!({})), true);
    }
    assert_eq!(counts(&sim.run(), ["delivered", "replaced"]), [1, 9]);
    let mut same = to_channel(&sim, 10, &json!({}));
    same["text"] = "9 text".into();
    accept(&sim, &same, true);
    sim.run();
    assert_eq!((texts(&sim, &thread(1)), threads.get()), (vec!["9 text".to_owned()], 1));
    assert!(methods(&sim).is_empty(), "the call that creates the thread sends the first message");
    let (first, same) = (record(&sim, &id_of(&sim, 9)), record(&sim, &id_of(&sim, 10)));
    assert_eq!((same.status.as_str(), &same.conversation), ("delivered", &first.conversation));
    assert_eq!((same.activity_id, same.thread), (first.activity_id, first.thread));
}

#[test]
fn change_and_taking_back_find_the_message_of_the_alert_in_the_thread() {
    for has_key in [false, true] {
        let sim = Rc::new(Sim::new(9));
        let threads = count_threads(&sim);
        let of = if has_key { json!({"key": key(), "at": START_SECONDS * 1000 + 1}) } else { json!({}) };
        let mut first = to_channel(&sim, 1, &json!({}));
        if !has_key {
            first.as_object_mut().unwrap().remove("keyed");
        }
        accept(&sim, &first, has_key);
        sim.run();
        accept(&sim, &in_channel(change(&sim, 2, 1, 100, &of)), false);
        sim.run();
        assert_eq!((texts(&sim, &thread(1)), threads.get()), (vec!["2 change".to_owned()], 1));
        // A person deletes the message. Change 3 then starts a new thread, and change 4 changes the message
        // in this thread.
        sim.chats.borrow_mut().delete_all(&thread(1));
        for (number, accepted_at) in [(3, 200), (4, 300)] {
            accept(&sim, &in_channel(change(&sim, number, 1, accepted_at, &of)), false);
            sim.run();
        }
        assert_eq!((texts(&sim, &thread(2)), threads.get()), (vec!["4 change".to_owned()], 2));
        if has_key {
            accept(&sim, &to_channel(&sim, 5, &json!({})), true);
            sim.run();
            assert_eq!((texts(&sim, &thread(2)), threads.get()), (vec!["5 text".to_owned()], 2));
            continue;
        }
        accept(&sim, &in_channel(taking_back(&sim, 6, 1, &of)), false);
        sim.run();
        assert_eq!((texts(&sim, &thread(2)).len(), status(&sim, 1)), (0, "withdrawn"));
    }
}

/// Sets the person's quiet hours to 22:00–07:00. The simulation begins at 22:00 UTC.
fn set_quiet(sim: &Sim) {
    let chat = reference(&to_chat(sim, CHAT, 0, &json!({}))["address"]);
    let (night, now) = (ClockSpan::parse("22:00-07:00").unwrap(), wall(sim));
    with_book(sim, async |book| {
        book.set_quiet(&state::ConversationKey::of(&chat), night, now).await.unwrap();
    });
}

#[test]
fn alert_whose_chat_the_poller_finds_waits_for_the_end_of_the_quiet_hours() {
    let sim = Sim::new(10);
    count_creations(&sim, |_| CHAT.into());
    record_first_activity(&sim, CHAT);
    set_quiet(&sim);
    for (number, importance) in [(1, "normal"), (2, "high")] {
        let mut message = to_person(&sim, number, &json!({}));
        message.as_object_mut().unwrap().remove("keyed");
        message["stoppable"] = true.into();
        message["activity"] = json!({ "importance": importance });
        accept(&sim, &message, false);
    }
    sim.run();
    assert_eq!(texts(&sim, CHAT), ["2 text"]);
    sim.pass(seconds(9 * 3600));
    sim.run();
    assert_eq!(texts(&sim, CHAT), ["2 text", "1 text"]);
}

#[test]
fn alert_that_waits_for_the_morning_replaces_only_alerts_that_wait_for_the_morning() {
    let sim = Sim::new(11);
    let morning = (wall(&sim) + TimeDelta::hours(9)).to_rfc3339();
    for number in 1..=3 {
        let mut message = to_chat(&sim, CHAT, number, &json!({}));
        if number == 1 {
            message["activity"] = json!({"importance": "high"});
        } else {
            message["notBefore"] = morning.as_str().into();
        }
        accept(&sim, &message, true);
    }
    sim.run();
    assert_eq!(texts(&sim, CHAT), ["1 text"], "the important alert does not wait for the morning");
    sim.pass(seconds(9 * 3600 + 1));
    assert_eq!(counts(&sim.run(), ["delivered", "replaced"]), [1, 1]);
    assert_eq!(texts(&sim, CHAT), ["3 text"]);
}
