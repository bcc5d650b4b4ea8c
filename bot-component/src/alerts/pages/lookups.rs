//! Tests of how the bot finds the conversations that the member `to` of an API call names. The bot processes
//! the conversations in *pages* of at most 100. The tests check the number of calls to the table service, the
//! order of the conversations, and pages without alerts.

use std::collections::BTreeSet;

use platform::testing::run;
use serde_json::{Value, json};
use state::{ConversationKey, Tag};

use super::{Bot, conversations, reference};

#[test]
fn lookup_of_100_tags_or_people_costs_few_reads_and_keeps_the_order_of_tags() {
    let bot = Bot::new();
    let name = |number: usize| format!("t{number}");
    // Each conversation subscribes to three tags: conversation 0 to `t0`, `t34` and `t68`, conversation 1 to
    // `t1`, `t35` and `t69`, and so on. The API call names the tags in the order of their numbers. So the bot
    // finds conversation 0 first, by `t0`, and then conversation 1, by `t1`.
    let keys: Vec<String> = (0..34)
        .map(|number| {
            let tags: Vec<String> = (0..3).map(|tag| name(number + 34 * tag)).collect();
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            bot.add(&reference(&format!("c{number}"), "webchat"), &tags)
        })
        .collect();
    let all = |answer: &Value| -> Vec<String> {
        let alerts = answer["alerts"].as_array().unwrap().iter();
        alerts.map(|alert| alert["conversation"].as_str().unwrap().to_owned()).collect()
    };
    let tags: Vec<Value> = (0..100).map(|number| json!({"tag": name(number)})).collect();
    let before = bot.reads();
    let answer = bot.accepted(&json!({"to": tags, "text": "hello"}));
    assert_eq!(all(&answer), keys, "expected the conversations in the order of the tags");
    let reads = bot.reads() - before;
    assert!(
        reads <= 2 * 100,
        "expected at most two reads for each tag (its rows, and its conversation), found {reads}"
    );
    // The bot looks up a tag once, even if `to` names the tag 100 times.
    let before = bot.reads();
    assert_eq!(
        all(&bot.accepted(&json!({"to": vec![json!({"tag": "t7"}); 100], "text": "hello"}))),
        [keys[7].clone()]
    );
    assert!(bot.reads() - before <= 2, "{}", bot.reads() - before);

    // The bot looks up the people in `to` once for the whole call, even if the call has many pages.
    let crowd = bot.big_crowd(1000..1450, "crowd");
    let people = (0..99).map(|number| {
        let reference = reference(&format!("dl_{number}"), "webchat");
        bot.add(&reference, &[]);
        json!({"user": format!("webchat/dl_{number}")})
    });
    let to: Vec<Value> = people.chain([json!({"tag": "crowd"})]).collect();
    let before = bot.reads();
    let answer = bot.accepted(&json!({"to": to, "text": "hello"}));
    assert_eq!((answer["alerts"].as_array().unwrap().len(), answer.get("next")), (99 + crowd.len(), None));
    let reads = bot.reads() - before;
    assert!(
        reads <= 2 * 99 + 5 * 20,
        "expected at most two reads for each person, and 20 for each page (1 for the tag's rows, 16 for the \
         partitions of the table of conversations, and 3 to spare), found {reads}"
    );
}

#[test]
fn pages_of_small_and_big_tags_keep_the_order_and_continue_at_next() {
    let bot = Bot::new();
    let small = |number: usize| bot.add(&reference(&format!("small{number}"), "x"), &[&format!("s{number}")]);
    let (before, behind): (Vec<_>, Vec<_>) = ((0..5).map(small).collect(), (5..12).map(small).collect());
    let crowd = bot.big_crowd(0..1030, "crowd");
    let tag = |number: usize| json!({"tag": format!("s{number}")});
    let to: Vec<Value> = (0..5).map(tag).chain([json!({"tag": "crowd"})]).chain((5..12).map(tag)).collect();
    let body = json!({"to": to, "text": "hello", "idempotencyKey": "k"});
    let keys = |answer: &Value| -> Vec<String> {
        let alerts = answer["alerts"].as_array().unwrap().iter();
        alerts.map(|alert| alert["conversation"].as_str().unwrap().to_owned()).collect()
    };
    let expected: Vec<String> = before.into_iter().chain(crowd).chain(behind).collect();
    let first = bot.accepted(&body);
    let mut rest = body.clone();
    rest["next"] = first["next"].clone();
    // The first call has ten pages, i.e. 1000 conversations. The last of these conversations subscribes to
    // `crowd`, and `crowd` has the index 5 in `to`.
    assert_eq!(first["next"], format!("5.{}", expected[999]));
    let second = bot.accepted(&rest);
    assert_eq!([keys(&first), keys(&second)].concat(), expected);
    assert_eq!((bot.accepted(&body), bot.accepted(&rest)), (first, second));
}

#[test]
fn empty_page_stays_empty_when_the_call_is_repeated() {
    let bot = Bot::new();
    // Page 1 has the 100 subscribers of `a`. For page 2, the bot reads the first 100 subscribers of `b`.
    // These are the same 100 conversations, so page 2 has no alert. Page 3 has the last subscriber of `b`.
    let mut all: Vec<_> = (0..101).map(|number| reference(&format!("c{number}"), "x")).collect();
    all.sort_by_key(ConversationKey::of);
    let last = bot.add(&all.remove(100), &["b"]);
    let both: BTreeSet<String> = all.iter().map(|reference| bot.add(reference, &["a", "b"])).collect();
    let body = json!({"to": [{"tag": "a"}, {"tag": "b"}], "text": "hello", "idempotencyKey": "k"});
    let first = bot.accepted(&body);
    let alerted = conversations(first["alerts"].as_array().unwrap());
    assert!(alerted.is_superset(&both) && alerted.contains(&last) && alerted.len() == 101);
    // One of the 100 conversations ends its subscription to `a`. When the test repeats the call, the bot
    // finds this conversation for page 2, as a subscriber of `b`. The first call has already alerted the
    // conversation, so the bot must not alert the conversation again.
    let moved = ConversationKey::parse(both.first().unwrap()).unwrap();
    assert_eq!(run(bot.conversations().untag(&moved, &Tag::parse("a").unwrap())), Ok(true));
    assert_eq!(bot.accepted(&body), first, "expected the same alerts with the same ids");
    let mut from_second = body.clone();
    from_second["next"] = "1.".into();
    for _ in 0..2 {
        assert_eq!(
            conversations(bot.accepted(&from_second)["alerts"].as_array().unwrap()),
            [last.clone()].into()
        );
    }
    from_second["text"] = "other words".into();
    assert_eq!(
        bot.alert(&from_second).0,
        422,
        "an earlier call had the same idempotency key, and another text"
    );
}
